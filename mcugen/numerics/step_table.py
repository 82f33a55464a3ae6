"""Any quantizer as the exact step function of float32 that it is: breakpoints and the code between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from mcugen.ir import Array, Float, Int

_SAMPLES = 1 << 16


class HasCodes(Protocol):
    def codes(self, x: Float) -> Array: ...


@dataclass(frozen=True)
class StepTable:
    """codes[k] holds for breakpoints[k - 1] <= v < breakpoints[k]; ascending float32 (n,), int64 (n + 1,)."""

    breakpoints: Float
    codes: Int


def ordered_to_float(order: Int) -> Float:
    """The float32 whose place in the order of all floats is `order` (int64; 0 is +0.0, -1 is -0.0)."""
    bits = np.where(order >= 0, order, (-order - 1) | 0x80000000).astype(np.uint32)
    return bits.view(np.float32)


def float_to_ordered(value: Float) -> Int:
    """Inverse of `ordered_to_float`."""
    bits = np.asarray(value, np.float32).view(np.uint32).astype(np.int64)
    return np.where(bits & 0x80000000, -(bits & 0x7FFFFFFF) - 1, bits)


def step_table(quantizer: HasCodes, limit: float = 3.0e38) -> StepTable:
    """Bisects every change of code between 65,536 samples, dense where numbers are, from -limit to limit.

    Exact provided that between two neighbouring samples the codes are monotone. There are some 130 samples a binade, and
    every 256th up to 8: turning points, and codes that a tie takes at one point alone (hard swish at -1.5), lie on those.
    """
    orders = _samples(limit)
    codes = quantizer.codes(ordered_to_float(orders))
    lows, highs = _changes(orders, codes)
    breaks: list[Int] = []
    while lows.size:
        lows, highs, found = _halve(quantizer.codes, lows, highs)
        breaks.append(found)
    order = np.sort(np.concatenate(breaks)) if breaks else np.zeros(0, np.int64)
    breakpoints = ordered_to_float(order)
    return StepTable(breakpoints, np.concatenate([codes[:1], quantizer.codes(breakpoints)]).astype(np.int64))


@cache
def _samples(limit: float) -> Int:
    bound = int(float_to_ordered(np.array([limit], np.float32))[0])
    fine = float_to_ordered((np.arange(-2048, 2049) / 256).astype(np.float32))
    return np.unique(np.concatenate([np.linspace(-bound, bound, _SAMPLES).astype(np.int64), fine]))


def _changes(orders: Int, codes: Array) -> tuple[Int, Int]:
    at = np.flatnonzero(codes[1:] != codes[:-1])
    return orders[at], orders[at + 1]


def _halve(codes_of: Callable[[Float], Array], lows: Int, highs: Int) -> tuple[Int, Int, Int]:
    """Splits intervals whose ends differ; returns the halves that still differ and the breakpoints found."""
    done = highs - lows == 1
    found = highs[done]
    lows, highs = lows[~done], highs[~done]
    middle = (lows + highs) >> 1
    at_low, at_mid, at_high = (codes_of(ordered_to_float(x)) for x in (lows, middle, highs))
    left, right = at_low != at_mid, at_mid != at_high
    return (
        np.concatenate([lows[left], middle[right]]),
        np.concatenate([middle[left], highs[right]]),
        found,
    )
