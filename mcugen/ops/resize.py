"""resize: every pixel of the output is a pixel of the input: cropping and repeating.

attrs: offset (top, left), repeat (rows, columns): out[y, x] = in[y / rows + top, x / columns + left].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.ops.base import Kernel, Operator
from mcugen.shapes import image


class Resize(Operator):
    name = "resize"

    def infer(self, node: Node, sources: Sequence[TensorType]) -> TensorType:
        return replace(sources[0], shape=node.type.shape)

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        x = inputs[0].reshape(inputs[0].shape[0], *image(sources[0].shape))
        height, width, _ = image(node.type.shape)
        (top, left), (rows, columns) = node.attrs["offset"], node.attrs["repeat"]
        taken = x[:, np.arange(height) // rows + top][:, :, np.arange(width) // columns + left]
        return taken.reshape(x.shape[0], *node.type.shape)


class GenericResize(Kernel):
    """Copies whole pixels, bits by the word."""

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        out_h, out_w, _ = image(node.type.shape)
        (top, left), (rows, columns) = node.attrs["offset"], node.attrs["repeat"]
        in_w = image(sources[0].shape)[1]
        return {"in_w": in_w, "out_h": out_h, "out_w": out_w, "top": top, "left": left, "rows": rows, "columns": columns}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return 2.0 * node.type.size


Resize.kernels = (GenericResize("generic", "resize.c.j2"),)
