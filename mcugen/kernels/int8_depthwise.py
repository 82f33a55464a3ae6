"""Fast depthwise convolutions with 8-bit weights.

C twins: firmware/mcu_int8_depthwise.h and templates/kernels/fast_*depthwise.c.j2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Int, Node, TensorType
from mcugen.kernels.finish import Finish, finish_of
from mcugen.kernels.int8_pack import bias_table, biased, takes, whole_image
from mcugen.numerics.narrow import Pair
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import geometry, residual_in_place
from mcugen.ops.overlap import row_lead

PLANES_BYTES = 8192  # of scratch
STRIP_BYTES = 10240  # of cache that a layer's passes over one strip may take
LINE_BYTES = 32


class FastDepthwise(Kernel):
    """Depthwise 3x3, one filter a channel, steps of 1 or 2 along a row: planes of int16, two pixels at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        kh, kw, _, multiplier = node.attrs["weights"].shape
        plain = (kh, kw, multiplier) == (3, 3, 1) and tuple(node.attrs["dilation"]) == (1, 1)
        plain = plain and node.attrs["strides"][1] in (1, 2) and max(node.attrs["pads"][2:]) <= 1
        return plain and takes(node, sources, (8, 16)) and _strips(node, sources[0], self.band_rows)["pitch"] < 256

    def _finish(self, node: Node, sources: Sequence[TensorType]) -> Finish | None:
        finish = finish_of(node, sources) if sources[0].bits == 8 else None
        return finish if finish is not None and finish.pre >= 8 and not finish.operand and not finish.even else None

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        weights: Int = node.attrs["weights"][:, :, :, 0]
        rows = np.zeros((weights.shape[2], 3, 4), np.int8)
        rows[:, :, :3] = weights.transpose(2, 0, 1)
        made = [Constant("weights", "uint32_t", rows.view("<u4"), role="weights")]
        finish = self._finish(node, sources)
        if finish is not None:
            made += _line(finish).constants("line")
            if finish.slow.any():
                made.append(Constant("slow", "uint8_t", finish.slow.astype(np.uint8)))
        if biased(sources[0]):
            made.append(bias_table(weights))
        return tuple(made)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        strips = _strips(node, sources[0], self.band_rows)
        wide = {"wide": sources[0].bits == 16, "biased": biased(sources[0])}
        finish = self._finish(node, sources)
        line = None if finish is None else _line(finish)
        return {**strips, **wide, "finish": finish, "line": line, "is_signed": int(sources[0].signed)}

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        g = _strips(node, sources[0], self.band_rows)
        return int(((g["strip"] - 1) * g["sh"] + 3) * 8 * g["pitch"] + 16)

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        g = _strips(node, sources[0], self.band_rows)
        strips = [min(g["strip"], g["out_h"] - first) for first in range(0, g["out_h"], g["strip"])]
        rows = sum((strip - 1) * g["sh"] + 3 for strip in strips)
        widening = rows * -(-g["out_c"] // 4) * (5.0 * g["pitch"] + 10)
        pair = 25.0 if self._finish(node, sources) is None else 15.0 + g["sw"]
        planes = g["out_h"] * (12 + pair * -(-g["out_w"] // 2)) + 50 * len(strips)
        return float(widening + g["out_c"] * planes)

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        """A step is a strip, whose channels are read and written in turn."""
        return row_lead(node, sources[0], _strips(node, sources[0], self.band_rows)["strip"]) if i == 0 else None


def _line(finish: Finish) -> Pair:
    return finish.line(np.ones(len(finish.slow), np.int64))


def _strips(node: Node, source: TensorType, rows: int) -> dict[str, Any]:
    """Geometry; elements from channel to channel of a widened row; rows of output made from one strip of input."""
    g = geometry(node, source)
    right = node.attrs["pads"][3]
    pitch = (g["left"] + g["in_w"] + right + 1) // 2 * 2
    touched = min(g["in_c"] * source.bits // 8, LINE_BYTES)  # bytes of a pixel that four channels draw into the cache
    room = (STRIP_BYTES // touched - (3 - g["sh"]) * g["in_w"]) // (g["sh"] * g["in_w"] + g["out_w"])
    strip = max(1, min(room, (PLANES_BYTES // (8 * pitch) - 3) // g["sh"] + 1))
    height = rows or g["out_h"]
    return {**g, "right": right, "pitch": pitch, "strip": -(-height // -(-height // strip))}


class FastGlobalDepthwise(Kernel):
    """Depthwise whose one window is the whole image: four channels by two taps at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return whole_image(node, sources[0]) and takes(node, sources) and node.attrs["weights"].shape[3] == 1

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        kh, kw, depth, _ = node.attrs["weights"].shape
        taps = np.pad(node.attrs["weights"].reshape(kh * kw, depth), ((0, kh * kw % 2), (0, -depth % 4)))
        words = taps.reshape(-1, 2, taps.shape[1] // 4, 2, 2).transpose(2, 0, 3, 1, 4).astype(np.int8)
        return (Constant("weights", "uint32_t", words.reshape(-1).view("<u4"), role="weights"),)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        g = geometry(node, sources[0])
        return {**g, "taps": g["kh"] * g["kw"], "is_signed": int(sources[0].signed)}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        taps = int(np.prod(node.attrs["weights"].shape[:2]))
        return float(-(-node.type.channels // 4) * (9 * taps + 42))

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)
