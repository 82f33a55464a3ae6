"""Codes of each activation quantizer, in float32 operation by operation as QKeras 0.9.0 computes them.

RNE below is rounding half to even; `args` are the constructor arguments that `parse` has checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mcugen.ir import Float, Int
from mcugen.numerics import tf_float

Args = Mapping[str, Any]
Log = Callable[[Float], Float]
F = np.float32
EPSILON = F(1e-7)
LN2 = F(np.log(2.0))
LARGEST = np.finfo(np.float32).max


def grid(kind: str, args: Args) -> dict[str, Any]:
    """The fields of `Grid` for a quantizer whose alpha is None or a number."""
    alpha = 1.0 if args.get("alpha") is None else float(F(args["alpha"]))
    if kind in ("quantized_bits", "quantized_hswish"):
        return bits_grid(kind, args, alpha)
    if kind == "quantized_relu":
        return relu_grid(args)
    if kind == "quantized_tanh":
        m = 1 << (args["bits"] - 1)
        return {"lo": -m + args["symmetric"], "hi": m - 1, "step": 1 / m, "monotone": not args["use_real_tanh"]}
    if kind == "quantized_sigmoid":
        m = 1 << args["bits"]
        return {"lo": int(args["symmetric"]), "hi": m - 1, "step": 1 / m, "monotone": not args["use_real_sigmoid"]}
    if kind == "quantized_ulaw":
        return {"lo": 0, "hi": 1 << (args["bits"] - 1), "step": 0.0, "levels": ulaw_levels(args)}
    if kind.endswith("po2"):
        return po2_grid(kind, args)
    if "ternary" in kind:
        return {"lo": -1, "hi": 1, "step": alpha}
    low = 0 if args.get("use_01") else -1
    return {"lo": low, "hi": 1, "step": alpha, "bipolar": low < 0}


def bits_grid(kind: str, args: Args, alpha: float) -> dict[str, Any]:
    unsigned = args["bits"] - args.get("keep_negative", True)
    plain = kind == "quantized_bits"
    if unsigned == 0:
        return {"lo": -1, "hi": 1, "step": alpha, "bipolar": True, "monotone": plain}
    low = -(1 << unsigned) + args["symmetric"] if args.get("keep_negative", True) else 0
    step = alpha * 2.0 ** (args["integer"] - unsigned)
    if not plain:
        low = max(low, math.ceil(hswish_minimum(args) * 2.0 ** (unsigned - args["integer"]) * (1 + 2.0**-20) - 0.5))
    return {"lo": low, "hi": (1 << unsigned) - 1, "step": step, "monotone": plain, "linear": plain and alpha == 1.0}


def relu_grid(args: Args) -> dict[str, Any]:
    """quantized_relu: with a slope the negative side has its own, sometimes finer, end; see `relu_unit`."""
    slope = args["negative_slope"]
    magnitude = args["bits"] - (slope != 0)
    unit = relu_unit(args)
    step = 2.0 ** (args["integer"] - magnitude)
    high = (1 << magnitude) - 1
    bound = args["relu_upper_bound"]
    if bound and not args["is_quantized_clip"]:
        high = min(high, int(np.floor(F(bound) / F(step))))
    low = -round(slope * 2.0**magnitude * unit)
    return {"lo": low, "hi": high * unit, "step": step / unit, "linear": slope == 0 and not args["use_sigmoid"]}


def relu_unit(args: Args) -> int:
    """Codes to one step of the positive side: above 1 where the negative end lies within one step of zero."""
    slope = args["negative_slope"]
    return max(1, round(1 / (slope * 2.0 ** (args["bits"] - 1)))) if slope else 1


def po2_grid(kind: str, args: Args) -> dict[str, Any]:
    """Powers of two as integer multiples of the smallest one."""
    lowest, highest = po2_exponents(kind, args)
    top = 1 << (highest - lowest)
    signed = kind == "quantized_po2" or args["negative_slope"] != 0
    tidy = not args["quadratic_approximation"]
    return {"lo": -top if signed else 1, "hi": top, "step": 2.0**lowest, "monotone": tidy}


def codes(kind: str, args: Args, lo: int, x: Float, tails: bool = False) -> Int:
    """Integer codes of float32 values of any shape; `lo` is the grid's lowest code.

    TensorFlow's logarithm and sigmoid differ in the size % 8 last elements of an array; `tails` follows it there, else
    every element is computed like the others.
    """
    if kind == "quantized_bits":
        return bits_codes(args, x)
    if kind == "quantized_hswish":
        return bits_codes(args, hswish(args, x))
    if kind == "quantized_relu":
        return relu_codes(args, x)
    if kind == "quantized_tanh":
        m = F(1 << (args["bits"] - 1))
        p = tf_float.tanh(x) if args["use_real_tanh"] else F(2) * hard_sigmoid(x) - F(1)
        return clip(np.rint(p * m), int(-m) + args["symmetric"], int(m) - 1)
    if kind == "quantized_sigmoid":
        m = F(1 << args["bits"])
        real = tf_float.sigmoid if tails else tf_float.packet_sigmoid
        p = real(x) if args["use_real_sigmoid"] else hard_sigmoid(x)
        return clip(np.rint(p * m), int(args["symmetric"]), int(m) - 1)
    if kind == "quantized_ulaw":
        unit = F(2.0 ** args["integer"])
        return clip(np.rint(hard_sigmoid(x / unit) * F(1 << (args["bits"] - 1))), 0, 1 << (args["bits"] - 1))
    if kind.endswith("po2"):
        lowest, _ = po2_exponents(kind, args)
        values = po2(kind, args, x, tf_float.log if tails else tf_float.packet_log)
        whole: Int = np.ldexp(values.astype(np.float64), -lowest).astype(np.int64)
        return whole
    if "ternary" in kind:
        threshold = F(0.33 if args["threshold"] is None else args["threshold"])
        kept = np.abs(x) >= threshold
        return np.where(kept, np.sign(x), F(0)).astype(np.int64)
    return np.where(x >= 0, 1, lo).astype(np.int64)


def through(kind: str, args: Args, x: Float, q: Float) -> Float:
    """QKeras's straight-through sum s + (-s + q), where s is what the quantizer passes its gradient to."""
    if kind in ("quantized_tanh", "quantized_sigmoid", "quantized_ulaw"):
        return q
    if kind == "quantized_hswish":
        x = hswish(args, x)
    elif kind == "quantized_relu":
        x = relu_smooth(args, x)
    elif kind == "quantized_relu_po2":
        smooth = leaky(x, args["negative_slope"])
        bound = args["max_value"]
        x = smooth if bound is None else np.where(x <= F(bound), smooth, F(bound))
    elif "alpha" in args and args["alpha"] is None and kind != "quantized_bits":
        x = np.tanh(x)
    return x + (-x + q)


