"""Fast kernels for binary convolutions: when they apply, how weights are packed, their scratch, what they cost.

"tables": up to five activations of one pixel are one index byte; a table in scratch gives the number of matching weights
of 16 output channels for every index (firmware/mcu_binary.h). "sets": for few pixels, weights are summed over the set
activations, 32 output channels in the bits of a word (firmware/mcu_binary_sets.h). "planes": depthwise, 32 channels in
the bits of a word (firmware/mcu_binary_depthwise.h). Cycles are fitted to modelled Cortex-M7 cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.epilogue import Epilogue, Fixed, Raw, Threshold
from mcugen.ir import Array, Int, Node, TensorType
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import residual_in_place
from mcugen.packing import pack_words
from mcugen.shapes import image

_LANES = 16  # output channels of a chunk; the last chunk may have 8
_TABLE_BYTES = 16 * 1024  # above this the taps are taken in parts
_BAND_BYTES = 8 * 1024


@dataclass(frozen=True)
class Groups:
    """How one pixel's channels form index bytes: `rows[g]` are the channels of group g, lowest index bit first."""

    rows: tuple[tuple[int, ...], ...]
    fives: int  # blocks of four groups of five, at the front

    @property
    def fours(self) -> int:
        return len(self.rows) - 4 * self.fives

    @property
    def stride(self) -> int:
        return 256 if self.fives else 128


