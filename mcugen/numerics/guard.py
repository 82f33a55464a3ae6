"""Integer lines for channels that `requantize` could not prove: right but for a narrow band, which kernels detect.

Float32 rounding shifts thresholds by some hundredths of a sum, too much for one line through all of them. A line that lies
above every threshold is wrong only just below one; a kernel that finds itself there asks the float32 steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mcugen.ir import Int, Node
from mcugen.numerics.align import Align
from mcugen.numerics.epilogue import Epilogue
from mcugen.numerics.requantize import MAX_LEVELS, Chain, monotone

POST = 16  # the fraction fills a halfword, so that two are compared at once
NEVER = 1 << POST


@dataclass(frozen=True)
class Guard:
    """codes = clip(v >> POST, lo, hi) with v = offset + ((acc << pre) * mult >> 32), proved where v % 2^POST >= width.

    mult, offset, width: int64 (channels,); width is NEVER where there is no such line.
    """

    pre: int
    lo: int
    hi: int
    mult: Int
    offset: Int
    width: Int


def guard(node: Node) -> Guard | None:
    """Lines for all channels of a node that sums; None where the codes are not monotone in the sum, or no bytes."""
    return _guard(_Key(node))


class _Key:
    """A node as a key of the cache: the same epilogue object stands for the same node."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __hash__(self) -> int:
        return id(self.node.attrs["epilogue"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.node.attrs["epilogue"] is other.node.attrs["epilogue"]


@lru_cache(maxsize=256)
def _guard(key: _Key) -> Guard | None:
    node = key.node
    epilogue: Epilogue = node.attrs["epilogue"]
    operands = any(step.kind.endswith("_tensor") for step in epilogue.steps)
    if epilogue.quantizer is None or isinstance(epilogue.quantizer, Align) or operands or node.type.bits != 8:
        return None
    if not monotone(epilogue.steps) or node.type.hi - node.type.lo >= MAX_LEVELS:
        return None
    chain = Chain(epilogue.steps, node.attrs["acc_lo"], node.attrs["acc_hi"])
    lo, hi = chain.saturation(node.type.lo, node.type.hi)
    reach = int(np.maximum(np.abs(chain.lo), np.abs(chain.hi)).max())
    pre = max(0, 30 - reach.bit_length())
    ideal = np.rint(chain.slope(node.type.scale) * 2.0 ** (POST + 32 - pre))
    usable = (np.abs(ideal) < 2.0**31) & (ideal * chain.rising >= 0)
    mult = np.where(usable, ideal, 0).astype(np.int64)
    levels = np.arange(lo + 1, hi + 1, dtype=np.int64)
    marks, goal = chain.thresholds(levels), (levels << POST)[:, None]

    def scaled(along: Int) -> Int:
        return ((along * chain.rising) << pre) * mult >> 32

    # v reaches each level at its threshold; how far below the threshold does it already reach the level?
    far = np.int64(1) << 40
    lowest = np.where(marks <= chain.stop, goal - scaled(marks), -far).max(axis=0, initial=-far)
    offset = np.where(lowest == -far, (lo << POST) - scaled(chain.stop), lowest)
    early = np.where(marks > chain.start, scaled(marks - 1) + offset - goal + 1, 0)
    width = np.maximum(early.max(axis=0, initial=0), 0)
    largest = np.maximum(np.abs(scaled(chain.start) + offset), np.abs(scaled(chain.stop) + offset))
    usable &= (width < NEVER) & (np.maximum(largest, np.abs(offset)) < (1 << 31) - NEVER)
    return Guard(pre, lo, hi, mult, np.where(usable, offset, 0), np.where(usable, width, NEVER))
