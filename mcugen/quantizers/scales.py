"""Automatic weight scales: QKeras's alpha='auto' and 'auto_po2', recomputed from the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcugen.ir import Float, Int
from mcugen.numerics import tf_float

EPSILON = np.float32(1e-7)
LN2 = np.float32(np.log(2.0))
HALF = np.float32(0.5)


def automatic(kind: str, args: Mapping[str, Any], w: Float) -> tuple[Int, Float, int, int]:
    """Codes, scale (1, ..., C), lowest and highest code of weights with an automatic scale."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if kind == "quantized_bits":
            return bits(args, w)
        if "ternary" in kind:
            return ternary(args, w)
        return binary(args, w)


def axes(w: Float) -> tuple[int, ...]:
    """The axes of one scale: all but the last."""
    return tuple(range(w.ndim - 1))


def po2(scale: Float) -> Float:
    """The power of two nearest in the logarithm, in float32 as TensorFlow computes it."""
    exponent = np.rint(tf_float.log(scale + EPSILON) / LN2)
    done: Float = np.exp2(exponent).astype(np.float32)
    return done


def least_squares(alpha: str, x: Float, q: Float) -> Float:
    """The scale that brings q nearest to x; a rank-1 tensor gets one for each element."""
    product, square = x * q, q * q
    if x.ndim > 1:
        product, square = tf_float.mean(product), tf_float.mean(square)
    scale = product / (square + EPSILON)
    return po2(scale) if alpha == "auto_po2" else scale


def bits(args: Mapping[str, Any], w: Float) -> tuple[Int, Float, int, int]:
    """quantized_bits: always symmetric, rounds half away from zero, ignores keep_negative."""
    unit = np.float32(2.0 ** args["integer"])
    x = w / unit
    top = (1 << (args["bits"] - 1)) - 1
    largest = np.max(np.abs(x), axis=axes(x) if x.ndim > 1 else (0,), keepdims=True, initial=np.float32(0))
    scale = largest * np.float32(2) / np.float32(2 * top)

    def levels(scale: Float) -> Float:
        v = np.floor(np.abs(x) / scale + HALF)
        z: Float = np.sign(x) * np.where(v < top, v, np.float32(top))
        return z

    if args["alpha"] == "auto":
        z = levels(scale)
    else:
        scale = po2(scale)
        for _ in range(5):
            z = levels(scale)
            scale = least_squares("auto_po2", x, z)
    return z.astype(np.int64), (scale * unit).astype(np.float32), -top, top


def binary(args: Mapping[str, Any], w: Float) -> tuple[Int, Float, int, int]:
    low = 0 if args.get("use_01") else -1
    k = np.where(w >= 0, np.float32(1), np.float32(low))
    return k.astype(np.int64), least_squares(args["alpha"], w, k), low, 1


def ternary(args: Mapping[str, Any], w: Float) -> tuple[Int, Float, int, int]:
    largest = np.max(np.abs(w), axis=axes(w) if w.ndim > 1 else None, keepdims=True, initial=np.float32(0))
    scale = np.float32(2) * largest / np.float32(3)
    if args["alpha"] == "auto_po2":
        scale = po2(scale)
    for _ in range(args["number_of_unrolls"]):
        v = scale * np.rint(w / scale)
        q = (np.abs(v) >= scale / np.float32(2)).astype(np.float32) * np.sign(w)
        scale = least_squares(args["alpha"], w, q)
    return q.astype(np.int64), scale, -1, 1


def lowest_bit(values: Float) -> int:
    """Exponent of the largest power of two that divides all values (0 if all are zero)."""
    mantissa, exponent = np.frexp(values[values != 0].astype(np.float64))
    if mantissa.size == 0:
        return 0
    whole = np.abs(np.ldexp(mantissa, 53)).astype(np.int64)
    trailing = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    return int((exponent - 53 + trailing).min())
