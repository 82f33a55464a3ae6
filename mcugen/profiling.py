"""One inference of a built image on the simulated board, measured step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcugen.build import random_codes
from mcugen.engines.unicorn import Simulator
from mcugen.ir import Array
from mcugen.numerics.packing import from_bytes, to_bytes, weight_bits
from mcugen.ops import OPERATORS
from mcugen.ops.base import Call
from mcugen.pipeline import Compiled
from mcugen.profile.measure import Measurement, Meter
from mcugen.profile.model import MemoryRules
from mcugen.profile.report import Profile, StepProfile, total_of
from mcugen.protocol.client import Device
from mcugen.toolchain import Image

_TIMEOUT_S = 3600.0


def profile_image(compiled: Compiled, image: Image) -> Profile:
    """Boots the image, runs one random sample, attributes every instruction to its step."""
    return profile_sample(compiled, image, random_codes(compiled.graph, 1))[0]


def profile_sample(compiled: Compiled, image: Image, codes: Sequence[Array]) -> tuple[Profile, list[Array]]:
    """The same for one sample of codes (1, ...), and its outputs: codes or float32 values (1, ...)."""
    graph, model = compiled.graph, compiled.sources.model
    simulator = Simulator(image.elf, compiled.board)
    steps = list(compiled.sources.steps.items())
    memory = MemoryRules.from_board(compiled.board)
    with Device(simulator.transport(), counter="instructions", timeout=_TIMEOUT_S, infer_timeout=_TIMEOUT_S) as device:
        device.hello()
        data = [to_bytes(x, graph[name].type).tobytes() for x, name in zip(codes, graph.inputs, strict=True)]
        with Meter(simulator.uc, image.elf, steps, f"{model}_run", memory=memory) as meter:
            result = device.infer(data)
        measured = meter.last()
    kinds = [graph[name].type for name in graph.outputs]
    outputs = [from_bytes(np.frombuffer(x, np.uint8)[None], kind) for x, kind in zip(result.outputs, kinds, strict=True)]
    return _profile(compiled, measured), outputs


def _profile(compiled: Compiled, measured: Measurement) -> Profile:
    graph = compiled.graph
    counts = {step.name: step.counts for step in measured.steps}
    rows = tuple(
        StepProfile.measured(counts[call.node.name], **_about(call, compiled))
        for call in compiled.calls
        if call.node.name in counts
    )
    total = total_of(
        rows,
        instructions=measured.total.instructions,
        modelled_cycles=measured.total.modelled_cycles,
        memory_cycles=measured.total.memory_cycles,
        arena_bytes=compiled.plan.arena_bytes,
    )
    return Profile(graph.name, compiled.board.name, compiled.board.clock_hz, rows, total)


def _about(call: Call, compiled: Compiled) -> dict[str, object]:
    node, source = call.node, call.sources[0]
    macs = sum(OPERATORS[part.node.op].macs(part.node, part.sources) for part in call.parts)
    bits = f"{_bits(source.lo, source.hi)}x{weight_bits(node.attrs['weight_type'])}" if macs else ""
    return {
        "name": node.name,
        "op": node.op,
        "kernel": call.kernel.name,
        "macs": macs,
        "mac_bits": bits,
        "weight_bytes": sum(c.values.nbytes for c in call.constants if c.role == "weights"),
        "arena_bytes": compiled.plan.of[node.name].buffer.bytes + call.scratch_bytes,
    }


def _bits(lo: int, hi: int) -> int:
    """Bits that codes from lo to hi need; -1/+1 is one bit."""
    if (lo, hi) == (-1, 1):
        return 1
    return int(np.ceil(np.log2(max(hi + 1, -lo) * (2 if lo < 0 else 1))))
