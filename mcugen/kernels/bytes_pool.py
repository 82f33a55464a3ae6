"""Pooling of 8-bit codes, four channels at a time.

C twins: firmware/mcu_bytes.h and templates/kernels/fast_*pool.c.j2. Cycles are fitted to modelled Cortex-M7 cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Node, TensorType
from mcugen.kernels.int8_pack import eight_bits
from mcugen.ops.base import Kernel
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


def _tap_cycles(node: Node, each: float) -> float:
    """Of four channels of a window; loops over clipped windows take 8 a tap."""
    return float(np.prod(node.attrs["size"])) * (8.0 if any(node.attrs["pads"]) else each)


class FastMaxPool(Kernel):
    by_rows = True

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return _applies(node, sources[0])

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        return _params(node, sources[0])

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return _pixels(node) * (12.0 + _fours(node) * (_tap_cycles(node, 2.2) + 2.0))

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None


class FastAvgPool(Kernel):
    """Sums in halfwords, widened before they can overflow."""

    by_rows = True

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return _applies(node, sources[0]) and node.attrs["size"][1] <= LONGEST

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        height, width = node.attrs["size"]
        taps = 1 if any(node.attrs["pads"]) else next(n for n in (4, 3, 2, 1) if width % n == 0)
        rows = min(LONGEST // width, height)
        return {**_params(node, sources[0]), "rows": rows, "taps": taps, "counted": "counts" in node.attrs}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return _pixels(node) * (12.0 + _fours(node) * (_tap_cycles(node, 4.0) + 40.0))

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None
