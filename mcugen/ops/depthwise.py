"""depthwise: one filter (or `multiplier` of them) a channel; output channel c * multiplier + m.

attrs: weights int64 (kh, kw, channels, multiplier), otherwise as conv2d.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Array, Int, Node, TensorType
from mcugen.numerics.packing import pack_rows, weight_bits
from mcugen.ops.base import Constant, Kernel, Operator, complete
from mcugen.ops.conv2d import geometry, residual_in_place
from mcugen.ops.overlap import pixel_lead
from mcugen.ops.windows import windows


class Depthwise(Operator):
    name = "depthwise"

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        weights: Int = node.attrs["weights"]
        kh, kw, depth, multiplier = weights.shape
        view = windows(inputs[0], node, (kh, kw), sources[0])
        acc = np.zeros((*view.shape[:3], depth, multiplier), np.int64)
        for y in range(kh):
            for x in range(kw):
                acc += view[:, :, :, y, x, :, None] * weights[y, x]
        return complete(node, sources, acc.reshape(*view.shape[:3], depth * multiplier), inputs)

    def bounds(self, weights: Int, source: TensorType) -> tuple[Int, Int]:
        ends = np.stack([weights * source.lo, weights * source.hi, np.zeros_like(weights)])
        return ends.min(axis=0).sum(axis=(0, 1)).reshape(-1), ends.max(axis=0).sum(axis=(0, 1)).reshape(-1)

    def macs(self, node: Node, sources: Sequence[TensorType]) -> int:
        return node.type.size * int(np.prod(node.attrs["weights"].shape[:2]))


class GenericDepthwise(Kernel):
    """Any widths, any shape, bits included: one weight and one input code at a time."""

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        kh, kw, depth, multiplier = node.attrs["weights"].shape
        rows = np.moveaxis(node.attrs["weights"].reshape(kh * kw, depth * multiplier), 1, 0)
        packed = pack_rows(rows, weight_bits(node.attrs["weight_type"]), whole=True)
        return (Constant("weights", "uint8_t", packed, role="weights"),)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        return {
            **geometry(node, sources[0]),
            "multiplier": node.attrs["weights"].shape[3],
            "weight_bits": weight_bits(node.attrs["weight_type"]),
        }

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return 12.0 * Depthwise().macs(node, sources) + 12.0 * node.type.size

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None


Depthwise.kernels = (GenericDepthwise("generic", "depthwise.c.j2", takes_wide=True),)
