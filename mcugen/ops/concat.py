"""concat: channels of several images side by side; all inputs on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.ops.base import Kernel, Operator, same_grid
from mcugen.ops.overlap import pixel_lead
from mcugen.shapes import image


class Concat(Operator):
    name = "concat"

    def infer(self, node: Node, sources: Sequence[TensorType]) -> TensorType:
        return same_grid(node, sources)

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        return np.concatenate(list(inputs), axis=-1)


class GenericConcat(Kernel):
    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        height, width, channels = image(node.type.shape)
        starts = np.cumsum([0, *(source.channels for source in sources)])
        parts = [{"channels": source.channels, "start": int(start)} for source, start in zip(sources, starts, strict=False)]
        return {"pixels": height * width, "channels": channels, "parts": parts}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return (2.0 if node.type.layout == "hwc" else 10.0) * node.type.size

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        """Each pixel moves towards the front, the last one least."""
        return pixel_lead(node, sources[i]) if node.type.layout != "hwc" else node.type.bytes - sources[i].bytes


Concat.kernels = (GenericConcat("generic", "concat.c.j2"),)
