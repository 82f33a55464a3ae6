"""Depthwise 3x3 of packed codes. C twins: firmware/mcu_subbyte.h and templates/kernels/subbyte_depthwise.c.j2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Node, TensorType
from mcugen.kernels.subbyte_finish import finish_line, finish_params
from mcugen.numerics.packing import weight_bits
from mcugen.ops.base import Constant
from mcugen.ops.conv2d import geometry
from mcugen.ops.depthwise import GenericDepthwise
from mcugen.ops.overlap import row_lead

PLANES_BYTES = 8192  # of scratch


class PackedDepthwise(GenericDepthwise):
    """Codes of 2 and 4 bits, weights of any up to 8: planes of int16, two pixels of two channels at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        kh, kw, _, multiplier = node.attrs["weights"].shape
        plain = (kh, kw, multiplier) == (3, 3, 1) and tuple(node.attrs["dilation"]) == (1, 1)
        plain = plain and node.attrs["strides"][1] in (1, 2) and max(node.attrs["pads"][2:]) <= 1
        return plain and sources[0].layout == "packed" and weight_bits(node.attrs["weight_type"]) <= 8

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        line = finish_line(node, sources, _even(node))
        return (*super().constants(node, sources), *(line.constants("line") if line else ()))

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        return {
            **super().params(node, sources), **finish_params(node, sources, _even(node)), **_strips(node, sources[0]),
            "less": None, "in_memory": True, "in_bits": sources[0].bits, "is_signed": int(sources[0].signed),
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        g = _strips(node, sources[0])
        return int(((g["strip"] - 1) * g["sh"] + 3) * 8 * g["pitch"] + 16)

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        g = _strips(node, sources[0])
        rows = g["out_h"] * g["sh"] + 2 * -(-g["out_h"] // g["strip"])
        widening = rows * -(-g["out_c"] // 4) * (10.0 * g["pitch"] + 10)
        strips = -(-g["out_h"] // g["strip"])
        return float(widening + g["out_c"] * (g["out_h"] * (12 + 30.0 * -(-g["out_w"] // 2)) + 70 * strips))

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        """A step is a strip, whose channels are read and written in turn."""
        return row_lead(node, sources[0], _strips(node, sources[0])["strip"]) if i == 0 else None


def _even(node: Node) -> int:
    return node.type.channels + node.type.channels % 2


def _strips(node: Node, source: TensorType) -> dict[str, Any]:
    """Geometry; elements from channel to channel of a widened row; rows of output made from one strip of input."""
    g = geometry(node, source)
    pitch = (g["left"] + g["in_w"] + node.attrs["pads"][3] + 1) // 2 * 2
    strip = max(1, min(g["out_h"], (PLANES_BYTES // (8 * pitch) - 3) // g["sh"] + 1))
    return {**g, "pitch": pitch, "strip": int(np.ceil(g["out_h"] / np.ceil(g["out_h"] / strip)))}
