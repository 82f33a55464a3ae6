"""Convolutions with weights of 2 and 4 bits (ternary among them): how they are cut, when they apply, what they cost.

C twins: firmware/mcu_subbyte.h, which has the arithmetic, and templates/kernels/subbyte_conv.c.j2. Cycles are fitted to
modelled Cortex-M7 cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.ir import Int, Node, TensorType
from mcugen.kernels.subbyte_finish import finish_line, finish_params
from mcugen.kernels.subbyte_pack import EIGHT, SIXTEEN, pack_fields, pack_nested, padded, parts_of
from mcugen.numerics.narrow import Narrow
from mcugen.numerics.packing import weight_bits
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import geometry, residual_in_place
from mcugen.ops.overlap import lead, window_marks
from mcugen.shapes import image

TILE_BYTES = 8192  # of scratch, so that columns stay in a cache of 16 KiB; one group of pixels may take more


@dataclass(frozen=True)
class _Cut:
    """How a layer is cut.

    bits: of a weight; pixels: of a group; channels: taken at once; taps: terms of a pixel; parts x terms: of the columns;
    words: scratch words of a group; groups: in a tile; width: of a field.
    """

    bits: int
    pixels: int
    channels: int
    taps: int
    parts: int
    terms: int
    words: int
    groups: int
    width: int = 0

    @property
    def row_words(self) -> int:
        """Words of weights of the channels that are taken at once."""
        return self.parts * self.terms * self.channels * self.bits // 32

    def whole(self, channels: int) -> int:
        """Channels with those that fill the last turn."""
        return -(-channels // self.channels) * self.channels


class _SubbyteConv(Kernel):
    """What both kernels share: all pixels' windows as columns, a tile at a time."""

    by_rows = True
    turn = EIGHT

    def takes(self, source: TensorType) -> bool:
        raise NotImplementedError

    def cut(self, node: Node, source: TensorType) -> _Cut:
        raise NotImplementedError

    def pack(self, rows: Int, bits: int) -> Int:
        raise NotImplementedError

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        narrow = weight_bits(node.attrs["weight_type"]) <= 4 and node.attrs["groups"] == 1
        return narrow and sources[0].kind == "int" and self.takes(sources[0])

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        cut = self.cut(node, sources[0])
        rows = self.rows(node)
        count = cut.whole(len(rows))
        words = self.pack(padded(rows, count, cut.parts * cut.terms), cut.bits)
        made = [Constant("weights", "uint32_t", np.append(words, np.zeros(1, words.dtype)), role="weights")]
        less = self.less(node, sources[0])
        made += less.constants("less") if less else ()
        line = finish_line(node, sources, count)
        made += line.constants("line") if line else ()
        if any(node.attrs["pads"]):
            made.append(Constant("border", "uint32_t", np.zeros(-(-sources[0].channels * sources[0].bits // 32), np.uint32)))
        return tuple(made)

    def rows(self, node: Node) -> Int:
        """Weights (channels, terms) in the order of the columns."""
        rows: Int = np.moveaxis(node.attrs["weights"], 3, 0).reshape(node.type.channels, -1)
        return rows

    def less(self, node: Node, source: TensorType) -> Narrow | None:
        """What sums of widened codes have too much, by channel."""
        rows = self.rows(node)
        sums = _offset(source) * rows.sum(axis=1)
        more = self.cut(node, source).whole(len(rows)) - len(rows)
        return Narrow.of(np.pad(sums, (0, more), mode="edge")) if _offset(source) else None

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        source, cut = sources[0], self.cut(node, sources[0])
        g = geometry(node, source)
        sign = 1 << (source.bits - 1)
        return {
            **g, "cut": cut, "core": self.name, "border": any(node.attrs["pads"]), "in_bits": source.bits,
            "flat": g["kh"] == g["kw"] == 1, "less": self.less(node, source), "in_memory": cut.channels > 2,
            "turns": cut.terms // self.turn,
            "flip": f"0x{sum(sign << at for at in range(0, 32, source.bits)):08X}u" if _flipped(source) else "0",
            **finish_params(node, sources, cut.whole(node.type.channels)),
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        cut = self.cut(node, sources[0])
        return 4 * cut.groups * (cut.words + cut.pixels) + 8

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        if i:
            return None
        cut = self.cut(node, sources[0])
        low, ends = window_marks(node, sources[0])
        first = np.arange(0, len(low), cut.groups * cut.pixels)
        return lead(np.minimum.reduceat(low, first), ends[np.append(first[1:], len(low)) - 1], reads_first=True)


def _bits(node: Node) -> int:
    """Bits that a weight takes here: single ones take two."""
    return max(2, weight_bits(node.attrs["weight_type"]))


def _flipped(source: TensorType) -> bool:
    """Whether codes lose or get an offset of half their range when they are widened."""
    return not source.bipolar and source.signed == (source.bits < 8)


def _offset(source: TensorType) -> int:
    """What widened codes have more than codes."""
    if source.bipolar:
        return 1
    return (1 << (source.bits - 1)) * (1 if source.bits < 8 else -1) if _flipped(source) else 0


def _groups(pixels: int, group: int, words: int) -> int:
    """How many groups of pixels make a tile."""
    return max(1, min(-(-pixels // group), TILE_BYTES // (4 * words)))


def _pixels(node: Node) -> int:
    height, width, _ = image(node.type.shape)
    return height * width


class FieldsConv(_SubbyteConv):
    """Codes of at most 4 bits, bits among them: two channels by six or nine pixels, four or six products an instruction."""

    def takes(self, source: TensorType) -> bool:
        return source.layout in ("packed", "words")

    def pack(self, rows: Int, bits: int) -> Int:
        return pack_fields(rows, bits)

    def cut(self, node: Node, source: TensorType) -> _Cut:
        bits = _bits(node)
        largest = 2 if source.bipolar else (1 << source.bits) - 1
        side, width = (2, 14) if bits == 4 else (3, 10) if largest <= 3 else (2, 15)
        rows = self.rows(node)
        parts, terms = parts_of(rows, (1 << width) - 1, -(1 << (bits - 1)), largest)
        words = 3 * parts * terms
        return _Cut(bits, 3 * side, 2, rows.shape[1], parts, terms, words, _groups(_pixels(node), 3 * side, words), width)

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        cut = self.cut(node, sources[0])
        taps = int(np.prod(node.attrs["weights"].shape[:2]))
        groups, pairs = -(-_pixels(node) // cut.pixels), -(-node.type.channels // 2)
        whole, rest = divmod(sources[0].channels, 32 // sources[0].bits)
        filling = taps * (whole * 32 / sources[0].bits * 3.0 + rest * 4 + (20 if rest else 15))
        turn = 32.0 if cut.bits == 4 else 30.0
        inner = cut.parts * (cut.terms / EIGHT * turn + 60) + 2 * cut.pixels * 8
        return float(groups * (cut.pixels * filling + 400 + pairs * inner))


class NestedConv(_SubbyteConv):
    """Codes of 8 bits: four channels by two pixels."""

    turn = SIXTEEN

    def takes(self, source: TensorType) -> bool:
        return source.layout == "hwc" and source.bits == 8

    def pack(self, rows: Int, bits: int) -> Int:
        return pack_nested(rows, bits)

    def rows(self, node: Node) -> Int:
        weights: Int = node.attrs["weights"]
        depth, channels = weights.shape[2:]
        rows = np.pad(np.moveaxis(weights, 3, 0), ((0, 0), (0, 0), (0, 0), (0, -depth % 4)))
        return rows.reshape(channels, -1, 4)[:, :, [0, 2, 1, 3]].reshape(channels, -1)

    def cut(self, node: Node, source: TensorType) -> _Cut:
        bits = _bits(node)
        rows = self.rows(node)
        # The sums of the fourth channel keep 32 - 3 * bits bits, those of the third, weights from 0 on, 32 - 2 * bits.
        parts, terms = parts_of(rows[3::4], (1 << (31 - 3 * bits)) - 1, 0 if bits == 4 else -2, 128, SIXTEEN)
        more, fewer = parts_of(rows, (1 << (31 - 2 * bits)) - 1, -(1 << (bits - 1)), 128, SIXTEEN)
        if more > parts:
            parts, terms = more, fewer
        words = parts * terms
        return _Cut(bits, 2, 4, rows.shape[1], parts, terms, words, _groups(_pixels(node), 2, words))

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        cut = self.cut(node, sources[0])
        groups, fours = -(-_pixels(node) // 2), -(-node.type.channels // 4)
        inner = cut.parts * (cut.terms / SIXTEEN * 67 + 45) + 8 * 9
        return float(groups * (2 * cut.taps * 1.5 + 150 + fours * inner))