def groups_of_codes(channels: int, five: bool) -> Groups:
    """Groups that mcb_index_codes makes: 20 channels a block of fives, then 16, 4 and the rest."""
    rows: list[tuple[int, ...]] = []
    fives = channels // 20 if five else 0
    at = 0
    for size, count in ((5, fives), (4, (channels - 20 * fives) // 16)):
        for _ in range(count):
            rows += [tuple(at + 4 * (size - 1 - r) + j for r in range(size)) for j in range(4)]
            at += 4 * size
    while at < channels:
        rows.append(tuple(range(at, min(at + 4, channels))))
        at += 4
    return Groups(tuple(rows), fives)


def groups_of_words(channels: int) -> Groups:
    """Groups that mcb_index_words makes: of each word the low nibbles of the bytes, then the high ones."""
    rows: list[tuple[int, ...]] = []
    for at in range(0, channels, 32):
        left = min(32, channels - at)
        count = 4 if left > 16 else -(-left // 8)
        for half in (0, 4) if left > 4 else (0,):
            rows += [tuple(c for c in range(at + 8 * j + half, at + 8 * j + half + 4) if c < channels) for j in range(count)]
    return Groups(tuple(rows), 0)


def lane_order(wide: bool) -> list[int]:
    """Channel (within eight) of every nibble of a table word, lowest nibble first."""
    low = (0, 2, 1, 3) if wide else (0, 1, 2, 3)
    return [low[n // 2] + 4 * (n % 2) for n in range(8)]


def pack_tables(weights: Int, groups: Groups, wide: bool, invert: bool) -> Array:
    """Weights -1/+1 (kh, kw, C, N) to the uint32 words that mcb_tables reads: chunk, tap, group, word, one bit a weight.

    invert: index bits are 1 for activations of -1. Rows and channels that do not exist have weight 1.
    """
    kh, kw, depth, count = weights.shape
    bits = ((weights > 0) != invert).astype(np.uint32).reshape(kh * kw, depth, count)
    bits = np.pad(bits, ((0, 0), (0, 1), (0, -count % _LANES)), constant_values=1)
    shifts = np.arange(8, dtype=np.uint32) * 4
    order = lane_order(wide)
    parts: list[Array] = []
    for start in range(0, count, _LANES):
        chunk = bits[:, :, start : start + _LANES].reshape(kh * kw, depth + 1, 2, 8)[..., order]
        lanes = np.bitwise_or.reduce(chunk << shifts, axis=-1).astype(np.uint32)  # (taps, C + 1, 2)
        rows: list[Array] = []
        fifth = np.zeros((kh * kw, 2), np.uint32)
        for g, channels in enumerate(groups.rows):
            padded = [*channels, *[depth] * (4 - len(channels))]
            rows.append(np.bitwise_or.reduce([lanes[:, c] << np.uint32(r) for r, c in enumerate(padded[:4])], axis=0))
            if g < 4 * groups.fives:
                fifth = fifth | lanes[:, channels[4]] << np.uint32(g % 4)
                if g % 4 == 3:
                    rows.append(fifth)
                    fifth = np.zeros((kh * kw, 2), np.uint32)
        parts.append(np.stack(rows, axis=1).reshape(-1))
    return np.concatenate(parts)


@dataclass(frozen=True)
class _Layout:
    """Decisions about one layer."""

    groups: Groups
    terms: int  # products of a full window
    wide: bool  # 16-bit counts
    twice: bool
    part: tuple[int, int]
    band: int
    mode: str
    index_bytes: int
    table_bytes: int
    counts_bytes: int


@dataclass(frozen=True)
class BinaryConv(Kernel):
    """Binary convolution by tables; of int8 codes it takes the signs."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        terms = int(np.prod(node.attrs["weights"].shape[:3]))
        return _takes_bits(node, sources[0]) and terms < 1 << 15 and self.layout(node, sources).table_bytes <= 1 << 15

    def layout(self, node: Node, sources: Sequence[TensorType]) -> _Layout:
        kh, kw, depth, _ = node.attrs["weights"].shape
        in_h, in_w, _ = image(sources[0].shape)
        out_h, out_w, _ = image(node.type.shape)
        terms = kh * kw * depth
        groups = groups_of_words(depth)
        if _source(node) == "codes":
            groups = groups_of_codes(depth, out_h * out_w > 20)
        size = len(groups.rows) * groups.stride
        twice = _twice(node)
        parts = [p for p in ((kh, kw), (1, kw), (1, 1)) if p[0] * p[1] * size <= _TABLE_BYTES]
        part = parts[0] if parts else (1, 1)
        wide = twice or terms > 254 or part != (kh, kw)
        pixel = 32 if wide else 16
        band = max(1, min(out_h, _BAND_BYTES // (pixel * out_w)))
        return _Layout(
            groups, terms, wide, twice, part, band, _mode(node, sources),
            _even(in_h * in_w * len(groups.rows) + 4), _even(part[0] * part[1] * size), _even(band * out_w * pixel),
        )  # fmt: skip

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        plan = self.layout(node, sources)
        packed = pack_tables(node.attrs["weights"], plan.groups, plan.wide, _source(node) == "codes")
        stage = _stage_constants(node, sources, plan.terms, plan.wide, plan.twice)
        return (Constant("weights", "uint32_t", packed, role="weights"), *stage)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        plan = self.layout(node, sources)
        kh, kw = node.attrs["weights"].shape[:2]
        in_w, groups = image(sources[0].shape)[1], len(plan.groups.rows)
        runs, chunks = self._chunks(node, sources, plan)
        steps = [{"name": f"codes{8 * w}", "step": (8 + 8 * plan.wide) * w} for w in sorted({c["words"] for c in chunks})]
        return {
            **_geometry(node, sources), **_stage_params(node, sources, plan.wide, plan.twice),
            "fives": plan.groups.fives, "fours": plan.groups.fours, "stride": plan.groups.stride,
            "part_h": plan.part[0], "part_w": plan.part[1], "part_count": (kh // plan.part[0]) * (kw // plan.part[1]),
            "pitch": in_w * groups, "skip": plan.part[1] * groups * plan.groups.stride,
            "step": node.attrs["strides"][1] * groups, "band": plan.band, "terms": plan.terms,
            "runs": runs, "chunks": chunks, "codes": steps if plan.mode == "fixed" else [],
            "table_at": plan.index_bytes, "counts_at": plan.index_bytes + plan.table_bytes,
        }  # fmt: skip

    def _chunks(
        self, node: Node, sources: Sequence[TensorType], plan: _Layout
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The sum functions to define, and the chunks of output channels with the functions that each of them uses."""
        in_w, count = image(sources[0].shape)[1], node.type.channels
        padded = any(node.attrs["pads"][2:])
        groups, (high, wide) = len(plan.groups.rows), plan.part
        runs: dict[str, dict[str, Any]] = {}

        def run(kind: str, taps: int, rows: int, lanes: int) -> str:
            if not 0 < taps <= in_w:
                return ""
            runs[f"{kind}{lanes}"] = {"name": f"{kind}{lanes}", "lanes": lanes, "groups": taps * groups, "rows": rows}
            return f"{kind}{lanes}"

        chunks = []
        for start, stop in ((0, count // _LANES * _LANES), (count // _LANES * _LANES, count)):
            if start == stop:
                continue
            words = 1 if stop - start <= _LANES // 2 else 2
            lanes = 8 * words
            unrolled = high > 1 and high * wide * groups <= 48
            used = [
                run("all", wide, 0, lanes),
                run("rows", wide, high, lanes) if unrolled else "",
                run("less", wide - 1, 0, lanes) if padded else "",
                *([f"codes{lanes}"] if plan.mode == "fixed" else []),
            ]
            each = min(_LANES, stop - start)
            chunks.append({"start": start, "stop": stop, "channels": each, "words": words, "runs": used})
        return list(runs.values()), chunks

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        plan = self.layout(node, sources)
        return plan.index_bytes + plan.table_bytes + plan.counts_bytes

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        plan, windows = self.layout(node, sources), _Windows.of(node, sources)
        count, groups, (kh, kw) = node.type.channels, len(plan.groups.rows), node.attrs["weights"].shape[:2]
        build = 91.0 * 4 * plan.groups.fives + 52.0 * plan.groups.fours
        again = -(-windows.out_h // plan.band) if plan.part != (kh, kw) else 1
        rest = plan.part[1] * groups % 12
        row = 3.5 * (rest // 3) + 5.5 * (rest % 3) + (27.0 * -(-plan.part[1] * groups // 48) if plan.wide else 3.0)
        runs = windows.rows * (kw // plan.part[1])
        pixels = windows.pixels * (16.0 * (kh // plan.part[0]) * (kw // plan.part[1]) + (22.0 if plan.wide else 0.0))
        total = windows.inputs * (2.5 * groups if _source(node) == "codes" else 5.0 + 1.5 * groups)
        for start in range(0, count, _LANES):
            each = 3.6 if count - start > _LANES // 2 else 2.3
            total += build * kh * kw * again + windows.taps * groups * each + runs * row + pixels + windows.border * 40.0
        return total + _stage_cycles(node, sources, -(-windows.out_h // plan.band), plan.wide) + 300.0

    def asked_channels(self, node: Node, sources: Sequence[TensorType]) -> Array | None:
        return _asked(node, sources)

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources, input_first=True)


@dataclass(frozen=True)
class BinarySets(Kernel):
    """Binary convolution of small images by lists of set activations."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        small = int(np.prod(node.attrs["weights"].shape[:3])) <= 16000 and self.scratch_bytes(node, sources) <= 1 << 15
        return _takes_bits(node, sources[0]) and small

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        weights: Int = node.attrs["weights"]
        ones, rows, columns = self._windows(node, sources)
        return (
            Constant("weights", "uint32_t", pack_sets(weights), role="weights"),
            Constant("ones", "uint16_t", ones),
            Constant("row", "uint16_t", rows),
            Constant("column", "uint16_t", columns),
            *_stage_constants(node, sources, int(np.prod(weights.shape[:3])), True, _twice(node)),
        )

    def _windows(self, node: Node, sources: Sequence[TensorType]) -> tuple[Array, Array, Array]:
        """Set weights of every kind of window (kind, channel); of each output row and column the part of its kind."""
        weights: Int = node.attrs["weights"]
        kh, kw, _, count = weights.shape
        (in_h, in_w, _), (out_h, out_w, _) = image(sources[0].shape), image(node.type.shape)
        (sh, sw), (top, _, left, _) = node.attrs["strides"], node.attrs["pads"]
        ones = (weights > 0).sum(axis=2)
        row_kinds, rows = _kinds(out_h, sh, top, in_h, kh)
        column_kinds, columns = _kinds(out_w, sw, left, in_w, kw)
        sums = [ones[y0:y1, x0:x1].sum(axis=(0, 1)) for y0, y1 in row_kinds for x0, x1 in column_kinds]
        table = np.pad(np.stack(sums), ((0, 0), (0, -count % 32)))
        return table.astype(np.uint16), (rows * len(column_kinds)).astype(np.uint16), columns.astype(np.uint16)

    def _sizes(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, list[int]]:
        """Rows of a band, and bytes of: lists, their sizes, the window's list, carries into 16, counts."""
        in_h, in_w, depth = image(sources[0].shape)
        out_h, out_w, count = image(node.type.shape)
        terms = int(np.prod(node.attrs["weights"].shape[:3]))
        pixel = 64 * -(-count // 32)
        band = max(1, min(out_h, _BAND_BYTES // (pixel * out_w)))
        parts = [2 * in_h * in_w * depth + 8, 2 * in_h * in_w, terms + 64, terms // 8 + 8, band * out_w * pixel]
        return band, [_even(size) for size in parts]

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        terms = int(np.prod(node.attrs["weights"].shape[:3]))
        band, sizes = self._sizes(node, sources)
        ends = np.cumsum(sizes)
        stage = _stage_params(node, sources, True, _twice(node))
        return {
            **_geometry(node, sources), **stage,
            "terms": terms, "band": band, "many": int(terms > 2046), "chunks": -(-node.type.channels // 32),
            "sizes_at": int(ends[0]), "list_at": int(ends[1]), "sixteens_at": int(ends[2]), "counts_at": int(ends[3]),
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return sum(self._sizes(node, sources)[1])

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        windows, depth = _Windows.of(node, sources), sources[0].channels
        chunks, band = -(-node.type.channels // 32), self._sizes(node, sources)[0]
        blocks = windows.taps * depth * 0.475 / 16 + 0.5 * windows.pixels
        gather = chunks * (blocks * 66.0 + windows.pixels * 290.0)
        each = 7.5 if _source(node) == "codes" else 10.5
        lists = windows.inputs * depth * each + windows.taps * (depth * 0.86 + 30.0) + windows.pixels * 60.0
        return gather + lists + _stage_cycles(node, sources, -(-windows.out_h // band), True) + 300.0

    def asked_channels(self, node: Node, sources: Sequence[TensorType]) -> Array | None:
        return _asked(node, sources)

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources, input_first=True)


def pack_sets(weights: Int) -> Array:
    """Weights -1/+1 (kh, kw, C, N) to uint32 words, one a (tap, channel), a zero word after each 32 output channels."""
    kh, kw, depth, count = weights.shape
    bits = np.pad(weights.reshape(-1, count) > 0, ((0, 1), (0, -count % 32)))
    bits[-1] = False
    lanes = np.array([c // 4 + 16 * (c % 2) + 8 * (c // 2 % 2) for c in range(32)], np.uint32)
    words = np.bitwise_or.reduce(bits.reshape(kh * kw * depth + 1, -1, 32).astype(np.uint32) << lanes, axis=-1)
    return np.ascontiguousarray(words.T.astype(np.uint32))


def _kinds(size: int, stride: int, before: int, length: int, taps: int) -> tuple[list[tuple[int, int]], Int]:
    """The ranges of taps inside the image that occur along one axis, and which of them each output position has."""
    spans = [(max(0, before - at * stride), min(taps, length - at * stride + before)) for at in range(size)]
    kinds = sorted(set(spans))
    return kinds, np.array([kinds.index(span) for span in spans], np.int64)


@dataclass(frozen=True)
class BinaryDepthwise(Kernel):
    """Binary depthwise convolution of bits: matches counted in bit planes of 32 channels."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        kh, kw, _, multiplier = node.attrs["weights"].shape
        plain = multiplier == 1 and kh * kw < 31 and tuple(node.attrs["dilation"]) == (1, 1)
        bits = sources[0].bipolar and sources[0].layout == "words" and node.attrs["weight_type"].bipolar
        return plain and bool(bits)

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        weights: Int = node.attrs["weights"][..., 0]
        made = [Constant("weights", "uint32_t", pack_words(-weights), role="weights")]
        form = node.attrs["epilogue"].form
        if not _threshold_bits(node):
            return tuple(made)
        kh, kw, depth = weights.shape
        row_kinds, rows, column_kinds, columns = self._kinds(node, sources)
        terms = np.array([(y1 - y0) * (x1 - x0) for y0, y1 in row_kinds for x0, x1 in column_kinds], np.int64)
        planes = _planes(kh * kw)
        never = (1 << planes) - 1
        levels = np.clip((np.broadcast_to(form.threshold, (depth,)) + terms[:, None] + 1) >> 1, 0, never)
        levels = np.pad(levels, ((0, 0), (0, -depth % 32)), constant_values=never).reshape(len(terms), -1, 1, 32)
        bits = levels >> np.arange(planes)[:, None] & 1
        flips = np.pad(~np.broadcast_to(form.flip, (depth,)), (0, -depth % 32), constant_values=True)
        return (
            *made,
            Constant("threshold", "uint32_t", pack_words(2 * bits - 1)),
            Constant("flip", "uint32_t", pack_words(2 * flips.astype(np.int64) - 1)),
            Constant("row", "uint16_t", (rows * len(column_kinds)).astype(np.uint16)),
            Constant("column", "uint16_t", columns.astype(np.uint16)),
        )

    def _kinds(
        self, node: Node, sources: Sequence[TensorType]
    ) -> tuple[list[tuple[int, int]], Int, list[tuple[int, int]], Int]:
        kh, kw = node.attrs["weights"].shape[:2]
        (in_h, in_w, _), (out_h, out_w, _) = image(sources[0].shape), image(node.type.shape)
        (sh, sw), (top, _, left, _) = node.attrs["strides"], node.attrs["pads"]
        return *_kinds(out_h, sh, top, in_h, kh), *_kinds(out_w, sw, left, in_w, kw)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        geometry = _geometry(node, sources)
        planes = _planes(geometry["kh"] * geometry["kw"])
        mode = "bits" if _threshold_bits(node) else "generic"
        return {**geometry, "words": -(-sources[0].channels // 32), "planes": planes, "mode": mode}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        windows, words = _Windows.of(node, sources), -(-sources[0].channels // 32)
        whole = 42.0 if node.attrs["weights"].shape[:2] == (3, 3) else 0.0
        inside = windows.pixels - windows.border if whole else 0
        each = inside * whole + (windows.taps - 9 * inside) * 12.0 + windows.pixels * 8.0
        stage = 0.0 if _threshold_bits(node) else 30.0 * node.type.size
        return words * each + 25.0 * windows.pixels + stage + 100.0

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)


def _planes(taps: int) -> int:
    """Bit planes for 0 to `taps` and a threshold that none of them reaches."""
    return max(2, (taps + 1).bit_length())


def _threshold_bits(node: Node) -> bool:
    return isinstance(node.attrs["epilogue"].form, Threshold) and node.type.layout == "words"


# ---- what both kernels share ---------------------------------------------------------------------------------------


def _source(node: Node) -> str:
    """How activations arrive: "codes" (int8, their signs count) or "words" of bits."""
    return "codes" if node.attrs.get("sign_input") else "words"


def _takes_bits(node: Node, source: TensorType) -> bool:
    attrs = node.attrs
    if not attrs["weight_type"].bipolar or attrs["groups"] != 1 or tuple(attrs["dilation"]) != (1, 1):
        return False
    if _source(node) == "codes":
        return source.kind == "int" and source.layout == "hwc" and source.bits == 8 and source.signed
    return source.bipolar and source.layout == "words"


def _twice(node: Node) -> bool:
    """Whether windows at the border may miss an odd number of products, so that counts must be doubled."""
    return bool(any(node.attrs["pads"]) and node.attrs["weights"].shape[2] % 2)


def _geometry(node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
    (in_h, in_w, in_c), (out_h, out_w, out_c) = image(sources[0].shape), image(node.type.shape)
    kh, kw = node.attrs["weights"].shape[:2]
    (sh, sw), (top, _, left, _) = node.attrs["strides"], node.attrs["pads"]
    return {
        "in_h": in_h, "in_w": in_w, "in_c": in_c, "out_h": out_h, "out_w": out_w, "out_c": out_c,
        "kh": kh, "kw": kw, "sh": sh, "sw": sw, "top": top, "left": left, "source": _source(node),
        "names": ", ".join(["in", *(f"in{k}" for k in range(1, len(sources))), "out", "scratch"]),
    }  # fmt: skip


def _mode(node: Node, sources: Sequence[TensorType]) -> str:
    """How counts become what is stored: "bits", "fixed" (but for slow channels) or "generic", through the stage in C."""
    epilogue: Epilogue = node.attrs["epilogue"]
    form, kind = epilogue.form, node.type
    if isinstance(form, Threshold) and kind.layout == "words":
        return "bits"
    if not isinstance(form, Fixed) or kind.bits != 8 or kind.layout != "hwc" or kind.channels > 4095:
        return "generic"
    if not _saturate(form) or 2 * int(_slow(node).sum()) > kind.channels:
        return "generic"
    if epilogue.residual is None:
        return "fixed" if len(sources) == 1 else "generic"
    residual = sources[epilogue.residual.operand]
    eight_bits = residual.kind == "int" and residual.bits == 8 and residual.layout == "hwc"
    return "fixed" if eight_bits and form.residual_shift == form.post else "generic"


def _slow(node: Node) -> Array:
    """bool (channels,): those that have no proved fixed form."""
    form = node.attrs["epilogue"].form
    assert isinstance(form, Fixed)
    return np.broadcast_to(~form.proved, (node.type.channels,))


def _asked(node: Node, sources: Sequence[TensorType]) -> Array | None:
    return _slow(node) if _mode(node, sources) == "fixed" and _slow(node).any() else None


@dataclass(frozen=True)
class _Windows:
    """Counts over all windows: output pixels, those at the border, input pixels, taps and rows of taps inside the image."""

    out_h: int
    pixels: int
    border: int
    inputs: int
    taps: int
    rows: int

    @staticmethod
    def of(node: Node, sources: Sequence[TensorType]) -> _Windows:
        kh, kw = node.attrs["weights"].shape[:2]
        (in_h, in_w, _), (out_h, out_w, _) = image(sources[0].shape), image(node.type.shape)
        (sh, sw), (top, _, left, _) = node.attrs["strides"], node.attrs["pads"]
        rows = [max(0, min(kh, in_h - y * sh + top) - max(0, top - y * sh)) for y in range(out_h)]
        columns = [max(0, min(kw, in_w - x * sw + left) - max(0, left - x * sw)) for x in range(out_w)]
        inside = sum(n == kh for n in rows) * sum(n == kw for n in columns)
        pixels = out_h * out_w
        return _Windows(out_h, pixels, pixels - inside, in_h * in_w, sum(rows) * sum(columns), sum(rows) * out_w)


def _stage_cycles(node: Node, sources: Sequence[TensorType], bands: int, wide: bool) -> float:
    mode, channels = _mode(node, sources), node.type.channels
    if mode == "fixed":
        slow = int(_slow(node).sum())
        return (4.9 + 80.0 * slow / channels) * node.type.size + 45.0 * channels * bands
    if mode == "bits":
        return node.type.size * (5.0 if wide else 2.0)
    return node.type.size * {Raw: 8.0, Fixed: 22.0}.get(type(node.attrs["epilogue"].form), 45.0)


def _stage_params(node: Node, sources: Sequence[TensorType], wide: bool, twice: bool) -> dict[str, Any]:
    epilogue: Epilogue = node.attrs["epilogue"]
    mode, residual = _mode(node, sources), epilogue.residual
    form = epilogue.form if mode == "fixed" else None
    other = f"in{residual.operand}" if residual is not None else "out"
    signed = residual is not None and sources[residual.operand].signed
    return {
        "mode": mode, "wide": int(wide), "twice": int(twice),
        "adds": int(residual is not None), "other": other, "load": "ldrsb" if signed else "ldrb",
        "pre": form.pre if isinstance(form, Fixed) else 0, "post": form.post if isinstance(form, Fixed) else 0,
        "saturate": _saturate(form) if isinstance(form, Fixed) else "", "slow": int(_asked(node, sources) is not None),
    }  # fmt: skip


def _stage_constants(
    node: Node, sources: Sequence[TensorType], terms: int, wide: bool, twice: bool
) -> tuple[Constant, ...]:
    """Multipliers and offsets, or thresholds on counts and flips (words of 32 channels)."""
    form, count, mode = node.attrs["epilogue"].form, node.type.channels, _mode(node, sources)
    if mode == "fixed":
        slow = _slow(node)
        pair = np.stack([np.broadcast_to(each, (count,)) for each in (form.mult, form.offset)], axis=-1)
        pairs = Constant("mb", "int32_t", np.where(slow[:, None], 0, pair).astype(np.int32))
        return (pairs, Constant("slow", "uint8_t", slow.astype(np.uint8))) if slow.any() else (pairs,)
    if mode != "bits":
        return ()
    threshold = np.broadcast_to(form.threshold, (count,)) + terms
    if not twice:
        threshold = (threshold + 1) >> 1
    dtype = np.uint16 if wide else np.uint8
    threshold = np.clip(threshold, 0, np.iinfo(dtype).max)
    threshold = np.pad(threshold, (0, -count % _LANES), constant_values=np.iinfo(dtype).max)
    flips = np.packbits(np.pad(np.broadcast_to(form.flip, (count,)), (0, -count % 32)), bitorder="little").view("<u4")
    return (Constant("threshold", f"uint{dtype().itemsize * 8}_t", threshold.astype(dtype)), Constant("flip", "uint32_t", flips))


def _even(size: int) -> int:
    """Rounded up to 8 bytes."""
    return -(-size // 8) * 8


def _saturate(form: Fixed) -> str:
    """Instruction and width that clip to the form's limits: "usat, 8", "ssat, 8", "sym, 8" (-127 to 127); "" if none does."""
    bits = form.hi.bit_length()
    if form.hi + 1 != 1 << bits or bits < 1:
        return ""
    if form.lo == 0:
        return f"usat, {bits}"
    if form.lo == -form.hi - 1:
        return f"ssat, {bits + 1}"
    return "sym, 8" if (form.lo, form.hi) == (-127, 127) else ""


BINARY_KERNELS: tuple[Kernel, ...] = (
    BinaryConv("tables", "fast_binary_conv.c.j2", takes_signs=True, code_bytes=5000, input_first=True),
    BinarySets("sets", "fast_binary_sets.c.j2", takes_signs=True, code_bytes=3000, input_first=True),
)
BINARY_DEPTHWISE_KERNELS: tuple[Kernel, ...] = (BinaryDepthwise("planes", "fast_binary_depthwise.c.j2", code_bytes=700),)
