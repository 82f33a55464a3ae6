"""Chooses a kernel for every node by what it costs in the measure that the user asked for."""

from __future__ import annotations

from dataclasses import dataclass

from mcugen.errors import McugenError
from mcugen.ir import Board, Graph, Node, TensorType
from mcugen.kernels import kernels_of
from mcugen.ops.base import Call, Kernel

GOALS = ("time", "flash", "ram")


@dataclass(frozen=True)
class Cost:
    """Modelled cycles, bytes of code, tables and weights in flash, bytes of scratch."""

    cycles: float
    flash_bytes: int
    scratch_bytes: int


def select_kernels(graph: Graph, board: Board, goal: str = "time") -> tuple[Call, ...]:
    """One call a node that computes; ties go to the kernel listed first."""
    by_name = graph.by_name
    calls = []
    for node in graph.nodes:
        if node.op != "input":
            sources = tuple(by_name[name].type for name in node.inputs)
            calls.append(_choose(node, sources, goal))
    return tuple(calls)


def kernels_for(node: Node, sources: tuple[TensorType, ...]) -> list[Kernel]:
    """Every kernel that can compute the node, fastest first."""
    return sorted(_applying(node, sources), key=lambda kernel: kernel.cycles(node, sources))


def _applying(node: Node, sources: tuple[TensorType, ...]) -> list[Kernel]:
    signs = bool(node.attrs.get("sign_input"))
    able = [k for k in kernels_of(node.op) if (k.takes_signs or not signs) and (k.takes_wide or not node.wide)]
    return [k for k in able if k.applies(node, sources)]


def _choose(node: Node, sources: tuple[TensorType, ...], goal: str) -> Call:
    kernels = _applying(node, sources)
    if not kernels:
        kinds = ", ".join(f"{source.stored} {source.shape}" for source in sources)
        raise McugenError(node.name, f"no {node.op} kernel takes {kinds}", "use 8 or 16 bits in the layers before it")
    costs = {kernel.name: cost(kernel, node, sources) for kernel in kernels}
    best = min(kernels, key=lambda kernel: _rank(costs[kernel.name], goal))
    rejected = {name: each.cycles for name, each in costs.items() if name != best.name}
    return Call(node, sources, best, rejected)


def cost(kernel: Kernel, node: Node, sources: tuple[TensorType, ...]) -> Cost:
    """What the kernel states about itself for this node."""
    flash = kernel.code_bytes + sum(constant.values.nbytes for constant in kernel.constants(node, sources))
    return Cost(kernel.cycles(node, sources), flash, kernel.scratch_bytes(node, sources))


def _rank(each: Cost, goal: str) -> tuple[float, ...]:
    if goal == "flash":
        return (each.flash_bytes, each.cycles)
    if goal == "ram":
        return (each.scratch_bytes, each.cycles)
    return (each.cycles, each.flash_bytes)
