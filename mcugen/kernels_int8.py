"""Fast kernels for 8-bit codes and weights: when they apply, how weights are packed, what they cost.

C twins: firmware/mcu_int8.h and templates/kernels/fast_*.c.j2. Cycles are fitted to modelled Cortex-M7 cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mcugen.epilogue import Epilogue, Fixed
from mcugen.guard import POST, guard
from mcugen.ir import Array, Int, Node, TensorType
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import geometry, residual_in_place

TILE_BYTES = 8192  # of scratch, and of output written in one go, so that both stay in a cache of 16 KiB
DEEP_BYTES = 20480  # of scratch where weights stream from flash for every tile: then several rows make one
STRIP_BYTES = 10240  # of cache that a depthwise layer's passes over one strip may take
LINE_BYTES = 32
_REACH = 4095  # largest offset in a load, a store or an addition
_WIDEST = 255  # guard that MCU_ROW can compare with
_PLAIN, _GUARDED, _ASKED = range(3)


@dataclass(frozen=True)
class Packed:
    """Words (channel pairs, term pairs), and how to read them.

    signs: by which each channel is stored; split: a lane holds two bytes that stay apart; parts: into how many equal
    parts the terms are cut so that the sums of each stay below 2^23.
    """

    words: Array
    signs: Int
    split: bool
    parts: int

    @property
    def pairs(self) -> int:
        """Pairs of terms in one part."""
        return int(self.words.shape[1]) // self.parts


def pack_pairs(rows: Int, source: TensorType, may_negate: Array, whole: int) -> Packed:
    """Weight rows (even number of channels, terms) to words of two channels by two terms.

    A part is `whole` terms or a multiple. A lane is w0 + 256 * w1, for which it must fit 16 bits; negating a channel may
    help (may_negate: per pair). Where a pair has no such signs, all words are split.
    """
    low, high = rows[0::2], rows[1::2]
    signs = np.zeros((len(low), 2), np.int64)
    for s0, s1 in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        lanes = s0 * low + 256 * s1 * high
        fits = (np.abs(2 * lanes + 1) < 1 << 16).all(axis=1) & (s0 * low < 128).all(axis=1)
        fits &= may_negate | (s0 + s1 == 2)
        signs[fits & (signs[:, 0] == 0)] = s0, s1
    split = bool((signs == 0).any())
    if split:
        signs[:] = 1
    lanes = (low & 255) + 256 * high if split else signs[:, :1] * low + 256 * signs[:, 1:] * high
    parts = 1
    while not split and _longest_sum(_cut_terms(rows, parts, whole), source) >= 1 << 23:
        parts += 1
    lanes = np.ascontiguousarray(_cut_terms(lanes, parts, whole).astype("<i2"))
    return Packed(lanes.reshape(len(lanes), -1).view("<u4"), signs.reshape(-1), split, parts)


def _cut_terms(rows: Int, parts: int, whole: int) -> Int:
    """(rows, parts, terms of a part), padded with 0."""
    size = -(-rows.shape[1] // (whole * parts)) * whole
    return np.pad(rows, ((0, 0), (0, size * parts - rows.shape[1]))).reshape(len(rows), parts, size)


def _longest_sum(pieces: Int, source: TensorType) -> int:
    """The largest magnitude of a sum of codes by weights over the last axis."""
    ends = np.stack([pieces * source.lo, pieces * source.hi, np.zeros_like(pieces)])
    return int(max(-ends.min(axis=0).sum(axis=-1).min(), ends.max(axis=0).sum(axis=-1).max()))


@dataclass(frozen=True)
class Finish:
    """An output stage that MCU_ROW and MCU_PLANE finish by themselves: numbers as in `Fixed`, in `Guard` if width > 0.

    slow: channels that pass through the C stage; width: of the guard; operand: the residual's input, 0 if none; plain: of
    a guarded stage, the numbers of channels that need no guard (those not slow in it).
    """

    pre: int
    post: int
    lo: int
    hi: int
    mult: Int
    offset: Int
    slow: Array
    width: int = 0
    operand: int = 0
    shift: int = -1
    signed_operand: bool = False
    plain: Finish | None = None

    @property
    def how(self) -> Array:
        """How each channel pair is finished: _PLAIN, _GUARDED or _ASKED (in the C stage)."""
        asked, slow = _slow_pairs(self, len(self.slow)), _slow_pairs(self.plain if self.width else self, len(self.slow))
        return np.where(~slow, _PLAIN, np.where(asked, _ASKED, _GUARDED))

    def numbers(self, how: int) -> Finish:
        """The stage of the pairs finished so."""
        return self.plain if how == _PLAIN and self.plain is not None else self

    @property
    def saturate(self) -> str:
        """SAT and BITS of firmware/mcu_int8.h."""
        bits = self.hi.bit_length()
        if (self.lo, self.hi) == (-127, 127):
            return "sym, 8"
        return f"ssat, {bits + 1}" if self.lo < 0 else f"usat, {bits}"

    @property
    def arguments(self) -> str:
        """The arguments of MCU_ROW from PRE on."""
        load = "ldrsb" if self.signed_operand else "ldrb"
        return f"{self.pre}, {self.post}, {self.saturate}, {load}, {self.shift}, {self.width}"

    @property
    def limits(self) -> str:
        """Initialisers of a mcu_fixed."""
        return f"{self.pre}, {self.post}, {self.lo}, {self.hi}"

    def plus(self, at: str) -> str:
        """What a residual adds to the offset of the element `at`."""
        return f" + in{self.operand}[{at}] * {1 << self.shift}" if self.shift >= 0 else ""

    def residual(self, at: str) -> str:
        return f"in{self.operand} + {at}" if self.shift >= 0 else "0"

    def table(self, signs: Int) -> Constant:
        """Multiplier and offset of every channel, of a dummy too where `signs` has one more."""
        channels = len(self.slow)
        values = np.zeros((len(signs), 2), np.int64)
        plain, bare = self.numbers(_PLAIN), np.repeat(self.how == _PLAIN, 2)[:channels]
        for k, pair in enumerate(((plain.mult, self.mult), (plain.offset, self.offset))):
            values[:channels, k] = np.where(bare, pair[0], np.where(self.slow, 0, pair[1]))
        values[:, 0] *= signs
        return Constant("finish", "int32_t", values.astype(np.int32))


def finish_of(node: Node, sources: Sequence[TensorType], guarded: bool = False) -> Finish | None:
    """The stage, if it is fixed or guarded for most channels, makes bytes with limits of whole bits, adds at most a residual.

    guarded: whether the kernel can detect the guard's bands.
    """
    epilogue: Epilogue = node.attrs["epilogue"]
    form, channels, residual = epilogue.form, node.type.channels, epilogue.residual
    finish = None
    if node.type.bits != 8 or node.type.layout != "hwc" or 2 * channels >= _REACH:
        return None
    if isinstance(form, Fixed):
        mult, offset, slow = (np.broadcast_to(value, channels) for value in (form.mult, form.offset, ~form.proved))
        finish = Finish(form.pre, form.post, form.lo, form.hi, mult, offset, slow)
    if guarded and (finish is None or finish.slow.any()) and (line := guard(node)) is not None:
        slow = line.width > _WIDEST
        width = int(line.width[~slow].max(initial=1))
        finish = Finish(line.pre, POST, line.lo, line.hi, line.mult, line.offset, slow, width, plain=finish)
    if finish is None or 2 * int(finish.slow.sum()) > channels:
        return None
    top = finish.hi + 1
    whole = top & (top - 1) == 0 and finish.hi > 0 and finish.lo in (0, -top)
    if not whole and (finish.lo, finish.hi) != (-127, 127):
        return None
    if len(sources) == 1:
        return finish
    shift = form.residual_shift if isinstance(form, Fixed) else None
    if len(sources) > 2 or residual is None or shift is None or not _eight_bits(sources[residual.operand]):
        return None
    return replace(finish, operand=residual.operand, shift=shift, signed_operand=sources[residual.operand].signed)


def _eight_bits(source: TensorType) -> bool:
    return source.kind == "int" and source.bits == 8 and source.layout == "hwc" and not source.bipolar


def _takes(node: Node, sources: Sequence[TensorType]) -> bool:
    weights: Int = node.attrs["weights"]
    return _eight_bits(sources[0]) and bool(weights.min() >= -128 and weights.max() <= 127)


def _mix(rows: Int) -> Int:
    """Terms in the order in which mcu_widen leaves whole groups of four when `mixed`."""
    whole = rows.shape[1] // 4 * 4
    mixed = rows[:, :whole].reshape(len(rows), -1, 4)[:, :, [0, 2, 1, 3]].reshape(len(rows), -1)
    return np.concatenate([mixed, rows[:, whole:]], axis=1)


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
        return not self.packed.split and reach <= _REACH


def _layout(node: Node, sources: Sequence[TensorType], finish: Finish | None) -> _Layout:
    g = geometry(node, sources[0])
    flat = g["kh"] == g["kw"] == g["sh"] == g["sw"] == 1 and not any(node.attrs["pads"])
    if flat:
        pixels = g["in_h"] * g["in_w"]
        g |= {"in_h": 1, "in_w": pixels, "out_h": 1, "out_w": pixels}
    column = g["kh"] * g["in_c"]
    if not flat and column * g["sw"] % 2:
        column += 1  # windows then begin at whole words
    mixed = g["in_c"] % 4 == 0
    plain = np.zeros(-(-g["out_c"] // 2), bool) if finish is None else finish.how == _PLAIN  # the C stage takes true sums
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
        deep = min(g["out_h"], max(1, DEEP_BYTES // (2 * layout.row)))
        layout = replace(layout, deep=-(-g["out_h"] // -(-g["out_h"] // deep)))
    return layout


def _columns(node: Node, column: int, mixed: bool) -> Int:
    """Weights as rows (channels made even, terms in the order of widened columns)."""
    weights: Int = node.attrs["weights"]
    kh, kw, depth, channels = weights.shape
    rows = np.zeros((channels + channels % 2, kw, column), np.int64)
    rows[:channels, :, : kh * depth] = weights.transpose(3, 1, 0, 2).reshape(channels, kw, kh * depth)
    rows = rows.reshape(len(rows), -1)
    return _mix(rows) if mixed else rows


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
        return plain and max(left, right) < kw and _takes(node, sources)

    def _finish(self, node: Node, sources: Sequence[TensorType]) -> Finish | None:
        finish = finish_of(node, sources, guarded=True)
        return finish if finish is not None and (finish.how != _ASKED).any() else None

    def _plan(self, node: Node, sources: Sequence[TensorType]) -> tuple[Finish | None, _Layout]:
        finish = self._finish(node, sources)
        return finish, _layout(node, sources, finish)

    def asked_channels(self, node: Node, sources: Sequence[TensorType]) -> Array | None:
        finish = self._finish(node, sources)
        return None if finish is None else np.repeat(finish.how != _PLAIN, 2)[: node.type.channels]

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        finish, layout = self._plan(node, sources)
        made = [Constant("weights", "uint32_t", layout.packed.words, role="weights")]
        if finish is not None:
            made.append(finish.table(layout.packed.signs))
            if any(len(part["ways"]) > 1 for part in _parts(layout, finish)):
                made.append(Constant("how", "uint8_t", finish.how.astype(np.uint8)))
        return tuple(made)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        finish, layout = self._plan(node, sources)
        g, packed, parts = layout.shape, layout.packed, _parts(layout, finish)
        ways = [way for part in parts for way in part["ways"]]
        rest = g["out_h"] % layout.deep
        return {
            **g, "flat": layout.flat, "mixed": int(layout.mixed), "column": layout.column, "step": layout.step,
            "tile": layout.tile, "deep": layout.deep, "row_size": layout.row,
            "rows": f"(y == {g['out_h'] - rest} ? {rest} : {layout.deep})" if rest else str(layout.deep),
            "count": _either(layout, lambda width: width), "pairs": packed.pairs, "chunks": packed.parts,
            "split": int(packed.split), "is_signed": int(sources[0].signed), "parts": parts,
            "row_ways": list({way["how"]: way for way in ways if way["row"]}.values()),
            "rest_ways": list({way["how"]: way for way in ways if way["groups"] and way["finish"]}.values()),
            "dot3": any(size == 3 for way in ways for size, _ in way["groups"]),
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
        widening = columns * (g["in_c"] * (1.3 if layout.mixed else 1.9) + (0 if layout.flat else 5)) + 150 * len(widths)
        end = 40 if finish is None else 28 if finish.shift >= 0 else 24 if finish.width else 18
        pairs, more = packed.words.shape[1], 45 * (packed.parts - 1)
        groups = three * (6.1 * pairs + end + more) + two * (7.3 * pairs + 22 + more) + one * (4.1 * pairs + 15 + more)
        return float(g["out_h"] * (widening + -(-g["out_c"] // 2) * (groups + 10 * len(widths))))

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)


def _slow_pairs(finish: Finish | None, channels: int) -> Array:
    """Channel pairs that pass through the C stage."""
    slow = np.ones(channels, bool) if finish is None else finish.slow
    slow = np.pad(slow, (0, channels % 2))
    return slow[0::2] | slow[1::2]


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
    how = np.full(-(-out_c // 2), _ASKED) if finish is None else finish.how
    for channels, first, last in ((2, 0, out_c - out_c % 2), (1, out_c - out_c % 2, out_c)):
        ways = []
        for each in np.unique(how[first // 2 : (last + 1) // 2]).tolist() if first < last else []:
            numbers = None if finish is None or each == _ASKED else finish.numbers(each)
            groups = _groups(layout, layout.triples and (numbers is None or channels == 2))
            row = numbers is not None and groups[0][0] == 3 and layout.packed.parts == 1
            ways.append({
                "how": each, "finish": numbers, "guarded": each == _GUARDED, "groups": groups[row:],
                "row": groups[0][1] if row else "",
            })  # fmt: skip
        if ways:
            parts.append({"channels": channels, "first": first, "last": last, "ways": ways})
    return parts


class FastDense(Kernel):
    """Dense layers, and convolutions whose one window is the whole image: four channels at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        plain = _whole_image(node, sources[0]) and node.attrs["groups"] == 1
        return plain and _takes(node, sources) and not self._packed(node, sources).split

    def _packed(self, node: Node, sources: Sequence[TensorType]) -> Packed:
        rows = _mix(node.attrs["weights"].reshape(-1, node.type.channels).T)
        rows = np.pad(rows, ((0, -len(rows) % 4), (0, 0)))
        return pack_pairs(rows, sources[0], np.zeros(len(rows) // 2, bool), 8)

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        words = self._packed(node, sources).words
        words = words.reshape(-1, 2, words.shape[1]).transpose(0, 2, 1).reshape(-1)
        return (Constant("weights", "uint32_t", np.append(words, np.zeros(2, words.dtype)), role="weights"),)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        packed = self._packed(node, sources)
        return {
            "terms": sources[0].size, "padded": 2 * packed.words.shape[1], "fours": packed.pairs // 4,
            "out_c": node.type.channels, "is_signed": int(sources[0].signed),
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return 4 * int(self._packed(node, sources).words.shape[1]) + 16

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        packed = self._packed(node, sources)
        fours = len(packed.words) // 2
        return float(1.8 * sources[0].size + fours * (4.7 * packed.words.shape[1] + 60 * packed.parts + 25))

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)


def _whole_image(node: Node, source: TensorType) -> bool:
    g = geometry(node, source)
    size = (g["kh"], g["kw"]) == (g["in_h"], g["in_w"])
    return size and not any(node.attrs["pads"]) and g["dh"] == g["dw"] == 1


class FastDepthwise(Kernel):
    """Depthwise 3x3, one filter a channel, steps of 1 or 2 along a row: planes of int16, two pixels at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        kh, kw, _, multiplier = node.attrs["weights"].shape
        plain = (kh, kw, multiplier) == (3, 3, 1) and tuple(node.attrs["dilation"]) == (1, 1)
        plain = plain and node.attrs["strides"][1] in (1, 2) and max(node.attrs["pads"][2:]) <= 1
        return plain and _takes(node, sources) and _strips(node, sources[0])["pitch"] < 256

    def _finish(self, node: Node, sources: Sequence[TensorType]) -> Finish | None:
        finish = finish_of(node, sources)
        return finish if finish is not None and finish.pre >= 8 and not finish.operand else None

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        weights: Int = node.attrs["weights"][:, :, :, 0]
        rows = np.zeros((weights.shape[2], 3, 4), np.int8)
        rows[:, :, :3] = weights.transpose(2, 0, 1)
        made = [Constant("weights", "uint32_t", rows.view("<u4"), role="weights")]
        finish = self._finish(node, sources)
        if finish is not None:
            made.append(finish.table(np.ones(len(rows), np.int64)))
            if finish.slow.any():
                made.append(Constant("slow", "uint8_t", finish.slow.astype(np.uint8)))
        return tuple(made)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        return {**_strips(node, sources[0]), "finish": self._finish(node, sources), "is_signed": int(sources[0].signed)}

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        g = _strips(node, sources[0])
        return int(((g["strip"] - 1) * g["sh"] + 3) * 8 * g["pitch"] + 16)

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        g = _strips(node, sources[0])
        strips = [min(g["strip"], g["out_h"] - first) for first in range(0, g["out_h"], g["strip"])]
        rows = sum((strip - 1) * g["sh"] + 3 for strip in strips)
        widening = rows * -(-g["out_c"] // 4) * (5.0 * g["pitch"] + 10)
        pair = 25.0 if self._finish(node, sources) is None else 15.0 + g["sw"]
        planes = g["out_h"] * (12 + pair * -(-g["out_w"] // 2)) + 50 * len(strips)
        return float(widening + g["out_c"] * planes)

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)


def _strips(node: Node, source: TensorType) -> dict[str, Any]:
    """Geometry; elements from channel to channel of a widened row; rows of output made from one strip of input."""
    g = geometry(node, source)
    right = node.attrs["pads"][3]
    pitch = (g["left"] + g["in_w"] + right + 1) // 2 * 2
    touched = min(g["in_c"], LINE_BYTES)  # bytes of a pixel that four channels draw into the cache
    room = (STRIP_BYTES // touched - (3 - g["sh"]) * g["in_w"]) // (g["sh"] * g["in_w"] + g["out_w"])
    strip = max(1, min(room, (TILE_BYTES // (8 * pitch) - 3) // g["sh"] + 1))
    return {**g, "right": right, "pitch": pitch, "strip": -(-g["out_h"] // -(-g["out_h"] // strip))}


class FastGlobalDepthwise(Kernel):
    """Depthwise whose one window is the whole image: four channels by two taps at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return _whole_image(node, sources[0]) and _takes(node, sources) and node.attrs["weights"].shape[3] == 1

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        kh, kw, depth, _ = node.attrs["weights"].shape
        taps = np.pad(node.attrs["weights"].reshape(kh * kw, depth), ((0, kh * kw % 2), (0, -depth % 4)))
        words = taps.reshape(-1, 2, taps.shape[1] // 4, 2, 2).transpose(2, 0, 3, 1, 4).astype(np.int8)
        return (Constant("weights", "uint32_t", words.reshape(-1).view("<u4"), role="weights"),)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        g = geometry(node, sources[0])
        return {**g, "taps": g["kh"] * g["kw"], "is_signed": int(sources[0].signed)}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        taps = int(np.prod(node.attrs["weights"].shape[:2]))
        return float(-(-node.type.channels // 4) * (9 * taps + 42))

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)


CONV_KERNELS: tuple[Kernel, ...] = (FastDense("fast_dense", "fast_dense.c.j2"), FastConv("fast", "fast_conv2d.c.j2"))
DEPTHWISE_KERNELS: tuple[Kernel, ...] = (
    FastGlobalDepthwise("fast_global", "fast_global_depthwise.c.j2"),
    FastDepthwise("fast", "fast_depthwise.c.j2"),
)
