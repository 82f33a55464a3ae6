"""Layers that compute with weights: convolutions, depthwise, separable, dense, and those with folded normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcugen.ir import Float, Layer
from mcugen.normalise.builder import Builder, rule, window
from mcugen.normalise.elementwise import activate
from mcugen.numerics.epilogue import Step
from mcugen.numerics.tf_float import rsqrt
from mcugen.quantizers import Quantizer, activations
from mcugen.quantizers.quantizer import flushed
from mcugen.shapes import image, pool_shape, same_pads

NO_PADS = (0, 0, 0, 0)


def product(b: Builder, layer: Layer, name: str, source: str, kernel: Float, quantizer: Quantizer | None, **changes: Any) -> str:
    """The node of a convolution, depthwise or dense product alone; `kernel` is (h, w, in, out or multiplier).

    `changes` replace settings of the layer: op, strides, padding, dilation_rate, groups.
    """
    config = {**layer.config, **changes}
    op = config.get("op", "conv2d")
    shape = b.types[source].shape
    rank, (height, width, _) = len(shape), image(shape)
    strides, dilation = (window(config.get(key, 1), rank) for key in ("strides", "dilation_rate"))
    reach = ((kernel.shape[0] - 1) * dilation[0] + 1, (kernel.shape[1] - 1) * dilation[1] + 1)
    pads = NO_PADS
    if config.get("padding") == "same":
        pads = same_pads((height, width), reach, strides)
    elif config.get("padding") == "causal":
        pads = (0, 0, reach[1] - 1, 0)
    spatial = pool_shape((height, width), reach, strides, pads)
    channels = kernel.shape[2] * kernel.shape[3] if op == "depthwise" else kernel.shape[3]
    attrs: dict[str, Any] = {"kernel": kernel, "quantizer": quantizer, "strides": strides, "dilation": dilation, "pads": pads}
    if op == "conv2d":
        attrs["groups"] = config.get("groups", 1)
    return b.add(name, op, (source,), (*spatial, channels)[3 - rank :], **attrs)


def finished(b: Builder, layer: Layer, kernel: Float, quantizer: Quantizer | None, bias: Float | None, **changes: Any) -> str:
    """Product, then bias, then activation; the last of them carries the layer's name.

    `changes` as for `product`, and `source`, the node to start from if that is not the layer's input.
    """
    activation = layer.config.get("activation")
    source = changes.pop("source", b.source(layer))
    alone = bias is None and activation in (None, "linear")
    name = product(b, layer, layer.name if alone else f"{layer.name}/sum", source, kernel, quantizer, **changes)
    if bias is not None:
        plain = activation in (None, "linear")
        name = b.map(layer.name if plain else f"{layer.name}/bias", name, Step("add", bias.astype(np.float32)))
    return activate(b, layer.name, name, activation)


def quantized_values(values: Float, quantizer: Quantizer | None) -> Float:
    """A parameter as QKeras adds it: quantized, with its straight-through sum where that leaves the grid by an ulp."""
    if quantizer is None:
        return values
    if quantizer.kind.endswith("po2"):  # any power of two will do where nothing has to be an integer
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            small = flushed(values)
            powers = activations.po2(quantizer.kind, quantizer.args, small)
            return activations.through(quantizer.kind, quantizer.args, small, powers)
    found = quantizer.bias(values)
    return found.values if found.exact else values + (-values + found.values)


def quantized_bias(layer: Layer) -> Float | None:
    if not layer.config.get("use_bias", False):
        return None
    return quantized_values(layer.weights["bias"], layer.config.get("bias_quantizer"))


def hwio(kernel: Float) -> Float:
    """Dense (I, O) and one-dimensional (K, I, O) kernels as (H, W, I, O)."""
    return kernel.reshape((1,) * (4 - kernel.ndim) + kernel.shape)


@rule("QConv2D", "QConv1D", "Conv2D", "Conv1D")
def conv(b: Builder, layer: Layer) -> str:
    return finished(b, layer, hwio(layer.weights["kernel"]), layer.config.get("kernel_quantizer"), quantized_bias(layer))


@rule("QDense", "Dense")
def dense(b: Builder, layer: Layer) -> str:
    """On tensors of several axes a dense layer acts on the last one alone: a convolution of one by one."""
    return finished(b, layer, hwio(layer.weights["kernel"]), layer.config.get("kernel_quantizer"), quantized_bias(layer))


@rule("QDepthwiseConv2D", "DepthwiseConv2D")
def depthwise(b: Builder, layer: Layer) -> str:
    quantizer = layer.config.get("depthwise_quantizer")
    return finished(b, layer, layer.weights["depthwise_kernel"], quantizer, quantized_bias(layer), op="depthwise")


@rule("QSeparableConv2D", "QSeparableConv1D", "SeparableConv2D", "SeparableConv1D")
def separable(b: Builder, layer: Layer) -> str:
    """Depthwise, then one by one, with nothing between: the unrounded sums are summed again."""
    first, second = hwio(layer.weights["depthwise_kernel"]), hwio(layer.weights["pointwise_kernel"])
    quantizer = layer.config.get("depthwise_quantizer")
    middle = product(b, layer, f"{layer.name}/depthwise", b.source(layer), first, quantizer, op="depthwise")
    changes = {"source": middle, "strides": 1, "dilation_rate": 1, "padding": "valid", "groups": 1}
    return finished(b, layer, second, layer.config.get("pointwise_quantizer"), quantized_bias(layer), **changes)


@rule("QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm")
def folded(b: Builder, layer: Layer) -> str:
    """QKeras folds at inference: kernel * inv, then quantize; bias (b - mean) * inv + beta, then quantize."""
    is_depthwise = "Depthwise" in layer.class_name
    kernel = layer.weights["depthwise_kernel" if is_depthwise else "kernel"]
    channels = kernel.shape[2] * kernel.shape[3] if is_depthwise else kernel.shape[-1]
    inv = rsqrt(layer.weights["moving_variance"] + np.float32(layer.config["epsilon"]))
    if "gamma" in layer.weights:
        inv = inv * layer.weights["gamma"]
    bias = layer.weights.get("bias", np.zeros(channels, np.float32))
    folded_bias = inv * (bias - layer.weights["moving_mean"])
    if "beta" in layer.weights:
        folded_bias = folded_bias + layer.weights["beta"]
    weights = kernel * (inv.reshape(kernel.shape[2:]) if is_depthwise else inv)
    quantizer = layer.config.get("depthwise_quantizer" if is_depthwise else "kernel_quantizer")
    values = quantized_values(folded_bias, layer.config.get("bias_quantizer"))
    return finished(b, layer, weights, quantizer, values, op="depthwise" if is_depthwise else "conv2d")
