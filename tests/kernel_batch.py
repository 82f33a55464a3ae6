"""Many layers in one model, each computed by every kernel that takes it: natively with sanitizers, and as Arm code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcugen.boards import load_board
from mcugen.codegen.emit import Sources, emit, graph_digest
from mcugen.engines.host import HostEngine
from mcugen.ir import Array, Graph, Node, TensorType
from mcugen.numerics.packing import from_bytes, to_bytes
from mcugen.ops import OPERATORS
from mcugen.ops.base import Call, Kernel
from mcugen.plan import plan_memory
from mcugen.profile.bare import BareMachine, build_bare
from mcugen.profile.model import ALL_HITS
from mcugen.resources import data_dir
from tests.tools import need

Layer = tuple[Node, tuple[TensorType, ...], list[Array]]


@dataclass(frozen=True)
class Batch:
    """The inputs and wanted outputs by tensor name; calls write tensors named NODE_NUMBER."""

    graph: Graph
    calls: tuple[Call, ...]
    inputs: dict[str, Array]
    wanted: dict[str, Array]
    sources: Sources


def make_batch(layers: Iterable[Layer], kernels: Mapping[str, tuple[Kernel, ...]]) -> Batch:
    """Each layer has inputs of its own; a layer that no kernel takes is an error."""
    nodes: list[Node] = []
    calls: list[Call] = []
    given: dict[str, Array] = {}
    wanted: dict[str, Array] = {}
    for node, sources, inputs in layers:
        nodes += [Node(name, "input", (), kind) for name, kind in zip(node.inputs, sources, strict=True)]
        given |= dict(zip(node.inputs, inputs, strict=True))
        taken = [kernel for kernel in kernels[node.op] if kernel.applies(node, sources)]
        assert taken, node.name
        for number, kernel in enumerate(taken):
            twin = node.but(name=f"{node.name}_{number}")
            wanted[twin.name] = OPERATORS[node.op].reference(node, sources, inputs)
            calls.append(Call(twin, sources, kernel))
            nodes.append(twin)
    graph = Graph("batch", tuple(nodes), tuple(given), tuple(wanted))
    plan = plan_memory(graph, calls, load_board("nucleo-h743zi"))
    return Batch(graph, tuple(calls), given, wanted, emit(graph, calls, plan, graph_digest(graph)))


def run_natively(batch: Batch, about: Callable[[str], object]) -> None:
    """With AddressSanitizer and UndefinedBehaviorSanitizer, alignment included; `about` says what a node is."""
    outputs = HostEngine(batch.graph, batch.sources, sanitize=True).run(list(batch.inputs.values()))
    for (name, wanted), got in zip(batch.wanted.items(), outputs, strict=True):
        np.testing.assert_array_equal(got, wanted, f"{name}: {about(name)}")


def run_as_arm_code(
    batch: Batch,
    toolchain: str,
    folder: Path,
    measured: Callable[[str], bool],
    near: tuple[float, float] = (0.6, 1.6),
    least_cycles: int = 3000,
) -> None:
    """On the emulated Cortex-M7, nothing behind the scratch touched; estimate over modelled cycles of `measured` nodes `near`."""
    if toolchain == "gcc":
        need("arm-none-eabi-gcc")
    for name, text in batch.sources.files.items():
        (folder / name).write_text(text)
    with (folder / "model.c").open("a") as model:
        model.write("".join(_entry(call, batch.sources.steps[call.node.name]) for call in batch.calls))
    flags = ("-O2", "-std=c11", "-ffreestanding", "-fno-sanitize=undefined", "-fno-exceptions")
    elf = build_bare([folder / "model.c"], folder / "batch.elf", toolchain, flags, [folder, data_dir("firmware")])
    machine = BareMachine(elf, memory=ALL_HITS)
    for call in batch.calls:
        node, guard = call.node, bytes([0xA5]) * 8
        for k, (name, kind) in enumerate(zip(node.inputs, call.sources, strict=True)):
            machine.write(f"{node.name}_buffer{k}", to_bytes(batch.inputs[name], kind).tobytes())
        behind = machine.address(f"{node.name}_scratch") + _even(call.scratch_bytes)
        machine.write(behind, guard)
        counts = machine.call(f"{node.name}_entry").counts
        data = np.frombuffer(machine.read(f"{node.name}_result", node.type.bytes), np.uint8)
        np.testing.assert_array_equal(from_bytes(data[None], node.type), batch.wanted[node.name], node.name)
        assert machine.read(behind, 8) == guard, node.name
        if counts.modelled_cycles > least_cycles and measured(node.name):
            ratio = call.kernel.cycles(node, call.sources) / counts.modelled_cycles
            assert near[0] < ratio < near[1], (node.name, call.kernel.name, ratio, counts.modelled_cycles / node.type.size)


def _even(size: int) -> int:
    return -(-size // 8) * 8


def _entry(call: Call, function: str) -> str:
    """Buffers of its own for one call, bytes behind its scratch, and a function without arguments."""
    name = call.node.name
    buffers = [(f"{name}_buffer{k}", kind) for k, kind in enumerate(call.sources)] + [(f"{name}_result", call.node.type)]
    lines = [f"uint8_t {buffer}[{kind.bytes}] MCU_ALIGN(8);" for buffer, kind in buffers]
    lines.append(f"uint8_t {name}_scratch[{_even(call.scratch_bytes) + 8}] MCU_ALIGN(8);")
    arguments = [f"(void *){buffer}" for buffer, _ in buffers] + [f"{name}_scratch"] * bool(call.scratch_bytes)
    lines.append(f"void {name}_entry(void);\nvoid {name}_entry(void) {{ {function}({', '.join(arguments)}); }}\n")
    return "\n".join(lines)
