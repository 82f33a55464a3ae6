"""curve: softmax, l2, sigmoid or tanh of float32 values, in float32, along the last axis; only at the end of a model.

attrs: curve. The exponential is this project's own, in Python and in C (firmware/mcu_curves.h) with the same bits;
TensorFlow's differs from it by an ulp or two, so no equality with QKeras is promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Array, Float, Node, TensorType
from mcugen.ops.base import Kernel, Operator
from mcugen.shapes import image

F = np.float32
TAYLOR = tuple(F(x) for x in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1.0, 1.0))


def exp(x: Float) -> Float:
    """e to the power of x for x <= 0, float32; below -87 as at -87. Twin of mcu_exp."""
    v = np.maximum(x, F(-87))
    n = (v * F(1.4426950216293335) + F(12582912)) - F(12582912)
    r = (v - n * F(0.693359375)) - n * F(-2.1219444e-4)
    p = np.full_like(r, TAYLOR[0])
    for c in TAYLOR[1:]:
        p = p * r + c
    scale = ((n.astype(np.int32) + 127) << 23).view(F)
    done: Float = p * scale
    return done


class Curve(Operator):
    name = "curve"

    def infer(self, node: Node, sources: Sequence[TensorType]) -> TensorType:
        return node.type

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        x: Float = inputs[0]
        kind = node.attrs["curve"]
        if kind == "softmax":
            e = exp(x - x.max(axis=-1, keepdims=True))
            return e / _sum(e)
        if kind == "l2":
            return x / np.sqrt(np.maximum(_sum(x * x), F(1e-12)))
        z = exp(np.abs(x) * F(-2 if kind == "tanh" else -1))
        if kind == "tanh":
            t = (F(1) - z) / (F(1) + z)
            return np.where(x < 0, -t, t)
        values: Array = np.where(x < 0, z, F(1)) / (F(1) + z)
        return values


def _sum(x: Float) -> Float:
    """Sum along the last axis from the first value to the last, kept as an axis of length 1."""
    total: Float = np.add.accumulate(x, axis=-1, dtype=F)[..., -1:]
    return total


class GenericCurve(Kernel):
    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return sources[0].kind == "float"

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        height, width, channels = image(node.type.shape)
        return {"pixels": height * width, "channels": channels, "curve": node.attrs["curve"]}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return 60.0 * node.type.size

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return (0,)


Curve.kernels = (GenericCurve("generic", "curve.c.j2"),)
