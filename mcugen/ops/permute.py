"""permute: axes in another order. attrs: axes, numbers of the input's axes in the output's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.ops.base import Kernel, Operator


class Permute(Operator):
    name = "permute"

    def infer(self, node: Node, sources: Sequence[TensorType]) -> TensorType:
        return replace(sources[0], shape=node.type.shape)

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        return np.transpose(inputs[0], (0, *(axis + 1 for axis in node.attrs["axes"])))


class GenericPermute(Kernel):
    """One element at a time; `steps` are the distances in the input along the output's axes."""

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        shape, axes = sources[0].shape, node.attrs["axes"]
        strides = [int(np.prod(shape[axis + 1 :])) for axis in axes]
        missing = 3 - len(shape)
        return {
            "dims": [1] * missing + list(node.type.shape),
            "steps": [0] * missing + strides,
            "in_c": sources[0].channels,
        }

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return (4.0 if node.type.layout == "hwc" else 14.0) * node.type.size


Permute.kernels = (GenericPermute("generic", "permute.c.j2"),)
