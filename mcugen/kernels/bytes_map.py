"""Elementwise steps on 8-bit codes: saturating sums of four bytes at a time, other steps by a table of all sums.

C twins: firmware/mcu_bytes.h and templates/kernels/fast_map.c.j2. Cycles are fitted to modelled Cortex-M7 cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.ir import Float, Int, Node, TensorType
from mcugen.kernels.int8_pack import eight_bits
from mcugen.numerics.epilogue import Epilogue, Step, evaluate
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import residual_in_place
from mcugen.ops.overlap import element_lead

TABLE_BYTES = 2048  # larger ones would push other data out of the cache


@dataclass(frozen=True)
class Lookup:
    """A map as codes = table[t - lowest], t = sum of code_k * factors[k] over the inputs; the table reaches to t = 0."""

    factors: tuple[int, ...]
    lowest: int
    table: Int

    def saturates(self, sources: Sequence[TensorType]) -> tuple[int, int, int] | None:
        """(is_signed, lo, hi) where the codes are clip(t, lo, hi) and instructions on four bytes can compute that."""
        lo, hi = int(self.table.min()), int(self.table.max())
        sums = np.arange(self.lowest, self.lowest + self.table.size)
        if len(sources) > 2 or self.factors[0] != 1 or set(self.factors) - {1, -1} or (self.table != sums.clip(lo, hi)).any():
            return None
        ends = (min(lo, *(s.lo for s in sources)), max(hi, *(s.hi for s in sources)))
        if ends[0] >= -128 and ends[1] <= 127:
            return (1, lo, hi) if hi >= 0 else None
        return (0, lo, hi) if ends[0] >= 0 else None


def lookup(node: Node, sources: Sequence[TensorType]) -> Lookup | None:
    """The table, where the steps see nothing but an exact sum of the inputs and are the same in all channels."""
    epilogue: Epilogue = node.attrs["epilogue"]
    tensors = [i for i, step in enumerate(epilogue.steps) if step.kind.endswith("_tensor")]
    cut = tensors[-1] + 1 if tensors else 0
    before, after = epilogue.steps[:cut], epilogue.steps[cut:]
    exact = _exact_sum(before, sources) if before else ((1,), 1.0)
    if exact is None:
        return None
    factors, unit = exact
    ends = [sorted((source.lo * factor, source.hi * factor)) for source, factor in zip(sources, factors, strict=True)]
    lowest, highest = min(0, sum(end[0] for end in ends)), max(0, sum(end[1] for end in ends))
    table = table_of(after, lowest, highest, unit)
    return None if table is None else Lookup(factors, lowest, table)


def table_of(steps: Sequence[Step], lowest: int, highest: int, unit: float = 1.0) -> Int | None:
    """The codes of all sums from lowest to highest times unit, where steps are the same in all channels and these few."""
    several = any(step.value is not None and step.kind != "clip" and step.constant.size > 1 for step in steps)
    if several or highest - lowest >= TABLE_BYTES:
        return None
    sums: Float = (np.arange(lowest, highest + 1) * unit).astype(np.float32)
    return evaluate(steps, sums)


def _exact_sum(steps: Sequence[Step], sources: Sequence[TensorType]) -> tuple[tuple[int, ...], float] | None:
    """(factor of each input, unit) where the steps only add codes on grids that are powers of two, so never round."""
    first, *others = steps
    if first.kind != "mul" or first.constant.size != 1 or {step.kind for step in others} - {"add_tensor", "sub_tensor"}:
        return None
    scales = {0: float(first.constant)} | {step.operand: sources[step.operand].scale for step in others}
    if len(scales) != len(sources) or len(others) != len(sources) - 1:
        return None
    if any(scale <= 0 or np.frexp(scale)[0] != 0.5 for scale in scales.values()):
        return None
    unit = min(scales.values())
    signs = {step.operand: -1 if step.kind == "sub_tensor" else 1 for step in others}
    return tuple(signs.get(k, 1) * round(scales[k] / unit) for k in range(len(sources))), unit


class FastMap(Kernel):
    """Bytes to bytes, four at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return all(eight_bits(kind) for kind in (node.type, *sources)) and lookup(node, sources) is not None

    def _plan(self, node: Node, sources: Sequence[TensorType]) -> tuple[Lookup, tuple[int, int, int] | None]:
        found = lookup(node, sources)
        assert found is not None
        return found, found.saturates(sources)

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        found, words = self._plan(node, sources)
        return () if words else (Constant("table", "uint8_t", (found.table & 255).astype(np.uint8)),)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        found, words = self._plan(node, sources)
        is_signed, lo, hi = words or (0, 0, 0)
        least, most = (-128, 127) if is_signed else (0, 255)
        names = ["in", *(f"in{k}" for k in range(1, len(sources)))]
        return {
            "size": node.type.size, "words": words is not None, "zero": -found.lowest, "is_signed": is_signed,
            "sources": [{"name": name, "type": source.c_type, "factor": factor}
                        for name, source, factor in zip(names, sources, found.factors, strict=True)],
            "least": (lo & 255) * 0x01010101 if lo > least else None,
            "spare": (most - hi) * 0x01010101,
        }  # fmt: skip

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        words = self._plan(node, sources)[1]
        return node.type.size * (0.3 + 0.7 * len(sources) if words else 1.4 + 2.1 * len(sources)) + 20.0

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return element_lead(node, sources[0]) if i == 0 else None
