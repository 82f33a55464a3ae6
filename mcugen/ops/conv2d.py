"""conv2d: convolution, dense layer and pointwise convolution, with groups and dilation; sums integers exactly.

attrs: weights int64 (kh, kw, in channels / groups, out channels), weight_type, strides (h, w), dilation (h, w),
pads (top, bottom, left, right; code 0 outside the image), groups, epilogue, acc_lo, acc_hi; sign_input (optional): the
input's codes stand for their signs, +1 where code >= 0 (mcugen/simplify/absorb.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Array, Int, Node, TensorType
from mcugen.numerics.packing import pack_rows, pack_words, weight_bits
from mcugen.ops.base import Constant, Kernel, Operator, complete
from mcugen.ops.overlap import pixel_lead
from mcugen.ops.windows import windows
from mcugen.shapes import image


class Conv2D(Operator):
    name = "conv2d"

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        weights: Int = node.attrs["weights"]
        kh, kw, depth, channels = weights.shape
        groups = node.attrs["groups"]
        codes = np.where(inputs[0] >= 0, 1, -1) if node.attrs.get("sign_input") else inputs[0]
        view = windows(codes, node, (kh, kw), sources[0])
        count, height, width = view.shape[:3]
        columns = view.reshape(count * height * width, kh * kw, groups, depth)
        exact = np.float32 if _largest(node) < 1 << 24 else np.float64
        parts = []
        for g in range(groups):
            part = weights[..., g * (channels // groups) : (g + 1) * (channels // groups)]
            left = columns[:, :, g].reshape(-1, kh * kw * depth).astype(exact)
            parts.append(left @ part.reshape(kh * kw * depth, -1).astype(exact))
        acc = np.concatenate(parts, axis=-1).astype(np.int64).reshape(count, height, width, channels)
        return complete(node, sources, acc, inputs)

    def bounds(self, weights: Int, source: TensorType) -> tuple[Int, Int]:
        ends = np.stack([weights * source.lo, weights * source.hi, np.zeros_like(weights)])
        return ends.min(axis=0).sum(axis=(0, 1, 2)), ends.max(axis=0).sum(axis=(0, 1, 2))

    def macs(self, node: Node, sources: Sequence[TensorType]) -> int:
        return node.type.size * int(np.prod(node.attrs["weights"].shape[:3]))


def _largest(node: Node) -> int:
    return max(-int(node.attrs["acc_lo"].min()), int(node.attrs["acc_hi"].max()))


def geometry(node: Node, source: TensorType) -> dict[str, Any]:
    """The finished numbers that every convolution template reads."""
    in_h, in_w, in_c = image(source.shape)
    out_h, out_w, out_c = image(node.type.shape)
    kh, kw = node.attrs["weights"].shape[:2]
    (sh, sw), (dh, dw) = node.attrs["strides"], node.attrs["dilation"]
    top, _, left, _ = node.attrs["pads"]
    return {
        "in_h": in_h, "in_w": in_w, "in_c": in_c, "out_h": out_h, "out_w": out_w, "out_c": out_c,
        "kh": kh, "kw": kw, "sh": sh, "sw": sw, "dh": dh, "dw": dw, "top": top, "left": left,
    }  # fmt: skip


def same_places(source: TensorType, target: TensorType) -> bool:
    """Whether storing a code of `target` spoils no code of `source` but the one that lies at the same place."""
    return source.layout == target.layout != "words" and source.bytes == target.bytes and source.whole and target.whole


class GenericConv(Kernel):
    """Any widths, any shape: one weight and one input code at a time."""

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        rows = np.moveaxis(node.attrs["weights"], 3, 0).reshape(node.type.channels, -1)
        packed = pack_rows(rows, weight_bits(node.attrs["weight_type"]))
        return (Constant("weights", "uint8_t", packed, role="weights"),)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        bits = weight_bits(node.attrs["weight_type"])
        depth = int(np.prod(node.attrs["weights"].shape[:3]))
        return {
            **geometry(node, sources[0]),
            "groups": node.attrs["groups"],
            "weight_bits": bits,
            "row_bytes": -(-depth * bits // 8),
        }

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return 9.0 * Conv2D().macs(node, sources) + 12.0 * node.type.size

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None


class XnorConv(Kernel):
    """Bits by bits: XOR and popcount over 32-bit words of channels; windows at the border count fewer taps."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return sources[0].bipolar and node.attrs["weight_type"].bipolar and node.attrs["groups"] == 1

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        words = pack_words(np.moveaxis(node.attrs["weights"], 3, 0))
        return (Constant("weights", "uint32_t", words, role="weights"),)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        return {**geometry(node, sources[0]), "words": -(-sources[0].channels // 32)}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        taps = int(np.prod(node.attrs["weights"].shape[:2])) * -(-sources[0].channels // 32)
        return node.type.size * (17.0 * taps + 16.0)

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None


def residual_in_place(node: Node, sources: Sequence[TensorType], input_first: bool = False) -> tuple[int, ...]:
    """Tensor operands of the epilogue are read at the very index that is written, just before it.

    input_first: one that is the first input, too, counts, because all of that has been read by then.
    """
    fits = [i for i in range(1, len(sources)) if same_places(sources[i], node.type)]
    return tuple(i for i in fits if input_first or node.inputs[i] != node.inputs[0])


Conv2D.kernels = (
    GenericConv("generic", "conv2d.c.j2", takes_signs=True, takes_wide=True),
    XnorConv("xnor", "binary_conv2d.c.j2"),
)