def clip(x: Float, low: int, high: int) -> Int:
    done: Int = np.clip(x, F(low), F(high)).astype(np.int64)
    return done


def hard_sigmoid(x: Float) -> Float:
    """QKeras's default sigmoid, clip(x/2 + 1/2, 0, 1); which kind is used is not saved in files."""
    done: Float = np.clip(F(0.5) * x + F(0.5), F(0), F(1))
    return done


def leaky(x: Float, slope: float) -> Float:
    return np.where(x > 0, x, F(slope) * x) if slope else np.maximum(x, F(0))


def bits_codes(args: Args, x: Float) -> Int:
    """clip(RNE(x / step)); one bit with a sign is the sign, zero counting as +1."""
    signed = args.get("keep_negative", True)
    unsigned = args["bits"] - signed
    if unsigned == 0:
        return np.where(x >= 0, 1, -1).astype(np.int64)
    p = x * F(1 << unsigned) / F(2.0 ** args["integer"])
    return clip(np.rint(p), -(1 << unsigned) + args["symmetric"] if signed else 0, (1 << unsigned) - 1)


def hswish(args: Args, x: Float) -> Float:
    top = F(args["relu_upper_bound"])
    shifted = x + F(args["relu_shift"])
    gate = np.where(shifted <= top, np.maximum(shifted, F(0)), top)
    done: Float = x * gate / top
    return done


def hswish_minimum(args: Args) -> float:
    """The smallest value of x * min(relu(x + shift), top) / top."""
    shift, top = args["relu_shift"], args["relu_upper_bound"]
    return -shift * shift / (4 * top) if shift <= 2 * top else float(top - shift)


