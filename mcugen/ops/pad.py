"""pad: a border of zeros. attrs: pads (top, bottom, left, right)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.ops.base import Kernel, Operator
from mcugen.ops.overlap import pixel_lead
from mcugen.shapes import image


class Pad(Operator):
    name = "pad"

    def infer(self, node: Node, sources: Sequence[TensorType]) -> TensorType:
        source = sources[0]
        assert not source.bipolar, "zero is no bit"
        if source.kind == "float":
            return replace(source, shape=node.type.shape)
        return TensorType.of_codes(node.type.shape, min(source.lo, 0), max(source.hi, 0), source.scale)

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        top, bottom, left, right = node.attrs["pads"]
        x = inputs[0].reshape(inputs[0].shape[0], *image(sources[0].shape))
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        return padded.reshape(x.shape[0], *node.type.shape)


class GenericPad(Kernel):
    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        in_h, in_w, _ = image(sources[0].shape)
        out_h, out_w, _ = image(node.type.shape)
        top, _, left, _ = node.attrs["pads"]
        return {"in_h": in_h, "in_w": in_w, "out_h": out_h, "out_w": out_w, "top": top, "left": left}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return 2.0 * node.type.size

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None


Pad.kernels = (GenericPad("generic", "pad.c.j2"),)
