"""Kernels for binary convolutions on the Cortex-M7: sums by table lookup, with their packings, scratch and costs.

Up to five activations of one pixel are one index byte; a table in scratch gives the number of matching weights of 16
output channels for every index. The C side and the arithmetic: firmware/mcu_binary.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.epilogue import Epilogue, Fixed, Threshold
from mcugen.ir import Array, Int, Node, TensorType
from mcugen.ops.base import Constant, Kernel
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
    """Groups that mcu_index_codes makes: 20 channels a block of fives, then 16, 4 and the rest."""
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
    """Groups that mcu_index_words makes: of each word the low nibbles of the bytes, then the high ones."""
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
    """Weights -1/+1 (kh, kw, C, N) to the uint32 words that mcu_tables reads: chunk, tap, group, word, one bit a weight.

    invert: index bits are 1 for activations of -1. Rows and channels that do not exist have weight 1.
    """
    kh, kw, depth, count = weights.shape
    bits = ((weights > 0) != invert).astype(np.uint32).reshape(kh * kw, depth, count)
    bits = np.pad(bits, ((0, 0), (0, 1), (0, -count % _LANES)), constant_values=1)
    shifts = np.arange(8, dtype=np.uint32) * 4
    order = lane_order(wide)
    parts: list[Array] = []
    for start in range(0, count, _LANES):
        words = 2 if count - start > 8 else 1
        chunk = bits[:, :, start : start + 8 * words].reshape(kh * kw, depth + 1, words, 8)[..., order]
        lanes = np.bitwise_or.reduce(chunk << shifts, axis=-1).astype(np.uint32)  # (taps, C + 1, words)
        rows: list[Array] = []
        fifth = np.zeros((kh * kw, words), np.uint32)
        for g, channels in enumerate(groups.rows):
            padded = [*channels, *[depth] * (4 - len(channels))]
            rows.append(np.bitwise_or.reduce([lanes[:, c] << np.uint32(r) for r, c in enumerate(padded[:4])], axis=0))
            if g < 4 * groups.fives:
                fifth = fifth | lanes[:, channels[4]] << np.uint32(g % 4)
                if g % 4 == 3:
                    rows.append(fifth)
                    fifth = np.zeros((kh * kw, words), np.uint32)
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
    second: bool
    step: int
    index_bytes: int
    table_bytes: int
    counts_bytes: int
    lookup_bytes: int


@dataclass(frozen=True)
class BinaryConv(Kernel):
    """Binary convolution by tables; of int8 codes it takes the signs."""

    takes_signs: bool = True

    @staticmethod
    def source(node: Node) -> str:
        """How activations arrive: "codes" or "words"."""
        return "codes" if node.attrs.get("sign_input") else "words"

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        attrs = node.attrs
        if not attrs["weight_type"].bipolar or attrs.get("groups", 1) != 1 or tuple(attrs["dilation"]) != (1, 1):
            return False
        depth = int(np.prod(attrs["weights"].shape[:3]))
        first = sources[0]
        fits = first.bipolar and first.layout == "words"
        if self.source(node) == "codes":
            fits = first.kind == "int" and first.layout == "hwc" and first.bits == 8 and first.signed
        return fits and depth < 1 << 15

    def layout(self, node: Node, sources: Sequence[TensorType]) -> _Layout:
        kh, kw, depth, _ = node.attrs["weights"].shape
        in_h, in_w, _ = image(sources[0].shape)
        out_h, out_w, _ = image(node.type.shape)
        terms = kh * kw * depth
        groups = groups_of_words(depth)
        if self.source(node) == "codes":
            groups = groups_of_codes(depth, out_h * out_w > 20)
        size = len(groups.rows) * groups.stride
        padded = any(node.attrs["pads"])
        twice = padded and depth % 2 == 1
        parts = [p for p in ((kh, kw), (1, kw), (1, 1)) if p[0] * p[1] * size <= _TABLE_BYTES]
        part = parts[0] if parts else (1, 1)
        wide = twice or terms > 254 or part != (kh, kw)
        pixel = 32 if wide else 16
        band = max(1, min(out_h, _BAND_BYTES // (pixel * out_w)))
        mode, second, step = self.output(node, sources, terms, wide)
        each = step * (2 if second else 1)
        return _Layout(
            groups, terms, wide, twice, part, band, mode, second, step,
            _even(in_h * in_w * len(groups.rows) + 4), _even(part[0] * part[1] * size), _even(band * out_w * pixel),
            _even(16 * each) if mode == "lookup" else 0,
        )  # fmt: skip

    def output(self, node: Node, sources: Sequence[TensorType], terms: int, wide: bool) -> tuple[str, bool, int]:
        """How counts become what is stored: "bits", "lookup", "fixed" or "generic"; for lookup its tables."""
        epilogue: Epilogue = node.attrs["epilogue"]
        form, kind = epilogue.form, node.type
        if isinstance(form, Threshold) and kind.layout == "words":
            return "bits", False, 0
        if not isinstance(form, Fixed) or not form.proved.all() or kind.bits != 8 or kind.layout != "hwc":
            return "generic", False, 0
        residual = sources[epilogue.residual.operand] if epilogue.residual is not None else None
        if residual is not None and (residual.kind != "int" or residual.bits != 8 or residual.layout != "hwc"):
            return "generic", False, 0
        if residual is not None and form.residual_shift != form.post:
            return "generic", False, 0
        pixels = int(np.prod(image(kind.shape)[:2]))
        plain = residual is None or (form.hi == 127 and form.lo < 0 and residual.signed)
        if wide or not plain or pixels < 2 * terms:
            return "fixed", False, 0
        return "lookup", residual is not None, 256

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        plan = self.layout(node, sources)
        packed = pack_tables(node.attrs["weights"], plan.groups, plan.wide, self.source(node) == "codes")
        made = [Constant("weights", "uint32_t", packed, role="weights")]
        form = node.attrs["epilogue"].form
        count = node.type.channels
        if plan.mode in ("lookup", "fixed"):
            pair = [np.broadcast_to(each, (count,)) for each in (form.mult, form.offset)]
            made.append(Constant("mb", "int32_t", np.stack(pair, axis=-1)))
        if plan.mode == "bits":
            made += self._thresholds(form, plan, count)
        return tuple(made)

    def _thresholds(self, form: Threshold, plan: _Layout, count: int) -> list[Constant]:
        """acc >= T as count >= threshold; flips as one word a 32 channels."""
        threshold = np.broadcast_to(form.threshold, (count,)) + plan.terms
        if not plan.twice:
            threshold = threshold + 1 >> 1
        top = 65535 if plan.wide else 255
        threshold = np.clip(np.pad(threshold, (0, -count % _LANES)), 0, top)
        flips = np.pad(np.broadcast_to(form.flip, (count,)), (0, -count % 32))
        words = np.packbits(flips, bitorder="little").view("<u4")
        kind, dtype = ("uint16_t", np.uint16) if plan.wide else ("uint8_t", np.uint8)
        return [Constant("threshold", kind, threshold.astype(dtype)), Constant("flip", "uint32_t", words)]

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        plan = self.layout(node, sources)
        kh, kw, depth, count = node.attrs["weights"].shape
        in_h, in_w, _ = image(sources[0].shape)
        out_h, out_w, _ = image(node.type.shape)
        (sh, sw), (top, _, left, _) = node.attrs["strides"], node.attrs["pads"]
        epilogue: Epilogue = node.attrs["epilogue"]
        form = epilogue.form
        fixed = form if isinstance(form, Fixed) and plan.mode in ("lookup", "fixed") else None
        residual = epilogue.residual
        full = count // _LANES + (count % _LANES > 8)
        return {
            "names": ", ".join(["in", *(f"in{k}" for k in range(1, len(sources))), "out", "scratch"]),
            "source": self.source(node), "mode": plan.mode, "wide": int(plan.wide), "twice": int(plan.twice),
            "in_h": in_h, "in_w": in_w, "in_c": depth, "out_h": out_h, "out_w": out_w, "out_c": count,
            "kh": kh, "kw": kw, "sh": sh, "sw": sw, "top": top, "left": left,
            "fives": plan.groups.fives, "fours": plan.groups.fours, "stride": plan.groups.stride,
            "part_h": plan.part[0], "part_w": plan.part[1], "part_count": (kh // plan.part[0]) * (kw // plan.part[1]),
            "band": plan.band, "terms": plan.terms,
            "chunks": full, "rest": count - _LANES * full if count > _LANES * full else 0,
            "last": count - _LANES * (full - 1) if full and count < _LANES * full else _LANES,
            "table_at": plan.index_bytes, "counts_at": plan.index_bytes + plan.table_bytes,
            "lookup_at": plan.index_bytes + plan.table_bytes + plan.counts_bytes,
            "step": plan.step, "second": int(plan.second),
            "residual": ("in" if residual.operand == 0 else f"in{residual.operand}") if residual is not None else "",
            "residual_signed": int(residual is not None and sources[residual.operand].signed),
            "pre": fixed.pre if fixed else 0, "post": fixed.post if fixed else 0,
            "lo": fixed.lo if fixed else 0, "hi": fixed.hi if fixed else 0,
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        plan = self.layout(node, sources)
        return plan.index_bytes + plan.table_bytes + plan.counts_bytes + plan.lookup_bytes

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        macs = node.type.size * int(np.prod(node.attrs["weights"].shape[:3]))
        return 0.1 * macs + 6.0 * node.type.size + 2000.0

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        epilogue: Epilogue = node.attrs["epilogue"]
        return (epilogue.residual.operand,) if epilogue.residual is not None else ()


def _even(size: int) -> int:
    """Rounded up to 8 bytes."""
    return -(-size // 8) * 8


BINARY_KERNELS: tuple[Kernel, ...] = (BinaryConv("tables", "fast_binary_conv.c.j2", code_bytes=7000, input_first=True),)
