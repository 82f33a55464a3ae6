"""avgpool: sums of codes in a window, finished by its epilogue (scale, division, what follows).

attrs: size (h, w), strides (h, w), pads (top, bottom, left, right), epilogue, acc_lo, acc_hi; with padding also counts,
the number of values in each window (int64, (out h, out w, 1)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.ops.base import Kernel, Operator, complete
from mcugen.ops.maxpool import pool_params
from mcugen.ops.overlap import pixel_lead
from mcugen.ops.windows import windows


class AvgPool(Operator):
    name = "avgpool"

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        acc = windows(inputs[0].astype(np.int64), node, node.attrs["size"], sources[0]).sum(axis=(3, 4))
        return complete(node, sources, acc, inputs)


class GenericAvgPool(Kernel):
    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        return {**pool_params(node, sources[0]), "padded": any(node.attrs["pads"]), "counted": "counts" in node.attrs}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return node.type.size * (4.0 * int(np.prod(node.attrs["size"])) + 12.0)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None


AvgPool.kernels = (GenericAvgPool("generic", "avgpool.c.j2"),)
