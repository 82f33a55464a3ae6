"""Where integers can equal QKeras's float32 bit for bit, and the reason where that cannot be promised."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mcugen.epilogue import Epilogue, Fixed
from mcugen.ir import Graph, Node

FLOAT32_INTEGERS = 1 << 24


def doubts(graph: Graph) -> Mapping[str, tuple[str, ...]]:
    """For every node why it may differ from QKeras, its inputs being equal; an empty tuple means it cannot."""
    return {node.name: tuple(_doubts(node, graph)) for node in graph.nodes}


def promised(graph: Graph) -> frozenset[str]:
    """Nodes that equal QKeras in the golden environment: neither they nor anything before them is in doubt."""
    own, good = doubts(graph), set[str]()
    for node in graph.nodes:
        if not own[node.name] and all(source in good for source in node.inputs):
            good.add(node.name)
    return frozenset(good)


def _doubts(node: Node, graph: Graph) -> list[str]:
    found = []
    if node.type.kind == "int" and not _power_of_two(node.type.scale):
        found.append(f"its step {node.type.scale:.6g} is no power of two")
    if "acc_lo" in node.attrs:
        epilogue: Epilogue = node.attrs["epilogue"]
        scale = epilogue.steps[0].constant
        if not all(_power_of_two(float(s)) for s in np.atleast_1d(scale)):
            found.append("its weight scale is no power of two, so QKeras's sums round")
        elif _largest(node) >= FLOAT32_INTEGERS:
            found.append(f"sums up to {_largest(node):,} exceed float32's exact integers (2^24)")
    return found


def _largest(node: Node) -> int:
    return max(-int(node.attrs["acc_lo"].min()), int(node.attrs["acc_hi"].max()))


def _power_of_two(value: float) -> bool:
    return value == 0 or math.frexp(abs(value))[0] == 0.5


def proof(node: Node) -> tuple[int, int] | None:
    """(channels proved equal in fixed point, all channels); the others compute QKeras's own float32 steps."""
    epilogue: Epilogue | None = node.attrs.get("epilogue")
    if epilogue is None or epilogue.quantizer is None:
        return None
    channels = node.type.channels
    if epilogue.form is None:
        return 0, channels
    if isinstance(epilogue.form, Fixed):
        return int(np.broadcast_to(epilogue.form.proved, (channels,)).sum()), channels
    return channels, channels
