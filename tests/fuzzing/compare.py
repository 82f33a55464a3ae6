"""Compares a graph's reference with QKeras: bit for bit where promised, elsewhere layer by layer given equal inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcugen.interpret import decode, interpret
from mcugen.ir import Array, Float, Graph, Node
from mcugen.numerics.align import Align
from mcugen.numerics.epilogue import Epilogue
from mcugen.numerics.exactness import promised
from mcugen.ops import OPERATORS
from mcugen.simplify.dead_channels import kept

FLOAT_TOLERANCE = 2.0**-16  # of the largest value of the tensor, for what is stored in float
NEAR = 1e-4  # of a level
ROUNDING = 2.0**-20  # of the largest value of the tensor: how far a sum that cancels may be from its integer


@dataclass(frozen=True)
class Row:
    """One tensor: `off` values differ from QKeras given equal inputs, `wrong` of them by more than one level.

    `broken`: the tensor is promised equal and is not.
    """

    layer: str
    op: str
    values: int
    off: int
    wrong: int
    promised: bool
    broken: int

    @property
    def bad(self) -> bool:
        return self.broken > 0 or self.wrong > 0


def compare(graph: Graph, inputs: Sequence[Array], golden: Mapping[str, Float]) -> list[Row]:
    """inputs: codes of the graph's inputs; golden: float32 by Keras layer name."""
    sure = promised(graph)
    free = interpret(graph, inputs, keep=True)
    forced: dict[str, Array] = dict(zip(graph.inputs, inputs, strict=True))
    rows = []
    for node in graph.nodes:
        if node.op == "input":
            continue
        sources = [graph[name].type for name in node.inputs]
        made = OPERATORS[node.op].reference(node, sources, [forced[name] for name in node.inputs])
        forced[node.name] = made
        if node.name not in golden:
            continue
        want = kept(node, golden[node.name]).reshape(made.shape)
        broken = int((decode(free[node.name], node.type) != want).sum()) if node.name in sure else 0
        off, wrong = differing(node, made, want)
        rows.append(Row(node.name, node.op, made.size, off, wrong, node.name in sure, broken))
        forced[node.name] = want if node.type.kind == "float" else to_codes(node, want)
    return rows


def to_codes(node: Node, values: Float) -> Array:
    codes = np.rint(values.astype(np.float64) / np.float64(np.float32(node.type.scale)))
    return np.clip(codes, node.type.lo, node.type.hi).astype(np.int64)


def differing(node: Node, made: Array, want: Float) -> tuple[int, int]:
    """How many values differ at all, and by more than a level (floats: more than the tolerance)."""
    values = decode(made, node.type)
    off = values != want
    epilogue: Epilogue | None = node.attrs.get("epilogue")
    if node.type.kind == "float" or epilogue is None or epilogue.quantizer is None:
        unit = 1.0 if node.op == "curve" else max(float(np.abs(want).max()), 1e-20)
        near = 0.0 if node.type.kind == "float" else NEAR * node.type.scale  # moved codes: QKeras's x + (q - x) of before
        far = np.abs(values.astype(np.float64) - want) > max(FLOAT_TOLERANCE * unit, near)
        return int(off.sum()), int(far.sum())
    codes = to_codes(node, want)
    table = None if epilogue.quantizer.linear else epilogue.steps[-1].table
    if table is not None:
        levels = np.unique(table.codes)
        codes, made = np.searchsorted(levels, codes), np.searchsorted(levels, made)
    rounding = ROUNDING * np.abs(want).max() if isinstance(epilogue.quantizer, Align) else 0.0
    allowed = np.maximum(NEAR * node.type.scale * np.maximum(1, np.abs(codes)), rounding)
    near = np.abs(decode(to_codes(node, want), node.type) - want) < allowed
    off &= (codes != made) | ~near
    return int(off.sum()), int(((np.abs(codes - made) > 1) | ~near).sum())
