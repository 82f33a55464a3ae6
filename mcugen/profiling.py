"""One inference of a built image on the simulated board, measured step by step."""

from __future__ import annotations

import numpy as np

from mcugen.build import random_codes
from mcugen.engines.host import to_bytes
from mcugen.engines.unicorn import Simulator
from mcugen.ops import OPERATORS
from mcugen.ops.base import Call
from mcugen.packing import weight_bits
from mcugen.pipeline import Compiled
from mcugen.profile.measure import Meter
from mcugen.profile.model import MemoryRules
from mcugen.profile.report import Profile, StepProfile, total_of
from mcugen.protocol import Device
from mcugen.toolchain import Image


def profile_image(compiled: Compiled, image: Image) -> Profile:
    """Boots the image, runs one random sample, attributes every instruction to its step."""
    graph, model = compiled.graph, compiled.sources.model
    simulator = Simulator(image.elf, compiled.board)
    steps = list(compiled.sources.steps.items())
    memory = MemoryRules.from_board(compiled.board)
    with Device(simulator.transport(), counter="instructions") as device:
        device.hello()
        codes = random_codes(graph, 1)
        data = [to_bytes(x, graph[name].type).tobytes() for x, name in zip(codes, graph.inputs, strict=True)]
        with Meter(simulator.uc, image.elf, steps, f"{model}_run", memory=memory) as meter:
            device.infer(data)
        measured = meter.last()
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
    macs = OPERATORS[node.op].macs(node, call.sources)
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
