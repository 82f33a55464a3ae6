"""Fast kernels for 8-bit codes and weights: when they apply, how weights are packed, what they cost.

C twins: firmware/mcu_int8.h and templates/kernels/fast_*.c.j2. Cycles are fitted to modelled Cortex-M7 cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.epilogue import Epilogue, Fixed
from mcugen.ir import Array, Int, Node, TensorType
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import geometry, residual_in_place

TILE_BYTES = 8192  # of scratch, and of output written in one go, so that both stay in a cache of 16 KiB
STRIP_BYTES = 12288  # of input read in one go by a depthwise layer
_REACH = 4095  # largest offset in a load, a store or an addition


@dataclass(frozen=True)
class Packed:
    """Words (channel pairs, term pairs), the sign by which each channel is stored, whether bytes stay apart (`split`)."""

    words: Array
    signs: Int
    split: bool


def pack_pairs(rows: Int, reach: Int, may_negate: Array) -> Packed:
    """Weight rows (channels, terms), both counts even, to words of two channels by two terms.

    A lane is w0 + 256 * w1 where it fits 16 bits and |sum of w1 * x| <= reach < 2^23; negating a channel may make it fit
    (may_negate: per pair). Where a pair has no such signs, or too long sums, all words are split: plain bytes.
    """
    low, high = rows[0::2], rows[1::2]
    signs = np.zeros((len(low), 2), np.int64)
    for s0, s1 in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        lanes = s0 * low + 256 * s1 * high
        fits = (np.abs(2 * lanes + 1) < 1 << 16).all(axis=1) & (s0 * low < 128).all(axis=1)
        fits &= may_negate | (s0 + s1 == 2)
        signs[fits & (signs[:, 0] == 0)] = s0, s1
    split = bool((signs == 0).any() or (reach >= 1 << 23).any())
    if split:
        signs[:] = 1
    lanes = (low & 255) + 256 * high if split else signs[:, :1] * low + 256 * signs[:, 1:] * high
    return Packed(np.ascontiguousarray(lanes.astype("<i2")).view("<u4"), signs.reshape(-1), split)


@dataclass(frozen=True)
class Finish:
    """A fixed output stage that the loops in assembly finish by themselves.

    slow: channels without a proof, which pass through the C stage; operand: number of the residual's input, 0 if none.
    """

    form: Fixed
    slow: Array
    operand: int
    signed_operand: bool

    @property
    def shift(self) -> int:
        return -1 if self.form.residual_shift is None or not self.operand else self.form.residual_shift

    @property
    def saturate(self) -> str:
        """Instruction and its width."""
        bits = self.form.hi.bit_length()
        return f"ssat, {bits + 1}" if self.form.lo < 0 else f"usat, {bits}"

    @property
    def arguments(self) -> str:
        """The arguments of MCU_ROW from PRE on."""
        load = "ldrsb" if self.signed_operand else "ldrb"
        return f"{self.form.pre}, {self.form.post}, {self.saturate}, {load}, {self.shift}"

    @property
    def limits(self) -> str:
        """Initialisers of a mcu_fixed."""
        return f"{self.form.pre}, {self.form.post}, {self.form.lo}, {self.form.hi}"

    def plus(self, at: str) -> str:
        """What a residual adds to the offset of the element `at`."""
        return f" + in{self.operand}[{at}] * {1 << self.shift}" if self.shift >= 0 else ""

    def residual(self, at: str) -> str:
        return f"in{self.operand} + {at}" if self.shift >= 0 else "0"

    def table(self, signs: Int) -> Constant:
        """Multiplier and offset of every channel, of a dummy too where `signs` has one more."""
        channels = len(self.slow)
        values = np.zeros((len(signs), 2), np.int64)
        values[:channels] = np.stack([np.broadcast_to(v, channels) for v in (self.form.mult, self.form.offset)], axis=-1)
        values[:channels][self.slow] = 0
        values[:, 0] *= signs
        return Constant("finish", "int32_t", values.astype(np.int32))


def finish_of(node: Node, sources: Sequence[TensorType]) -> Finish | None:
    """The stage, if it is fixed for most channels, has 8-bit output with limits of whole bits and at most a residual."""
    epilogue: Epilogue = node.attrs["epilogue"]
    form = epilogue.form
    if not isinstance(form, Fixed) or node.type.bits != 8 or node.type.layout != "hwc":
        return None
    top, residual = form.hi + 1, epilogue.residual
    if top & (top - 1) or form.hi < 1 or form.lo not in (0, -top) or 2 * node.type.channels >= _REACH:
        return None
    slow = np.broadcast_to(~form.proved, node.type.channels)
    if 2 * int(slow.sum()) > slow.size:
        return None
    if len(sources) == 1:
        return Finish(form, slow, 0, False)
    if len(sources) > 2 or residual is None or form.residual_shift is None or not _eight_bits(sources[residual.operand]):
        return None
    return Finish(form, slow, residual.operand, sources[residual.operand].signed)


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
    """How a convolution is cut: geometry (one row where it is pointwise), columns of widened input, width of a tile."""

    shape: dict[str, Any]
    flat: bool
    mixed: bool
    column: int
    step: int
    pairs: int
    tile: int

    @property
    def scratch(self) -> int:
        """Bytes of a tile's columns; the last pixel may read a little beyond its window."""
        width = (self.tile - 1) * self.shape["sw"] + self.shape["kw"]
        return 2 * max(width * self.column, (self.tile - 1) * self.step + 2 * self.pairs)


