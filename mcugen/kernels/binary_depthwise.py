"""Binary depthwise convolution: 32 channels are the bits of a word, matches are counted in bit planes. C twins:
firmware/mcu_binary_depthwise.h and templates/kernels/fast_binary_depthwise.c.j2. Cycles are fitted to modelled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.ir import Array, Int, Node, TensorType
from mcugen.kernels.binary_finish import asked, mode_of, stage_constants, stage_cycles, stage_params
from mcugen.kernels.binary_windows import Windows, binary_geometry, window_kinds
from mcugen.numerics.packing import pack_words
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import residual_in_place
from mcugen.ops.overlap import row_lead
from mcugen.shapes import image


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
        kh, kw, depth = weights.shape
        if mode_of(node, sources) != "bits":
            return (*made, *stage_constants(node, sources, kh * kw, wide=False, twice=True))
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
        return *window_kinds(out_h, sh, top, in_h, kh), *window_kinds(out_w, sw, left, in_w, kw)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        geometry = binary_geometry(node, sources)
        planes = _planes(geometry["kh"] * geometry["kw"])
        stage = stage_params(node, sources, wide=False, twice=True)
        return {
            **geometry, **stage, "terms": geometry["kh"] * geometry["kw"], "planes": planes,
            "words": -(-sources[0].channels // 32), "lane": "4 * (c & 7) + (c >> 3)",
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return 0 if mode_of(node, sources) == "bits" else 32 * image(node.type.shape)[1]

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        windows, words = Windows.of(node, sources), -(-sources[0].channels // 32)
        whole = 42.0 if node.attrs["weights"].shape[:2] == (3, 3) else 0.0
        inside = windows.pixels - windows.border if whole else 0
        each = inside * whole + (windows.taps - 9 * inside) * 12.0 + windows.pixels * 33.0
        if mode_of(node, sources) == "bits":
            return words * each + 100.0
        return words * (each + 60.0 * windows.pixels) + stage_cycles(node, sources, windows.out_h, False) + 100.0

    def asked_channels(self, node: Node, sources: Sequence[TensorType]) -> Array | None:
        return asked(node, sources)

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        """A step is a row, whose words are read and written in turn."""
        return row_lead(node, sources[0], 1) if i == 0 else None


def _planes(taps: int) -> int:
    """Bit planes for 0 to `taps` and a threshold that none of them reaches."""
    return max(2, (taps + 1).bit_length())
