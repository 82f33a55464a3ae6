"""reshape: the same elements in the same order under another shape; free unless codes must be packed anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcugen.ir import Array, Node, TensorType
from mcugen.ops.base import Kernel, Operator


class Reshape(Operator):
    name = "reshape"

    def infer(self, node: Node, sources: Sequence[TensorType]) -> TensorType:
        return replace(sources[0], shape=node.type.shape)

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        return inputs[0].reshape(inputs[0].shape[0], *node.type.shape)


class View(Kernel):
    """No code at all: the output is the input's buffer."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return node.type.channels == sources[0].channels or (node.type.whole and sources[0].whole)

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return 0.0

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return (0,)


class Repack(Kernel):
    """Codes whose pixels end inside a word or byte move one by one."""

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        return {"size": node.type.size, "in_c": sources[0].channels, "out_c": node.type.channels}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return 12.0 * node.type.size


Reshape.kernels = (View("view", ""), Repack("repack", "repack.c.j2"))