def relu_codes(args: Args, x: Float) -> Int:
    slope, unit = args["negative_slope"], relu_unit(args)
    magnitude = args["bits"] - (slope != 0)
    m, m_i = F(1 << magnitude), F(2.0 ** args["integer"])
    top = (1 << magnitude) - 1
    if args["use_sigmoid"]:
        doubled = F(2) * np.rint(hard_sigmoid(x / m_i) * m) - m
        return clip(doubled, 0, top)
    p = x * m / m_i
    z = clip(np.rint(p), 0, top)
    bound = args["relu_upper_bound"]
    if slope:
        end = -slope * float(m)
        z = z * unit + np.round(np.clip(np.rint(p * F(slope)), F(end), F(0)).astype(np.float64) * unit).astype(np.int64)
    if bound and not args["is_quantized_clip"]:
        step = F(2.0 ** (args["integer"] - magnitude)) / F(unit)
        z = np.minimum(z, int(np.floor(F(bound) / step)))
    return z


def relu_smooth(args: Args, x: Float) -> Float:
    """The unquantized, clipped ReLU inside quantized_relu."""
    slope = args["negative_slope"]
    smooth = leaky(x, slope)
    magnitude = args["bits"] - (slope != 0)
    m_i = F(2.0 ** args["integer"])
    if args["is_quantized_clip"]:
        bound = m_i - F(2.0 ** (args["integer"] - magnitude))
    elif args["relu_upper_bound"] is not None:
        bound = F(args["relu_upper_bound"])
    else:
        return smooth
    return np.where(x <= bound, smooth, bound)


def ulaw_levels(args: Args) -> Float:
    """The value of each code 0 .. 2**(bits-1) of quantized_ulaw."""
    m, u = F(1 << (args["bits"] - 1)), F(args["u"])
    rp = F(2) * (np.arange(int(m) + 1, dtype=F) / m) - F(1)
    law = np.sign(rp) * tf_float.log(F(1) + u * np.abs(rp)) / tf_float.log(np.asarray(F(1) + u))
    low = F(-1.0 + (1.0 * args["symmetric"]) / float(m))
    levels: Float = F(2.0 ** args["integer"]) * np.clip(law, low, F(1.0 - 1.0 / float(m)))
    return levels.astype(F)


def po2_limits(kind: str, args: Args) -> tuple[int, int, float | None]:
    """Lowest and highest exponent that the bits allow, and the largest magnitude."""
    bound = args["max_value"]
    bits = args["bits"] - (kind == "quantized_po2") - (bound is None or bound > 1)
    high = 2**bits - 1
    if args["quadratic_approximation"]:
        high = 2 * (high // 2)
    return int(-(2.0**bits)), int(high), bound


def po2_exponent(kind: str, args: Args, magnitude: Float, log: Log) -> Float:
    """The exponent for non-negative float32 values, as float32."""
    low, high, bound = po2_limits(kind, args)
    x = np.where(magnitude < EPSILON, EPSILON, magnitude)
    if bound is not None:
        x = np.where(x >= F(bound), F(bound), x)
    quadratic = args["quadratic_approximation"]
    log2 = log(np.sqrt(x) if quadratic else x) / LN2
    whole = np.floor(log2) if args["log2_rounding"] == "floor" else np.rint(log2)
    exponent = F(2 if quadratic else 1) * np.clip(whole, F(low), F(high))
    return np.where(magnitude < EPSILON, F(low), exponent)


def po2_exponents(kind: str, args: Args) -> tuple[int, int]:
    """The lowest and highest exponent that occur for any input."""
    ends = po2_exponent(kind, args, np.asarray([0, EPSILON, LARGEST], F), tf_float.packet_log)
    return int(ends.min()), int(ends.max())


def po2(kind: str, args: Args, x: Float, log: Log = tf_float.log) -> Float:
    """quantized_po2 and quantized_relu_po2 before the straight-through sum.

    At the border between two powers the result may depend on an element's place in the array, as the logarithm does.
    """
    if kind == "quantized_po2":
        sign = np.where(x >= 0, F(1), F(-1))
        return sign * np.exp2(po2_exponent(kind, args, np.abs(x), log))
    positive = np.exp2(po2_exponent(kind, args, np.maximum(x, F(0)), log))
    if args["negative_slope"] == 0:
        return positive
    below = np.maximum(-x, F(0)) * F(args["negative_slope"])
    return np.where(x >= 0, positive, -np.exp2(po2_exponent(kind, args, below, log)))
