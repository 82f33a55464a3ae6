"""Fast convolution with 8-bit weights and codes of 8 or 16 bits: how it is cut, when it applies, what it costs.

C twins: firmware/mcu_int8.h and templates/kernels/fast_conv2d.c.j2. Cycles are fitted to modelled Cortex-M7 cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mcugen.ir import Array, Int, Node, TensorType
from mcugen.kernels.finish import ASKED, GUARDED, PLAIN, REACH, Finish, finish_of
from mcugen.kernels.int8_pack import Packed, bias_table, biased, mix, narrow, pack_pairs, takes
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import geometry, residual_in_place
from mcugen.ops.overlap import lead

TILE_BYTES = 8192  # of scratch, and of output written in one go, so that both stay in a cache of 16 KiB
DEEP_BYTES = 20480  # of scratch where weights stream from flash for every tile: then several rows make one


@dataclass(frozen=True)
class _Layout:
    """How a convolution is cut: geometry (one row where it is pointwise), columns of widened input, tiles.

    column: int16 elements of a column; step: from pixel to pixel; row: from row to row of a tile of tile x deep pixels.
    """

    shape: dict[str, Any]
    flat: bool
    mixed: bool
    column: int
    tile: int
    deep: int
    packed: Packed

    @property
    def step(self) -> int:
        return self.column * int(self.shape["sw"])

    @property
    def row(self) -> int:
        """Long enough for the last pixel, which may read a little beyond its window."""
        columns = (self.tile - 1) * self.shape["sw"] + self.shape["kw"]
        used = max(columns * self.column, (self.tile - 1) * self.step + 2 * self.packed.words.shape[1])
        return int(used + used % 2)

    @property
    def triples(self) -> bool:
        """Whether three pixels at a time are possible: offsets fit their instructions."""
        reach = max(4 * self.step, abs(6 * self.step - 4 * self.packed.pairs), 3 * int(self.shape["out_c"]))
        return reach <= REACH


def _layout(node: Node, sources: Sequence[TensorType], finish: Finish | None, rows: int) -> _Layout:
    g = geometry(node, sources[0])
    height = rows or g["out_h"]
    flat = g["kh"] == g["kw"] == g["sh"] == g["sw"] == 1 and not rows and not any(node.attrs["pads"])
    if flat:
        pixels = g["in_h"] * g["in_w"]
        g |= {"in_h": 1, "in_w": pixels, "out_h": 1, "out_w": pixels}
    column = g["kh"] * g["in_c"]
    if not flat and column * g["sw"] % 2:
        column += 1  # windows then begin at whole words
    mixed = g["in_c"] % 4 == 0 and sources[0].bits == 8
    plain = np.zeros(-(-g["out_c"] // 2), bool) if finish is None else finish.how == PLAIN  # the C stage takes true sums
    packed = pack_pairs(_columns(node, column, mixed), sources[0], plain, 4)
    room = (TILE_BYTES // (2 * column) - g["kw"]) // g["sw"] + 1
    if packed.words.nbytes < TILE_BYTES:
        room = min(room, TILE_BYTES // g["out_c"])
    tile = g["out_w"]
    if tile > room:
        room = max(3, room // 3 * 3)
        tile = -(-tile // (-(-tile // room) * 3)) * 3
    layout = _Layout(g, flat, mixed, column, tile, 1, packed)
    if tile == g["out_w"] and packed.words.nbytes >= TILE_BYTES:
        deep = min(height, max(1, DEEP_BYTES // (2 * layout.row)))
        layout = replace(layout, deep=-(-height // -(-height // deep)))
    return layout


def _columns(node: Node, column: int, mixed: bool) -> Int:
    """Weights as rows (channels made even, terms in the order of widened columns)."""
    weights: Int = node.attrs["weights"]
    kh, kw, depth, channels = weights.shape
    rows = np.zeros((channels + channels % 2, kw, column), np.int64)
    rows[:channels, :, : kh * depth] = weights.transpose(3, 1, 0, 2).reshape(channels, kw, kh * depth)
    rows = rows.reshape(len(rows), -1)
    return mix(rows) if mixed else rows


def _cut(width: int, triples: bool) -> tuple[int, int, int]:
    """How many groups of three, two and one pixels make `width`; 3 + 1 costs more than 2 + 2."""
    three = (width - (4 if width % 3 == 1 else width % 3)) // 3 if triples and width != 1 else 0
    return three, (width - 3 * three) // 2, (width - 3 * three) % 2


class FastConv(Kernel):
    """Any kernel, strides and channels: windows widened to int16 columns, two channels by three pixels at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        left, right = node.attrs["pads"][2:]
        kw = node.attrs["weights"].shape[1]
        plain = node.attrs["groups"] == 1 and (node.attrs["dilation"][1] == 1 or kw == 1)
        return plain and max(left, right) < kw and takes(node, sources, (8, 16)) and not narrow(node)

    def _finish(self, node: Node, sources: Sequence[TensorType]) -> Finish | None:
        finish = finish_of(node, sources, guarded=True) if sources[0].bits == 8 else None
        return finish if finish is not None and (finish.how != ASKED).any() else None

    def _plan(self, node: Node, sources: Sequence[TensorType]) -> tuple[Finish | None, _Layout]:
        finish = self._finish(node, sources)
        return finish, _layout(node, sources, finish, self.band_rows)

    def asked_channels(self, node: Node, sources: Sequence[TensorType]) -> Array | None:
        finish = self._finish(node, sources)
        return None if finish is None else np.repeat(finish.how != PLAIN, 2)[: node.type.channels]

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        finish, layout = self._plan(node, sources)
        made = [Constant("weights", "uint32_t", layout.packed.words, role="weights")]
        if finish is not None:
            made += finish.line(layout.packed.signs).constants("line")
            if any(len(part["ways"]) > 1 for part in _parts(layout, finish)):
                made.append(Constant("how", "uint8_t", finish.how.astype(np.uint8)))
        if biased(sources[0]):
            made.append(bias_table(node.attrs["weights"]))
        return tuple(made)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        finish, layout = self._plan(node, sources)
        g, packed, parts = layout.shape, layout.packed, _parts(layout, finish)
        ways = [way for part in parts for way in part["ways"]]
        whole = f"(row_end - y < {layout.deep} ? row_end - y : {layout.deep})" if self.band_rows else str(layout.deep)
        rest = 0 if self.band_rows else g["out_h"] % layout.deep
        return {
            **g, "flat": layout.flat, "mixed": int(layout.mixed), "column": layout.column, "step": layout.step,
            "tile": layout.tile, "deep": layout.deep, "row_size": layout.row,
            "rows": f"(y == {g['out_h'] - rest} ? {rest} : {layout.deep})" if rest else whole,
            "count": _either(layout, lambda width: width), "pairs": packed.pairs, "chunks": packed.parts,
            "split": int(packed.split), "is_signed": int(sources[0].signed), "parts": parts,
            "wide": sources[0].bits == 16, "biased": biased(sources[0]),
            "row_ways": list({way["how"]: way for way in ways if way["row"]}.values()),
            "rest_ways": list({way["how"]: way for way in ways if way["groups"] and way["finish"]}.values()),
            "dot3": any(size == 3 for way in ways for size, _ in way["groups"]),
            "line": None if finish is None else finish.line(packed.signs),
            "staged": any(way["guarded"] or not way["finish"] for way in ways),
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        layout = self._plan(node, sources)[1]
        return 2 * layout.row * layout.deep

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        finish, layout = self._plan(node, sources)
        g, packed = layout.shape, layout.packed
        widths = [min(layout.tile, g["out_w"] - first) for first in range(0, g["out_w"], layout.tile)]
        three, two, one = (sum(counts) for counts in zip(*(_cut(width, layout.triples) for width in widths), strict=True))
        columns = sum((width - 1) * g["sw"] + g["kw"] for width in widths) * g["kh"]
        term = 1.3 if layout.mixed or sources[0].bits == 16 else 1.9
        widening = columns * (g["in_c"] * term + (0 if layout.flat else 5)) + 150 * len(widths)
        end = 40 if finish is None else 28 if finish.shift >= 0 else 24 if finish.width else 18
        end += 10 if finish is not None and finish.even else 0
        pairs, more = packed.words.shape[1], 45 * (packed.parts - 1)
        terms = 7.1 if packed.split else 6.1
        groups = three * (terms * pairs + end + more) + two * (7.3 * pairs + 22 + more) + one * (4.1 * pairs + 15 + more)
        return float(g["out_h"] * (widening + -(-g["out_c"] // 2) * (groups + 10 * len(widths))))

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        """A step is a tile: all it reads is widened before it writes."""
        if i:
            return None
        layout = self._plan(node, sources)[1]
        g = layout.shape
        y, x = (axis.reshape(-1) for axis in np.mgrid[0 : g["out_h"] : layout.deep, 0 : g["out_w"] : layout.tile])
        low = np.clip(y * g["sh"] - g["top"], 0, g["in_h"]) * g["in_w"] + np.clip(x * g["sw"] - g["left"], 0, g["in_w"])
        rows, columns = np.minimum(y + layout.deep, g["out_h"]) - 1, np.minimum(x + layout.tile, g["out_w"])
        pixel = node.type.bytes // (g["out_h"] * g["out_w"])
        return lead(low * g["in_c"] * sources[0].bits // 8, (rows * g["out_w"] + columns) * pixel, reads_first=True)


def _either(layout: _Layout, value: Callable[[int], int]) -> str:
    """C for value(width), where the last of the tiles may be narrower than the others."""
    total = layout.shape["out_w"]
    rest = total % layout.tile or layout.tile
    whole, end = value(layout.tile), value(rest)
    return str(whole) if whole == end else f"(first == {total - rest} ? {end} : {whole})"


def _groups(layout: _Layout, triples: bool) -> list[tuple[int, str]]:
    """(3, 2 or 1 pixels, how many times a row of a tile)."""
    repeats = [_either(layout, lambda width: _cut(width, triples)[i]) for i in range(3)]  # noqa: B023
    return [(3 - i, count) for i, count in enumerate(repeats) if count != "0"]


def _parts(layout: _Layout, finish: Finish | None) -> list[dict[str, Any]]:
    """Loops over channel pairs, and over a lone last channel; in each the ways in which pairs are finished.

    A way: how, its stage (None: in C), the triples of pixels that MCU_ROW finishes, groups of the other pixels.
    """
    parts = []
    out_c = layout.shape["out_c"]
    how = np.full(-(-out_c // 2), ASKED) if finish is None else finish.how
    for channels, first, last in ((2, 0, out_c - out_c % 2), (1, out_c - out_c % 2, out_c)):
        ways = []
        for each in np.unique(how[first // 2 : (last + 1) // 2]).tolist() if first < last else []:
            numbers = None if finish is None or each == ASKED else finish.numbers(each)
            groups = _groups(layout, layout.triples and (numbers is None or channels == 2))
            row = numbers is not None and groups[0][0] == 3 and layout.packed.parts == 1 and not layout.packed.split
            ways.append({
                "how": each, "finish": numbers, "guarded": each == GUARDED, "groups": groups[row:],
                "row": groups[0][1] if row else "",
            })  # fmt: skip
        if ways:
            parts.append({"channels": channels, "first": first, "last": last, "ways": ways})
    return parts
