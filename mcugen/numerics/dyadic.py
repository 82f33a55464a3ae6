"""Integer forms of steps that never round: constants and scales are powers of two, or short sums of them.

Every float32 step but the last is then exact, which is shown by the size and the grid of its results, and the last one
rounds half to even: an exact sum of integers and one rounding shift say the same. Such are layers without batch
normalization.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcugen.ir import Array, Int, TensorType
from mcugen.numerics.epilogue import Fixed, Step

_EXACT = float(1 << 24)  # float32 holds all multiples of its grid up to this many


def dyadic(
    steps: Sequence[Step], sources: Sequence[TensorType], lo: Int, hi: Int, limits: tuple[int, int]
) -> Fixed | None:
    """The rounding form; None where a step may round or the integers would not fit.

    lo, hi: reachable sums (channels,); limits: the codes at which the last steps saturate.
    """
    quantizer = steps[-1].quantizer
    if quantizer is None or not quantizer.monotone or steps[-1].rounding is None or limits[0] >= limits[1]:
        return None
    walk = _Walk(lo, hi)
    tail = False
    for step in steps[:-1]:
        tail |= step.kind == "clip"
        if (tail and step.kind != "clip") or not walk.take(step, sources):
            return None
    return walk.form(1.0 / steps[-1].rounding, limits)


class _Walk:
    """value = acc * factor + bias + residual * coefficient, exact in float64; one (channels,) array each."""

    def __init__(self, lo: Int, hi: Int) -> None:
        self.reach = np.maximum(np.abs(lo), np.abs(hi)).astype(np.float64)
        self.factor, self.bias = np.ones(lo.shape), np.zeros(lo.shape)
        self.coefficient, self.spread = 0.0, 0.0

    def take(self, step: Step, sources: Sequence[TensorType]) -> bool:
        """Applies the step; whether its float32 result is exact for all sums and residuals."""
        if step.kind == "clip":
            return True
        if step.kind == "add_tensor":
            other = sources[step.operand]
            if self.coefficient or other.kind != "int" or not _is_power(other.scale):
                return False
            self.coefficient, self.spread = other.scale, float(max(-other.lo, other.hi)) * other.scale
        elif step.kind in ("mul", "div", "add", "sub"):
            value = step.constant.astype(np.float64)
            if not np.isfinite(value).all() or (step.kind == "div" and not _is_power(value)):
                return False
            self._combine(step.kind, value)
        else:
            return False
        return bool((self._grid() > 0).all() and (self._most() <= _EXACT * self._grid()).all())

    def _combine(self, kind: str, value: Array) -> None:
        if kind in ("mul", "div"):
            by = value if kind == "mul" else 1.0 / value
            self.factor, self.bias = self.factor * by, self.bias * by
            if self.coefficient:  # a residual that is scaled by channels: no form has that
                self.coefficient = np.nan
        else:
            self.bias = self.bias + (value if kind == "add" else -value)

    def _most(self) -> Array:
        most: Array = self.reach * np.abs(self.factor) + np.abs(self.bias) + self.spread
        return most

    def _grid(self) -> Array:
        """The largest power of two of which factor, bias and coefficient are multiples; 0 if there is none."""
        if np.isnan(self.coefficient):
            return np.zeros(1)
        return np.minimum(np.minimum(_lowest_bit(self.factor), _lowest_bit(self.bias)), _lowest_bit(np.array(self.coefficient)))

    def form(self, unit: float, limits: tuple[int, int]) -> Fixed | None:
        grid = float(min(self._grid().min(), unit / 2))
        post, reach = round(np.log2(unit / grid)), int(self.reach.max())
        pre = max(0, 30 - reach.bit_length())
        factor = self.factor / grid
        mult, offset = np.rint(factor * 2.0 ** (32 - pre)), np.rint(self.bias / grid)
        fits = post <= 24 and (np.abs(mult) < 2.0**31).all() and (self._most() / grid + (1 << post) < 2.0**30).all()
        if not fits or reach >= 1 << 24:
            return None
        shift = round(np.log2(self.coefficient / grid)) if self.coefficient else None
        proved = np.ones(self.factor.shape, bool)
        return Fixed(pre, post, shift, *limits, mult.astype(np.int64), offset.astype(np.int64), proved, even=True)


def _is_power(value: Array | float) -> bool:
    return bool(np.all(np.asarray(value) > 0) and np.all(np.frexp(value)[0] == 0.5))


def _lowest_bit(value: Array) -> Array:
    """The power of two of the last bit set; infinity for 0."""
    mantissa, exponent = np.frexp(value)
    whole = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    return np.where(whole == 0, np.inf, np.ldexp((whole & -whole).astype(np.float64), exponent - 53))