def _layout(node: Node, source: TensorType) -> _Layout:
    g = geometry(node, source)
    flat = g["kh"] == g["kw"] == g["sh"] == g["sw"] == 1 and not any(node.attrs["pads"])
    if flat:
        pixels = g["in_h"] * g["in_w"]
        g |= {"in_h": 1, "in_w": pixels, "out_h": 1, "out_w": pixels}
    column = g["kh"] * g["in_c"]
    mixed = g["in_c"] % 4 == 0
    if not flat and column * g["sw"] % 2:
        column += 1  # windows then begin at whole words
    pairs = max(2, (g["kw"] * column + 1) // 2)
    room = (TILE_BYTES // (2 * column) - g["kw"]) // g["sw"] + 1
    if g["out_c"] * pairs * 2 < TILE_BYTES:
        room = min(room, TILE_BYTES // g["out_c"])
    tile = g["out_w"]
    if tile > room:
        room = max(3, room // 3 * 3)
        tile = -(-tile // (-(-tile // room) * 3)) * 3
    return _Layout(g, flat, mixed, column, column * g["sw"], pairs, tile)


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
        finish = finish_of(node, sources)
        return None if _slow_pairs(finish, node.type.channels).all() else finish

    def _packed(self, node: Node, sources: Sequence[TensorType]) -> Packed:
        weights: Int = node.attrs["weights"]
        layout, finish = _layout(node, sources[0]), self._finish(node, sources)
        kh, kw, depth, channels = weights.shape
        rows = np.zeros((channels + channels % 2, kw, layout.column), np.int64)
        rows[:channels, :, : kh * depth] = weights.transpose(3, 1, 0, 2).reshape(channels, kw, kh * depth)
        rows = rows.reshape(len(rows), -1)
        rows = np.pad(rows, ((0, 0), (0, 2 * layout.pairs - rows.shape[1])))
        reach = np.maximum(np.abs(node.attrs["acc_lo"]), np.abs(node.attrs["acc_hi"]))
        return pack_pairs(_mix(rows) if layout.mixed else rows, reach, ~_slow_pairs(finish, channels))

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        packed, finish = self._packed(node, sources), self._finish(node, sources)
        made = [Constant("weights", "uint32_t", packed.words, role="weights")]
        if finish is not None:
            made.append(finish.table(packed.signs))
            if any(part["ask"] for part in _parts(_layout(node, sources[0]), finish, packed.split)):
                made.append(Constant("slow", "uint8_t", _slow_pairs(finish, node.type.channels).astype(np.uint8)))
        return tuple(made)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        layout, finish = _layout(node, sources[0]), self._finish(node, sources)
        split = self._packed(node, sources).split
        g, tile = layout.shape, layout.tile
        parts = _parts(layout, finish, split)
        groups = [(part, key, size) for part in parts for key in ("groups", "slow") for size, _ in part[key]]
        return {
            **g, "flat": layout.flat, "mixed": int(layout.mixed), "column": layout.column, "step": layout.step,
            "pairs": layout.pairs, "tile": tile, "split": int(split), "is_signed": int(sources[0].signed),
            "count": _either(g["out_w"], tile, lambda width: width), "finish": finish, "parts": parts,
            "row": any(part["row"] for part in parts), "dot3": any(size == 3 for _, _, size in groups),
            "staged": any(key == "slow" or not part["finished"] for part, key, _ in groups),
            "rest": any(key == "groups" and part["finished"] for part, key, _ in groups),
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return _layout(node, sources[0]).scratch

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        layout, finish = _layout(node, sources[0]), self._finish(node, sources)
        g, pairs = layout.shape, layout.pairs
        triples = _triples(layout, self._packed(node, sources).split)
        widths = [min(layout.tile, g["out_w"] - first) for first in range(0, g["out_w"], layout.tile)]
        three, two, one = (sum(counts) for counts in zip(*(_cut(width, triples) for width in widths), strict=True))
        columns = sum((width - 1) * g["sw"] + g["kw"] for width in widths) * g["kh"]
        widening = columns * (g["in_c"] * (1.3 if layout.mixed else 1.9) + (0 if layout.flat else 5)) + 150 * len(widths)
        end = 40 if finish is None else 28 if finish.shift >= 0 else 18
        groups = three * (6.1 * pairs + end) + two * (7.3 * pairs + 22) + one * (4.1 * pairs + 15)
        return float(g["out_h"] * (widening + -(-g["out_c"] // 2) * groups))

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)


def _slow_pairs(finish: Finish | None, channels: int) -> Array:
    """Channel pairs that pass through the C stage."""
    slow = np.ones(channels, bool) if finish is None else finish.slow
    return np.pad(slow, (0, channels % 2)).reshape(-1, 2).any(axis=1)


def _either(total: int, tile: int, value: Any) -> str:
    """C for value(width), where the last of the tiles may be narrower than the others."""
    rest = total % tile or tile
    whole, end = value(tile), value(rest)
    return str(whole) if whole == end else f"(first == {total - rest} ? {end} : {whole})"


def _triples(layout: _Layout, split: bool) -> bool:
    """Whether three pixels at a time are possible: offsets fit their instructions."""
    reach = max(4 * layout.step, abs(6 * layout.step - 4 * layout.pairs), 3 * int(layout.shape["out_c"]))
    return not split and reach <= _REACH


def _parts(layout: _Layout, finish: Finish | None, split: bool) -> list[dict[str, Any]]:
    """Loops over channel pairs, and over the lone last channel: which groups of pixels, finished where."""
    out_w, out_c, tile = layout.shape["out_w"], layout.shape["out_c"], layout.tile
    triples = _triples(layout, split)

    def groups(use: bool) -> list[tuple[int, str]]:
        cuts = [(3 - i, _either(out_w, tile, lambda width: _cut(width, use)[i])) for i in range(3)]  # noqa: B023
        return [(size, repeats) for size, repeats in cuts if repeats != "0"]

    parts = []
    slow = _slow_pairs(finish, out_c)
    for channels, first, last in ((2, 0, out_c - out_c % 2), (1, out_c - 1, out_c - 1 + out_c % 2)):
        if first < last:
            here = slow[first // 2 : (last + 1) // 2]
            part: dict[str, Any] = {"channels": channels, "first": first, "last": last, "row": "", "slow": []}
            part |= {"finished": not here.all(), "ask": bool(here.any() and not here.all())}
            part["groups"] = groups(triples and not (part["finished"] and channels == 1))
            if part["ask"]:
                part["slow"] = groups(triples)
            if part["finished"] and part["groups"][0][0] == 3:
                part["row"] = part["groups"].pop(0)[1]
            parts.append(part)
    return parts


class FastDense(Kernel):
    """Dense layers, and convolutions whose one window is the whole image: four channels at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        plain = _whole_image(node, sources[0]) and node.attrs["groups"] == 1
        return plain and _takes(node, sources) and not self._packed(node, sources)[0].split

    def _packed(self, node: Node, sources: Sequence[TensorType]) -> tuple[Packed, int]:
        """Words, and how many parts the terms are cut into so that no part's sum reaches 2^23."""
        rows = _mix(node.attrs["weights"].reshape(-1, node.type.channels).T)
        parts = 1
        while True:
            size = -(-rows.shape[1] // (8 * parts)) * 8
            padded = np.pad(rows, ((0, -len(rows) % 4), (0, size * parts - rows.shape[1])))
            pieces = padded.reshape(len(padded), parts, size)
            ends = np.stack([pieces * sources[0].lo, pieces * sources[0].hi, np.zeros_like(pieces)])
            reach = np.maximum(-ends.min(axis=0).sum(axis=-1), ends.max(axis=0).sum(axis=-1))
            if reach.max() < 1 << 23:
                return pack_pairs(padded, reach, np.zeros(len(padded) // 2, bool)), parts
            parts += 1

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        words = self._packed(node, sources)[0].words
        words = words.reshape(-1, 2, words.shape[1]).transpose(0, 2, 1).reshape(-1)
        return (Constant("weights", "uint32_t", np.append(words, np.zeros(2, words.dtype)), role="weights"),)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        packed, parts = self._packed(node, sources)
        padded = 2 * packed.words.shape[1]
        return {
            "terms": sources[0].size, "padded": padded, "fours": padded // (8 * parts), "out_c": node.type.channels,
            "is_signed": int(sources[0].signed),
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return 4 * self._packed(node, sources)[0].words.shape[1] + 16

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        packed, parts = self._packed(node, sources)
        return 1.8 * sources[0].size + len(packed.words) / 2 * (4.7 * packed.words.shape[1] + 60 * parts + 25)

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
        return finish if finish is not None and finish.form.pre >= 8 and not finish.operand else None

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
    rows = min(STRIP_BYTES // (g["in_w"] * g["in_c"]), TILE_BYTES // (8 * pitch))
    strip = max(1, (rows - 3) // g["sh"] + 1)
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
        return -(-node.type.channels // 4) * (9.0 * taps + 42)

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)


CONV_KERNELS: tuple[Kernel, ...] = (FastDense("fast_dense", "fast_dense.c.j2"), FastConv("fast", "fast_conv2d.c.j2"))
DEPTHWISE_KERNELS: tuple[Kernel, ...] = (
    FastGlobalDepthwise("fast_global", "fast_global_depthwise.c.j2"),
    FastDepthwise("fast", "fast_depthwise.c.j2"),
)
