"""Binary convolution over the set activations alone, for few pixels and many channels: 32 output channels are the bits of a
word. C twins: firmware/mcu_binary_sets.h and templates/kernels/fast_binary_sets.c.j2. Cycles are fitted to modelled ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.ir import Array, Int, Node, TensorType
from mcugen.kernels.binary_finish import asked, stage_constants, stage_cycles, stage_params
from mcugen.kernels.binary_pack import pack_sets
from mcugen.kernels.binary_tables import BAND_BYTES
from mcugen.kernels.binary_windows import (
    Windows,
    binary_geometry,
    counts_double,
    padded_bytes,
    source_form,
    takes_bits,
    window_kinds,
)
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import residual_in_place
from mcugen.shapes import image


@dataclass(frozen=True)
class BinarySets(Kernel):
    """Binary convolution of small images by lists of set activations."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        small = int(np.prod(node.attrs["weights"].shape[:3])) <= 16000 and self.scratch_bytes(node, sources) <= 1 << 15
        return takes_bits(node, sources[0]) and node.attrs["groups"] == 1 and small

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        weights: Int = node.attrs["weights"]
        ones, rows, columns = self._windows(node, sources)
        return (
            Constant("weights", "uint32_t", pack_sets(weights), role="weights"),
            Constant("ones", "uint16_t", ones),
            Constant("row", "uint16_t", rows),
            Constant("column", "uint16_t", columns),
            *stage_constants(node, sources, int(np.prod(weights.shape[:3])), True, counts_double(node)),
        )

    def _windows(self, node: Node, sources: Sequence[TensorType]) -> tuple[Array, Array, Array]:
        """Set weights of every kind of window (kind, channel); of each output row and column the part of its kind."""
        weights: Int = node.attrs["weights"]
        kh, kw, _, count = weights.shape
        (in_h, in_w, _), (out_h, out_w, _) = image(sources[0].shape), image(node.type.shape)
        (sh, sw), (top, _, left, _) = node.attrs["strides"], node.attrs["pads"]
        ones = (weights > 0).sum(axis=2)
        row_kinds, rows = window_kinds(out_h, sh, top, in_h, kh)
        column_kinds, columns = window_kinds(out_w, sw, left, in_w, kw)
        sums = [ones[y0:y1, x0:x1].sum(axis=(0, 1)) for y0, y1 in row_kinds for x0, x1 in column_kinds]
        table = np.pad(np.stack(sums), ((0, 0), (0, -count % 32)))
        return table.astype(np.uint16), (rows * len(column_kinds)).astype(np.uint16), columns.astype(np.uint16)

    def _sizes(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, list[int]]:
        """Rows of a band, and bytes of: lists, their sizes, the window's list, carries into 16, counts."""
        in_h, in_w, depth = image(sources[0].shape)
        out_h, out_w, count = image(node.type.shape)
        terms = int(np.prod(node.attrs["weights"].shape[:3]))
        pixel = 64 * -(-count // 32)
        band = max(1, min(out_h, BAND_BYTES // (pixel * out_w)))
        parts = [2 * in_h * in_w * depth + 8, 2 * in_h * in_w, terms + 64, terms // 8 + 8, band * out_w * pixel]
        return band, [padded_bytes(size) for size in parts]

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        terms = int(np.prod(node.attrs["weights"].shape[:3]))
        band, sizes = self._sizes(node, sources)
        ends = np.cumsum(sizes)
        stage = stage_params(node, sources, True, counts_double(node))
        return {
            **binary_geometry(node, sources), **stage,
            "terms": terms, "band": band, "many": int(terms > 2046), "chunks": -(-node.type.channels // 32),
            "sizes_at": int(ends[0]), "list_at": int(ends[1]), "sixteens_at": int(ends[2]), "counts_at": int(ends[3]),
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return sum(self._sizes(node, sources)[1])

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        windows, depth = Windows.of(node, sources), sources[0].channels
        chunks, band = -(-node.type.channels // 32), self._sizes(node, sources)[0]
        blocks = windows.taps * depth * 0.475 / 16 + 0.5 * windows.pixels
        gather = chunks * (blocks * 78.0 + windows.pixels * 150.0)
        each = 7.5 if source_form(node) == "codes" else 10.5
        lists = windows.inputs * depth * each + windows.taps * (depth * 0.86 + 30.0) + windows.pixels * 60.0
        return gather + lists + stage_cycles(node, sources, -(-windows.out_h // band), True) + 300.0

    def asked_channels(self, node: Node, sources: Sequence[TensorType]) -> Array | None:
        return asked(node, sources)

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources, input_first=True)
