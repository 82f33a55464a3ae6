"""The `Quantizer`: what QKeras's quantizers compute at inference, as integer codes on a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Float, Int
from mcugen.quantizers import activations, scales

AUTO_KINDS = ("quantized_bits", "binary", "stochastic_binary", "ternary", "stochastic_ternary")


def flushed(x: Float) -> Float:
    """x as float32 with subnormal numbers set to zero, as TensorFlow's kernels see them."""
    x = np.asarray(x, np.float32)
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.float32(0), x)


@dataclass(frozen=True)
class Grid:
    """The values an activation quantizer can give.

    value = float32(code) * float32(step) for lo <= code <= hi; where `levels` is given, value = levels[code - lo].
    `bipolar`: codes are -1 and +1 only. `monotone`: a larger input never gives a smaller code. `linear`: code is
    clip(round_half_even(x / step), lo, hi) exactly.
    """

    lo: int
    hi: int
    step: float
    bipolar: bool = False
    monotone: bool = True
    linear: bool = False
    levels: Float | None = None


@dataclass(frozen=True)
class Quantized:
    """Quantized weights: `codes` (shape of the weights), `scale` (float32, broadcasts against codes on the last axis).

    `exact`: float32(codes) * scale is bit for bit what QKeras multiplies with. It is False only for scales that are not
    powers of two, where QKeras's straight-through sum w + (q - w) adds an error of at most an ulp or two.
    """

    codes: Int
    scale: Float
    lo: int
    hi: int
    bipolar: bool
    exact: bool

    @property
    def values(self) -> Float:
        """The real weights, float32, shape of `codes`."""
        return self.codes.astype(np.float32) * self.scale


@dataclass(frozen=True)
class Quantizer:
    """A QKeras quantizer: class name, all constructor arguments, and the layer it belongs to (for messages)."""

    kind: str
    args: Mapping[str, Any]
    layer: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(f'{key}={value}' for key, value in self.args.items())})"

    @cached_property
    def grid(self) -> Grid:
        """The grid of an activation or bias; refuses scales that depend on the batch and grids above 16 bits."""
        if isinstance(self.args.get("alpha"), str):
            fact = f"the scale of {self.kind}(alpha={self.args['alpha']!r}) depends on the batch"
            raise McugenError(self.layer, fact, "use a number for alpha in activations")
        grid = Grid(**activations.grid(self.kind, self.args))
        if grid.hi - grid.lo >= 1 << (16 if self.kind != "quantized_bits" else 24):
            fact = f"the levels of {self.kind} span more than 16 bits as multiples of the smallest"
            raise McugenError(self.layer, fact, "use fewer bits, or max_value")
        return grid

    @property
    def lo(self) -> int:
        return self.grid.lo

    @property
    def hi(self) -> int:
        return self.grid.hi

    @property
    def step(self) -> float:
        return self.grid.step

    @property
    def bipolar(self) -> bool:
        return self.grid.bipolar

    @property
    def monotone(self) -> bool:
        return self.grid.monotone

    @property
    def linear(self) -> bool:
        return self.grid.linear

    @property
    def levels(self) -> Float | None:
        return self.grid.levels

    def codes(self, x: Float) -> Int:
        """Codes of an activation (any shape), before QKeras's straight-through sum; float32 as TensorFlow's."""
        grid = self.grid
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return activations.codes(self.kind, self.args, grid.lo, flushed(x))

    def dequantize(self, codes: Int) -> Float:
        """The float32 values of codes."""
        if self.grid.levels is not None:
            return self.grid.levels[codes - self.grid.lo]
        return np.asarray(codes).astype(np.float32) * np.float32(self.grid.step)

    def values(self, x: Float) -> Float:
        """What QKeras returns for a whole tensor, bit for bit: the straight-through sum x + (q - x) in float32.

        It equals `dequantize(codes(x))` where step is a power of two and abs(x) is below 2**24 steps. Unlike `codes`
        it also serves automatic scales and powers of two of any span: parameters that stay floats, such as those of
        QBatchNormalization.
        """
        x = flushed(x)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if isinstance(self.args.get("alpha"), str):
                return x + (-x + self._automatic(x).values)
            if self.kind.endswith("po2"):
                return activations.through(self.kind, self.args, x, activations.po2(self.kind, self.args, x))
            q = self.dequantize(activations.codes(self.kind, self.args, self.grid.lo, x, tails=True))
            return activations.through(self.kind, self.args, x, q)

    def weights(self, w: Float) -> Quantized:
        """Quantized kernel weights, with QKeras's change of alpha=None to 'auto_po2' (symmetric) inside layers.

        Args:
            w: float32 kernel; the last axis holds the output channels, each of which gets its own automatic scale. A
                depthwise kernel (h, w, C, 1) therefore gets one scale, and a rank-1 tensor one for each element.
        """
        return self.as_kernel().bias(w)

    def as_kernel(self) -> Quantizer:
        """The quantizer that QKeras makes of this one where it quantizes a kernel, gamma or variance."""
        if self.kind in AUTO_KINDS and self.args["alpha"] is None:
            changed = {**self.args, "alpha": "auto_po2", **({"symmetric": True} if "symmetric" in self.args else {})}
            return Quantizer(self.kind, changed, self.layer)
        return self

    def bias(self, w: Float) -> Quantized:
        """Quantized tensor that depends on nothing but itself: a bias, or anything where alpha=None stays None."""
        w = flushed(w)
        if isinstance(self.args.get("alpha"), str):
            return self._automatic(w)
        if self.kind.endswith("po2"):
            return self._by_mantissa(w)
        grid = self.grid
        if grid.levels is not None:
            fact = f"{self.kind} cannot quantize weights: its levels are no multiples of a step"
            raise McugenError(self.layer, fact, "use quantized_bits")
        codes = self.codes(w)
        values = self.dequantize(codes)
        exact = bool(np.array_equal(values, self.values(w)))
        return Quantized(codes, np.asarray(grid.step, np.float32), grid.lo, grid.hi, grid.bipolar, exact)

    def _automatic(self, w: Float) -> Quantized:
        if self.kind == "quantized_hswish":
            raise McugenError(self.layer, "quantized_hswish quantizes weights", "use quantized_bits")
        codes, scale, lo, hi = scales.automatic(self.kind, self.args, w)
        values = codes.astype(np.float32) * scale
        exact = bool(np.array_equal(values, w + (-w + values)))
        bipolar = "binary" in self.kind and lo < 0
        return Quantized(codes, scale, lo, hi, bipolar, exact)

    def _by_mantissa(self, w: Float) -> Quantized:
        """Power-of-two weights as integer multiples of the smallest power in use."""
        values = self.values(w)
        low = scales.lowest_bit(values)
        codes = np.round(np.ldexp(values.astype(np.float64), -low)).astype(np.int64)
        if codes.size and int(np.abs(codes).max()) >= 1 << 15:
            fact = f"the weights of {self.kind} span more than 16 bits as multiples of the smallest power of two"
            raise McugenError(self.layer, fact, "use fewer bits, or remove weights that are nearly zero")
        lo, hi = (int(codes.min()), int(codes.max())) if codes.size else (0, 0)
        return Quantized(codes, np.asarray(2.0**low, np.float32), lo, hi, False, True)
