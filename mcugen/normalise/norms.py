"""Batch normalization at inference, in TensorFlow's and QKeras's own order of operations."""

from __future__ import annotations

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Float, Layer
from mcugen.normalise.builder import Builder, rule
from mcugen.normalise.weighted import quantized_values
from mcugen.numerics.epilogue import Step
from mcugen.numerics.tf_float import rsqrt
from mcugen.quantizers import Quantizer


@rule("BatchNormalization")
def batchnorm(b: Builder, layer: Layer) -> str:
    """TensorFlow's two forms: 4-D (x - mean) * inv + beta (fused kernel), else x * inv + (beta - mean * inv)."""
    weights, rank = layer.weights, len(b.shape(layer))
    if layer.config.get("axis", -1) not in (-1, rank):
        raise McugenError(layer.name, f"it normalises axis {layer.config['axis']}, not the channels", "use axis=-1")
    inv = rsqrt(weights["moving_variance"] + np.float32(layer.config["epsilon"]))
    if "gamma" in weights:
        inv = inv * weights["gamma"]
    beta = weights.get("beta", np.zeros_like(inv))
    if rank == 3:
        steps = [Step("sub", weights["moving_mean"]), Step("mul", inv), Step("add", beta)]
    else:
        steps = [Step("mul", inv), Step("add", beta - weights["moving_mean"] * inv)]
    return b.map(layer.name, b.source(layer), *steps)


@rule("QBatchNormalization")
def qbatchnorm(b: Builder, layer: Layer) -> str:
    """QKeras: every parameter quantized, then x * inv + (beta - mean * inv) with inv = rsqrt(var + eps) * gamma."""

    def quantized(name: str, default: float) -> Float:
        values = layer.weights.get(name, np.full(b.shape(layer)[-1], default, np.float32))
        key = {"moving_mean": "mean_quantizer", "moving_variance": "variance_quantizer"}.get(name, f"{name}_quantizer")
        quantizer: Quantizer | None = layer.config.get(key) if name in layer.weights else None
        if quantizer is not None and name in ("gamma", "moving_variance"):
            quantizer = quantizer.as_kernel()
        return quantized_values(values, quantizer)

    gamma, beta = quantized("gamma", 1.0), quantized("beta", 0.0)
    mean, variance = quantized("moving_mean", 0.0), quantized("moving_variance", 1.0)
    inv = rsqrt(variance + np.float32(layer.config["epsilon"]))
    if "gamma" in layer.weights:
        inv = inv * gamma
    return b.map(layer.name, b.source(layer), Step("mul", inv), Step("add", beta - mean * inv))
