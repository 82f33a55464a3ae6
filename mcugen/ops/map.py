"""map: elementwise float32 steps on one tensor, further tensors as operands; also plain requantization.

attrs: epilogue. The "sum" of a map is its first input's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcugen.ir import Array, Node, TensorType
from mcugen.numerics.epilogue import evaluate
from mcugen.ops.base import Kernel, Operator, complete, to_value
from mcugen.ops.conv2d import residual_in_place
from mcugen.ops.overlap import element_lead
from mcugen.shapes import image


class Map(Operator):
    name = "map"

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        if sources[0].kind == "int":
            return complete(node, sources, inputs[0], inputs)
        values = [to_value(x, kind) for x, kind in zip(inputs[1:], sources[1:], strict=True)]
        return evaluate(node.attrs["epilogue"].steps, inputs[0], values)


class GenericMap(Kernel):
    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        height, width, channels = image(node.type.shape)
        return {"pixels": height * width, "channels": channels}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return 12.0 * node.type.size

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return element_lead(node, sources[0]) if i == 0 else None


Map.kernels = (GenericMap("generic", "map.c.j2"),)
