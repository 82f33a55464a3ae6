"""Windows of binary convolutions: what their templates and costs need to know about shapes and borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.ir import Int, Node, TensorType
from mcugen.shapes import image


def source_form(node: Node) -> str:
    """How activations arrive: "codes" (int8, their signs count) or "words" of bits."""
    return "codes" if node.attrs.get("sign_input") else "words"


def takes_bits(node: Node, source: TensorType) -> bool:
    attrs = node.attrs
    if not attrs["weight_type"].bipolar or tuple(attrs["dilation"]) != (1, 1):
        return False
    if source_form(node) == "codes":
        return source.kind == "int" and source.layout == "hwc" and source.bits == 8 and source.signed
    return source.bipolar and source.layout == "words"


def counts_double(node: Node) -> bool:
    """Whether windows at the border may miss an odd number of products, so that counts must be doubled."""
    return bool(any(node.attrs["pads"]) and node.attrs["weights"].shape[2] % 2)


def binary_geometry(node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
    """What the templates read; "in_c" are the channels of one group."""
    (in_h, in_w, _), (out_h, out_w, out_c) = image(sources[0].shape), image(node.type.shape)
    kh, kw, in_c, _ = node.attrs["weights"].shape
    (sh, sw), (top, _, left, _) = node.attrs["strides"], node.attrs["pads"]
    return {
        "in_h": in_h, "in_w": in_w, "in_c": in_c, "out_h": out_h, "out_w": out_w, "out_c": out_c,
        "kh": kh, "kw": kw, "sh": sh, "sw": sw, "top": top, "left": left, "source": source_form(node),
        "names": ", ".join(["in", *(f"in{k}" for k in range(1, len(sources))), "out", "scratch"]),
    }  # fmt: skip


def window_kinds(size: int, stride: int, before: int, length: int, taps: int) -> tuple[list[tuple[int, int]], Int]:
    """The ranges of taps inside the image that occur along one axis, and which of them each output position has."""
    spans = [(max(0, before - at * stride), min(taps, length - at * stride + before)) for at in range(size)]
    kinds = sorted(set(spans))
    return kinds, np.array([kinds.index(span) for span in spans], np.int64)


def padded_bytes(size: int) -> int:
    """Rounded up to 8 bytes."""
    return -(-size // 8) * 8


@dataclass(frozen=True)
class Windows:
    """Counts over all windows: output pixels, those at the border, input pixels, taps and rows of taps inside the image."""

    out_h: int
    pixels: int
    border: int
    inputs: int
    taps: int
    rows: int

    @staticmethod
    def of(node: Node, sources: Sequence[TensorType]) -> Windows:
        kh, kw = node.attrs["weights"].shape[:2]
        (in_h, in_w, _), (out_h, out_w, _) = image(sources[0].shape), image(node.type.shape)
        (sh, sw), (top, _, left, _) = node.attrs["strides"], node.attrs["pads"]
        rows = [max(0, min(kh, in_h - y * sh + top) - max(0, top - y * sh)) for y in range(out_h)]
        columns = [max(0, min(kw, in_w - x * sw + left) - max(0, left - x * sw)) for x in range(out_w)]
        inside = sum(n == kh for n in rows) * sum(n == kw for n in columns)
        pixels = out_h * out_w
        return Windows(out_h, pixels, pixels - inside, in_h * in_w, sum(rows) * sum(columns), sum(rows) * out_w)
