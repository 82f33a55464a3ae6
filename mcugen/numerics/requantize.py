"""Finds integer forms of epilogues and proves each channel equal to the float32 steps over all reachable sums.

First the thresholds: code(acc) is monotone in acc, because every float32 step is, so bisection on the steps themselves
finds for each level the first sum that reaches it. Then a multiplier and an offset that put every threshold on the right
side; such a pair is the proof. Channels without one keep the float32 steps, which are exact by construction.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcugen.ir import Array, Float, Graph, Int, Node
from mcugen.numerics.align import Align
from mcugen.numerics.dyadic import dyadic
from mcugen.numerics.epilogue import Epilogue, Fixed, Raw, Step, Threshold, evaluate
from mcugen.numerics.narrow import Pair

_SUMMING = ("conv2d", "depthwise", "avgpool", "map")
MAX_LEVELS = 1 << 9
_FAR = np.int64(1) << 40
_MOST = np.int64(1) << 30  # magnitude of an offset


def requantize(graph: Graph) -> Graph:
    """Attaches a form to every epilogue that has one."""
    by_name = graph.by_name
    nodes = tuple(_requantize_node(node, by_name) if node.op in _SUMMING else node for node in graph.nodes)
    return replace(graph, nodes=nodes)


def _requantize_node(node: Node, by_name: dict[str, Node]) -> Node:
    source = by_name[node.inputs[0]].type
    if source.kind == "float" or "counts" in node.attrs or node.wide:
        return node
    channels = node.type.channels
    lo = node.attrs.get("acc_lo", np.full(channels, source.lo, np.int64))
    hi = node.attrs.get("acc_hi", np.full(channels, source.hi, np.int64))
    epilogue: Epilogue = node.attrs["epilogue"]
    if epilogue.quantizer is None:
        return node
    if isinstance(epilogue.quantizer, Align):
        return node.but(attrs={**node.attrs, "epilogue": replace(epilogue, form=_raw(epilogue, epilogue.quantizer.step, lo))})
    residual = epilogue.residual
    operands = [step for step in epilogue.steps if step.kind.endswith("_tensor")]
    if operands and residual is None:
        return node
    other = by_name[node.inputs[residual.operand]].type if residual is not None else None
    if not monotone(epilogue.steps) or (other is not None and node.type.bipolar):
        return node
    chain = Chain(epilogue.steps, lo, hi)
    if node.type.bipolar:
        return node.but(attrs={**node.attrs, "epilogue": replace(epilogue, form=chain.bits())})
    if chain.bends():
        return node
    form = None
    if node.type.hi - node.type.lo < MAX_LEVELS and (other is None or (other.kind, other.scale) == ("int", node.type.scale)):
        spread = (other.lo, other.hi) if other is not None else (0, 0)
        form = chain.fixed(node.type.lo, node.type.hi, spread, node.type.scale)
    if form is None or not form.proved.all():
        sources = [by_name[name].type for name in node.inputs]
        form = dyadic(epilogue.steps, sources, lo, hi, chain.saturation(node.type.lo, node.type.hi)) or form
    return node.but(attrs={**node.attrs, "epilogue": replace(epilogue, form=form)})


def monotone(steps: tuple[Step, ...]) -> bool:
    """Whether code(acc) is monotone for a fixed residual: slopes below zero and wavy quantizers are not."""
    slopes = all(step.kind != "slope" or bool(np.all(step.constant >= 0)) for step in steps)
    quantizers = [step.quantizer for step in steps if step.kind in ("codes", "quantize")]
    return slopes and all(quantizer is not None and quantizer.monotone for quantizer in quantizers)


def _raw(epilogue: Epilogue, step: float, lo: Int) -> Raw | None:
    """Whole multiples of the step: an exact change of grid, if no steps but a multiplication and additions come first."""
    folded = epilogue.steps[0].kind == "add"  # what constant inputs give
    steps = epilogue.steps[folded:]
    if [each.kind for each in steps] not in (["mul", "quantize"], ["mul", "add", "quantize"]):
        return None
    factor = steps[0].constant.astype(np.float64) / step
    bias = steps[1].constant.astype(np.float64) / step if len(steps) == 3 else np.zeros(1)
    bias = bias + factor * epilogue.steps[0].constant if folded else bias
    assert (factor == np.rint(factor)).all() and (bias == np.rint(bias)).all()
    whole = [np.broadcast_to(values.astype(np.int64), lo.shape).copy() for values in (factor, bias)]
    return Raw(whole[0], whole[1])


class Chain:
    """The steps seen as a function of (channel, acc), with a residual's value held fixed.

    Arrays are (levels, channels); acc runs in the direction in which codes rise.
    """

    def __init__(self, steps: tuple[Step, ...], lo: Int, hi: Int) -> None:
        self.steps, self.lo, self.hi = steps, lo, hi
        signs = np.prod([np.sign(np.broadcast_to(s.constant, lo.shape)) for s in steps if s.kind == "mul"], axis=0)
        self.rising = np.where(signs < 0, -1, 1).astype(np.int64)
        self.start = np.where(self.rising > 0, lo, -hi)
        self.stop = np.where(self.rising > 0, hi, -lo)

    def codes(self, acc: Int, residual: float | np.float32) -> Array:
        operand = np.asarray(residual, np.float32)
        return evaluate(self.steps, acc.astype(np.float32), [operand] * 8)

    def reaches(self, along: Int, levels: Array, residual: float | np.float32 = 0.0) -> Array:
        return self.codes(along * self.rising, residual) >= levels

    def thresholds(self, levels: Int) -> Int:
        """(levels, channels): the first `along` whose code reaches the level, stop + 1 where none does."""
        low = np.broadcast_to(self.start - 1, (levels.size, self.start.size)).copy()
        high = np.broadcast_to(self.stop + 1, low.shape).copy()
        column = levels[:, None]
        while (high - low > 1).any():
            middle = (low + high) >> 1
            inside = (middle >= self.start) & (middle <= self.stop)
            reached = self.reaches(np.clip(middle, self.start, self.stop), column) & inside
            reached |= middle > self.stop
            high, low = np.where(reached, middle, high), np.where(reached, low, middle)
        return high

    def bits(self) -> Threshold:
        along = self.thresholds(np.array([1]))[0]
        flip = self.rising < 0
        # falling: +1 where -acc >= along, that is not acc >= 1 - along
        return Threshold(np.where(flip, 1 - along, along), flip)

    def fixed(self, lo: int, hi: int, spread: tuple[int, int], step: float) -> Fixed | None:
        """Searches mult and offset; `spread` is the residual's range of codes (on the output's own grid)."""
        lo, hi = self.saturation(lo, hi)
        levels, marks, proved = self._levels(lo, hi, spread, step)
        slope = self.slope(step)
        steepest, reach = float(np.max(np.abs(slope))), int(np.maximum(np.abs(self.lo), np.abs(self.hi)).max())
        top = steepest * reach + float(np.abs(levels).max(initial=0)) + max(abs(s) for s in spread)
        pre = max(0, 30 - reach.bit_length())
        post = min(24, 29 - int(np.ceil(np.log2(max(top, 1.0) + 1))))
        if steepest > 0:
            post = min(post, int(np.floor(pre - 2 - np.log2(steepest))))
        if post < 1 or lo >= hi:
            return None
        mult, offset, found = _Search(self, levels, marks, pre, post).run(slope * 2.0 ** (post + 32 - pre))
        if not (found & proved).any():
            return None
        return Fixed(pre, post, post if spread != (0, 0) else None, lo, hi, mult, offset, found & proved)

    def bends(self) -> bool:
        """Whether a ReLU or a slope lies before other steps, so that no straight line follows the steps."""
        return any(step.kind in ("clip", "slope") for step in self.steps[: self._tail()])

    def _tail(self) -> int:
        """Where the last steps begin that only clip and quantize."""
        last = [i for i, step in enumerate(self.steps) if step.kind not in ("clip", "quantize")]
        return last[-1] + 1 if last else 0

    def saturation(self, lo: int, hi: int) -> tuple[int, int]:
        """The codes at which the last steps saturate: a ReLU before a signed quantizer raises `lo` to 0."""
        ends = evaluate(self.steps[self._tail() :], np.array([-1e30, 1e30], np.float32))
        return max(lo, int(ends[0])), min(hi, int(ends[1]))

    def slope(self, step: float) -> Array:
        """Levels per unit of acc, float64 per channel: the product of the multipliers."""
        slope = np.full(self.lo.shape, 1.0 / step)
        for each in self.steps:
            if each.kind in ("mul", "div"):
                value = each.constant.astype(np.float64)
                slope = slope * value if each.kind == "mul" else slope / value
        return slope

    def _levels(self, lo: int, hi: int, spread: tuple[int, int], step: float) -> tuple[Int, Int, Array]:
        """Positions that acc alone must reach, their thresholds, and the channels where these hold for every residual.

        Adding a residual code r shifts levels by r exactly, except where float32 rounding or a tie intervenes; those
        few (level, channel) pairs are checked at both sides of the threshold for every r.
        """
        if spread == (0, 0):
            levels = np.arange(lo + 1, hi + 1, dtype=np.int64)
            return levels, self.thresholds(levels), np.ones(self.lo.shape, bool)
        levels = np.arange(lo + 1 - spread[1], hi + 1 - spread[0], dtype=np.int64)
        wide = Chain(self._unclipped(step), self.lo, self.hi)
        wide.rising, wide.start, wide.stop = self.rising, self.start, self.stop
        marks = wide.thresholds(levels)
        proved = np.ones(self.lo.shape, bool)
        for r in range(spread[0], spread[1] + 1):
            value = np.float32(r * step)
            seen = (levels + r > lo) & (levels + r <= hi)
            column, near = (levels + r)[seen][:, None], marks[seen]
            above = ~self.reaches(np.minimum(near, self.stop), column, value) & (near <= self.stop)
            below = self.reaches(np.maximum(near - 1, self.start), column, value) & (near > self.start)
            proved &= ~(above | below).any(axis=0)
        return levels, marks, proved

    def _unclipped(self, step: float) -> tuple[Step, ...]:
        return (*self.steps[:-1], Step("quantize", quantizer=_Wide(step)))  # type: ignore[arg-type]


class _Wide:
    """Rounding without clipping: the level that a sum reaches on its own."""

    def __init__(self, step: float) -> None:
        self.step = np.float32(step)

    def codes(self, x: Float) -> Int:
        codes: Int = np.rint(np.clip(x / self.step, -1e9, 1e9)).astype(np.int64)
        return codes


class _Search:
    """For every channel an integer line that passes above each threshold and below the sum before it.

    With F(a) = (a << pre) * mult >> 32, level k at threshold t demands F(t) + offset >= k << post > F(t - 1) + offset.
    The room for the offset is concave in mult, so a ternary search finds the widest.
    """

    def __init__(self, chain: Chain, levels: Int, marks: Int, pre: int, post: int) -> None:
        self.goal = (levels << post)[:, None]
        self.reached, self.missed = (marks * chain.rising) << pre, ((marks - 1) * chain.rising) << pre
        self.has_reached, self.has_missed = marks <= chain.stop, marks > chain.start

    def room(self, mult: Int, use: Array) -> tuple[Int, Int]:
        """Smallest and largest offset that satisfy all levels of the channels in `use`."""
        low = self.goal - (self.reached[:, use] * mult >> 32)
        high = self.goal - 1 - (self.missed[:, use] * mult >> 32)
        low = np.where(self.has_reached[:, use], low, -_FAR).max(axis=0)
        return low, np.where(self.has_missed[:, use], high, _FAR).min(axis=0)

    def run(self, centre: Array) -> tuple[Int, Int, Array]:
        """mult, offset and whether the pair is a proof, each (channels,); `centre` is the ideal multiplier."""
        mult = np.rint(centre).astype(np.int64)
        low, high = self.room(mult, np.arange(mult.size))
        hard = np.flatnonzero(low > high)
        if hard.size:
            mult[hard] = self._widest(mult[hard], hard)
            low[hard], high[hard] = self.room(mult[hard], hard)
        low, high = np.maximum(low, -_MOST), np.minimum(high, _MOST)
        found = (low <= high) & (np.abs(mult) < 1 << 31)
        if not found.any():
            return np.zeros_like(mult), np.zeros_like(mult), found
        use = np.flatnonzero(found)
        short = self._shortest(mult[use], use)
        numbers = [np.full_like(mult, each[0]) for each in short]  # what channels without a line have does not matter
        for filled, each in zip(numbers, short, strict=True):
            filled[use] = each
        return numbers[0], numbers[1], found

    def _shortest(self, mult: Int, use: Array) -> tuple[Int, Int]:
        """mult and offset of the channels in `use`, whose tables take the fewest bytes."""
        best, least = (mult, mult), 1 << 40
        for bits in (32, 16, 8):
            step = 1 << max(0, int(np.abs(mult).max()).bit_length() + 1 - bits)
            tried = np.clip(np.rint(mult / step), -(1 << (bits - 1)), (1 << (bits - 1)) - 1).astype(np.int64) * step
            low, high = self.room(tried, use)
            low, high = np.maximum(low, -_MOST), np.minimum(high, _MOST)
            if (low > high).any():
                break
            offset = _roundest(low, high)
            size = Pair.of(tried, offset).bytes
            if size < least:
                best, least = (tried, offset), size
        return best

    def _widest(self, mult: Int, use: Array) -> Int:
        def gap(candidate: Int) -> Int:
            low, high = self.room(candidate, use)
            return high - low

        most = (1 << 31) - 1
        ends = np.clip(np.stack([mult // 8, mult * 4]), -most, most)
        left, right = ends.min(axis=0), ends.max(axis=0)
        for _ in range(60):
            third = (right - left) // 3
            better_right = gap(left + third) < gap(right - third)
            left, right = np.where(better_right, left + third, left), np.where(better_right, right, right - third)
        candidates = [(left + right) >> 1, left, right]
        gaps = np.stack([gap(candidate) for candidate in candidates])
        best: Int = np.take_along_axis(np.stack(candidates), gaps.argmax(axis=0)[None], axis=0)[0]
        return best


def _roundest(low: Int, high: Int) -> Int:
    """Numbers between low and high: the same for all if possible, else with as many zeros at the end as all can have."""
    if low.max() <= high.min():
        low, high = np.full_like(low, low.max()), np.full_like(high, high.min())
    zeros = 0
    while zeros < 31 and (-(-low >> (zeros + 1)) << (zeros + 1) <= high).all():
        zeros += 1
    middle = (low + high) >> 1 >> zeros << zeros
    numbers: Int = np.where(middle < low, middle + (1 << zeros), middle)
    return numbers
