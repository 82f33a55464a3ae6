"""How far values can go, and on which grid they lie: interval arithmetic over the steps of an epilogue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcugen.ir import Array, Node, TensorType
from mcugen.numerics.align import EXACT
from mcugen.numerics.epilogue import Step

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Range:
    """Real values between lo and hi (float64, one a channel or one for all), multiples of `step` where that is known."""

    lo: Reals
    hi: Reals
    step: float | None

    @property
    def largest(self) -> float:
        return float(np.maximum(np.abs(self.lo), np.abs(self.hi)).max())

    @property
    def exact(self) -> bool:
        """Whether float32 holds each of these values exactly."""
        return self.step is not None and self.largest < EXACT * self.step

    def on(self, step: float | None) -> Range:
        """The same range on another grid; none where float32 would round."""
        found = replace(self, step=step)
        return found if found.exact else replace(self, step=None)


def power_of_two(value: float) -> bool:
    return value == 0 or math.frexp(abs(value))[0] == 0.5


def lowest_bit(values: Array) -> float:
    """The largest power of two of which all values are multiples (infinity if all are zero)."""
    sizes = np.abs(np.asarray(values, np.float64)).ravel()
    mantissas, exponents = np.frexp(sizes[sizes != 0])
    if not mantissas.size:
        return math.inf
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    return float(np.ldexp((whole & -whole).astype(np.float64), exponents - 53).min())


def of_type(kind: TensorType) -> Range | None:
    """The range of a tensor of codes."""
    if kind.kind == "float":
        return None
    scale = float(np.float32(kind.scale))
    return Range(np.array([kind.lo * scale]), np.array([kind.hi * scale]), scale)


def of_sums(node: Node) -> Range:
    """The range of a summing node's integers."""
    return Range(node.attrs["acc_lo"].astype(np.float64), node.attrs["acc_hi"].astype(np.float64), 1.0)


def follow(steps: Sequence[Step], start: Range, others: Sequence[Range | None]) -> Range | None:
    """The range after all steps but a final "quantize"; None where it is not known. others: the tensor operands."""
    value: Range | None = start
    for step in steps:
        if value is None or step.kind == "quantize":
            return value
        if step.kind == "codes":
            assert step.quantizer is not None
            value = Range(np.array([float(step.quantizer.lo)]), np.array([float(step.quantizer.hi)]), 1.0)
        elif step.kind.endswith("_tensor"):
            other = others[step.operand - 1] if step.operand - 1 < len(others) else None
            value = None if other is None else _pairwise(step.kind, value, other)
        else:
            value = _constant(step, value)
    return value


def _pairwise(kind: str, a: Range, b: Range) -> Range:
    steps = None if a.step is None or b.step is None else (a.step, b.step)
    tidy = steps is not None and (a.step == b.step or (power_of_two(steps[0]) and power_of_two(steps[1])))
    step = min(steps) if tidy and steps is not None else None
    if kind == "mul_tensor":
        corners = np.stack(np.broadcast_arrays(a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi))
        return Range(corners.min(axis=0), corners.max(axis=0), None).on(steps[0] * steps[1] if tidy and steps else None)
    lo, hi = {
        "add_tensor": (a.lo + b.lo, a.hi + b.hi),
        "sub_tensor": (a.lo - b.hi, a.hi - b.lo),
        "max_tensor": (np.maximum(a.lo, b.lo), np.maximum(a.hi, b.hi)),
        "min_tensor": (np.minimum(a.lo, b.lo), np.minimum(a.hi, b.hi)),
    }[kind]
    return Range(lo, hi, None).on(step)


def _constant(step: Step, value: Range) -> Range | None:
    if step.kind == "div_count":
        return Range(np.minimum(value.lo, 0), np.maximum(value.hi, 0), None)
    c = step.constant.astype(np.float64)
    if step.kind == "clip":
        finite = c[np.isfinite(c)]
        return Range(np.clip(value.lo, *c), np.clip(value.hi, *c), None).on(_finer(value.step, finite))
    if step.kind in ("add", "sub"):
        signed = c if step.kind == "add" else -c
        return Range(value.lo + signed, value.hi + signed, None).on(_finer(value.step, c))
    if step.kind == "slope":
        ends = np.stack([np.where(x >= 0, x, x * c) for x in (value.lo, value.hi)])
        low = np.where((value.lo < 0) & (value.hi > 0), np.minimum(ends.min(axis=0), 0), ends.min(axis=0))
        return Range(low, ends.max(axis=0), None).on(_scaled(value.step, np.append(c, 1.0)))
    factor = c if step.kind == "mul" else 1 / c
    ends = np.stack([value.lo * factor, value.hi * factor])
    return Range(ends.min(axis=0), ends.max(axis=0), None).on(_scaled(value.step, factor))


def _finer(step: float | None, constants: Array) -> float | None:
    """The grid on which multiples of step and the constants lie together."""
    own = lowest_bit(constants)
    if step is None or (own < math.inf and not power_of_two(step)):
        return None
    return min(step, own)


def _scaled(step: float | None, factors: Array) -> float | None:
    """The grid of multiples of step times any of the factors."""
    sizes = np.unique(np.abs(factors[factors != 0]))
    if step is None or not sizes.size:
        return step
    if sizes.size > 1 and not (power_of_two(step) and all(power_of_two(float(f)) for f in sizes)):
        return None
    return step * float(np.float32(sizes[0]))
