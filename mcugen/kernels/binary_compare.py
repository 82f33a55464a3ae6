"""Bits from 8-bit codes: four comparisons with thresholds an instruction. C twins: mcb_compare of firmware/mcu_binary.h and
templates/kernels/fast_bits.c.j2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Node, TensorType
from mcugen.numerics.epilogue import Threshold
from mcugen.numerics.packing import pack_words
from mcugen.ops.base import Constant
from mcugen.ops.map import GenericMap
from mcugen.shapes import image


class CompareMap(GenericMap):
    """Signs, and other comparisons of each code with its channel's threshold."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        source = sources[0]
        bytes_in = source.kind == "int" and source.bits == 8 and source.layout == "hwc" and len(sources) == 1
        same = source.channels == node.type.channels
        return bytes_in and same and node.type.layout == "words" and isinstance(node.attrs["epilogue"].form, Threshold)

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        """Thresholds on codes from 0 to 255; what no code reaches is the opposite of what all do."""
        form, channels = node.attrs["epilogue"].form, node.type.channels
        threshold = np.broadcast_to(form.threshold, (channels,)) + (128 if sources[0].signed else 0)
        never = threshold > 255
        flips = np.where(np.broadcast_to(form.flip, (channels,)) ^ never, 1, -1)
        return (
            Constant("threshold", "uint8_t", np.where(never, 0, np.maximum(threshold, 0)).astype(np.uint8)),
            Constant("flip", "uint32_t", pack_words(flips)),
        )

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        height, width, channels = image(node.type.shape)
        return {"pixels": height * width, "channels": channels, "sign": 0x80 if sources[0].signed else 0}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        height, width, channels = image(node.type.shape)
        pixel = 10.0 + 6.0 * -(-channels // 32) + 1.4 * (channels - channels % 8) + 6.0 * (channels % 8)
        return height * width * pixel + 40.0
