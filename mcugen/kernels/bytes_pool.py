"""Pooling of 8-bit codes, four channels at a time.

C twins: firmware/mcu_bytes.h and templates/kernels/fast_*pool.c.j2. Cycles are fitted to modelled Cortex-M7 cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Int, Node, TensorType
from mcugen.kernels.bytes_map import table_of
from mcugen.kernels.int8_pack import eight_bits
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.maxpool import pool_params
from mcugen.ops.overlap import pixel_lead

LONGEST = 255  # bytes whose sum a halfword holds


def _applies(node: Node, source: TensorType) -> bool:
    (kh, kw), (top, bottom, left, right) = node.attrs["size"], node.attrs["pads"]
    touched = max(top, bottom) < kh and max(left, right) < kw  # every window touches the image
    return touched and eight_bits(source) and source.channels >= 4


def _params(node: Node, source: TensorType) -> dict[str, Any]:
    shape = pool_params(node, source)
    return {**shape, "channels": source.channels, "padded": any(node.attrs["pads"]), "is_signed": int(source.signed)}


def _pixels(node: Node) -> int:
    return node.type.size // node.type.channels


def _fours(node: Node) -> int:
    return -(-node.type.channels // 4)


def _tap_cycles(node: Node, each: float, padded: float) -> float:
    """Of four channels of a window."""
    return float(np.prod(node.attrs["size"])) * (padded if any(node.attrs["pads"]) else each)


class FastMaxPool(Kernel):
    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return _applies(node, sources[0])

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        return _params(node, sources[0])

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return _pixels(node) * (12.0 + _fours(node) * (_tap_cycles(node, 2.3, 3.6) + 2.0))

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None


class FastAvgPool(Kernel):
    """Sums in halfwords, widened before they can overflow."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return _applies(node, sources[0]) and node.attrs["size"][1] <= LONGEST

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        height, width = node.attrs["size"]
        taps = 1 if any(node.attrs["pads"]) else next(n for n in (4, 3, 2, 1) if width % n == 0)
        rows = min(LONGEST // width, height)
        return {**_params(node, sources[0]), "rows": rows, "taps": taps, "counted": "counts" in node.attrs,
                "table": self._table(node, sources) is not None, "least": self._ends(node, sources)[0]}  # fmt: skip

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        table = self._table(node, sources)
        return () if table is None else (Constant("table", "uint8_t", (table & 255).astype(np.uint8)),)

    def _ends(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, int]:
        taps = int(np.prod(node.attrs["size"]))
        return min(0, taps * sources[0].lo), max(0, taps * sources[0].hi)

    def _table(self, node: Node, sources: Sequence[TensorType]) -> Int | None:
        """Codes of all sums, where that is shorter than computing them."""
        few = len(sources) == 1 and "counts" not in node.attrs and eight_bits(node.type)
        return table_of(node.attrs["epilogue"].steps, *self._ends(node, sources)) if few else None

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        end = 20.0 if self.constants(node, sources) else 40.0
        return _pixels(node) * (12.0 + _fours(node) * (_tap_cycles(node, 4.0, 8.0) + end))

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None
