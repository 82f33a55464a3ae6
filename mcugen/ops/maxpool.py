"""maxpool: the largest code in a window; padding never wins.

attrs: size (h, w), strides (h, w), pads (top, bottom, left, right).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.ops.base import Kernel, Operator
from mcugen.ops.overlap import pixel_lead
from mcugen.ops.windows import windows
from mcugen.shapes import image


class MaxPool(Operator):
    name = "maxpool"

    def infer(self, node: Node, sources: Sequence[TensorType]) -> TensorType:
        return replace(sources[0], shape=node.type.shape)

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        lowest = float(np.finfo(np.float32).min) if sources[0].kind == "float" else sources[0].lo
        view = windows(inputs[0], node, node.attrs["size"], sources[0], fill=lowest)
        largest: Array = view.max(axis=(3, 4))
        return largest.reshape(inputs[0].shape[0], *node.type.shape)


def pool_params(node: Node, source: TensorType) -> dict[str, Any]:
    in_h, in_w, channels = image(source.shape)
    out_h, out_w, _ = image(node.type.shape)
    (kh, kw), (sh, sw) = node.attrs["size"], node.attrs["strides"]
    top, _, left, _ = node.attrs["pads"]
    return {
        "in_h": in_h, "in_w": in_w, "out_h": out_h, "out_w": out_w, "channels": channels,
        "kh": kh, "kw": kw, "sh": sh, "sw": sw, "top": top, "left": left,
        "words": -(-channels // 32),
    }  # fmt: skip


class GenericMaxPool(Kernel):
    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        return pool_params(node, sources[0])

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return node.type.size * (4.0 * int(np.prod(node.attrs["size"])) + 6.0)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None


MaxPool.kernels = (GenericMaxPool("generic", "maxpool.c.j2"),)
