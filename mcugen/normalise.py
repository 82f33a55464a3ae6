"""Keras layers -> a graph of few operators, still in float: the layer's meaning, none of its options.

Layers that only rename, drop or compose vanish here. A layer's last node carries the layer's name, earlier ones
"layer/part". All elementwise work is the operator `map` with float32 steps in TensorFlow's own order (docs/numerics.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mcugen.epilogue import Epilogue, Step
from mcugen.errors import McugenError
from mcugen.ir import Float, Graph, Layer, Network, Node, TensorType
from mcugen.quantizers import Quantizer
from mcugen.shapes import pool_shape, same_pads
from mcugen.tf_float import rsqrt

Rule = Callable[["_Builder", Layer], str]
RULES: dict[str, Rule] = {}


def normalise(network: Network) -> Graph:
    """One node an arithmetic step; types are float throughout, shapes are checked."""
    builder = _Builder()
    for layer in network.layers:
        if layer.class_name not in RULES:
            raise McugenError(layer.name, f"layer {layer.class_name} is not supported", "replace it; see docs/coverage.md")
        builder.alias[layer.name] = RULES[layer.class_name](builder, layer)
    resolve = builder.alias.__getitem__
    return Graph(
        network.name,
        tuple(builder.nodes),
        tuple(resolve(name) for name in network.inputs),
        tuple(resolve(name) for name in network.outputs),
        network.digest,
    )


class _Builder:
    """Nodes so far, and which node stands for which layer's output."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}
        self.alias: dict[str, str] = {}

    def add(self, name: str, op: str, inputs: Sequence[str], shape: Sequence[int], **attrs: Any) -> str:
        if min(shape, default=1) < 1:
            raise McugenError(name, f"its output shape {tuple(shape)} is empty", "use a larger input or a smaller kernel")
        node = Node(name, op, tuple(inputs), TensorType(tuple(int(n) for n in shape), kind="float"), attrs)
        self.nodes.append(node)
        self.types[name] = node.type
        return name

    def map(self, name: str, source: str, *steps: Step, others: Sequence[str] = ()) -> str:
        return self.add(name, "map", (source, *others), self.types[source].shape, epilogue=Epilogue(steps))

    def source(self, layer: Layer, index: int = 0) -> str:
        return self.alias[layer.inputs[index]]

    def shape(self, layer: Layer, index: int = 0) -> tuple[int, ...]:
        return self.types[self.source(layer, index)].shape


def _rule(*classes: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        for name in classes:
            RULES[name] = function
        return function

    return register


# ---- layers that compute with weights ---------------------------------------------------------------------------


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _linear(b: _Builder, layer: Layer, kernel: Float, bias: Float | None, quantizer: Quantizer | None) -> str:
    """Convolution, depthwise or dense product, then bias and activation; shapes and padding from the layer's config."""
    op = "depthwise" if "Depthwise" in layer.class_name else "conv2d"
    shape, strides, dilation = b.shape(layer), (1, 1), (1, 1)
    pads = (0, 0, 0, 0)
    spatial = (1, *shape)[-3:-1] if len(shape) > 1 else (1, 1)
    if "Dense" not in layer.class_name:
        strides, dilation = _pair(layer.config["strides"]), _pair(layer.config.get("dilation_rate", 1))
        if len(shape) == 2:
            strides, dilation = (1, strides[1]), (1, dilation[1])
        reach = tuple((k - 1) * d + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True))
        if layer.config["padding"] == "same":
            pads = same_pads(spatial, reach, strides)
        elif layer.config["padding"] == "causal":
            pads = (0, 0, reach[1] - 1, 0)
        spatial = pool_shape(spatial, reach, strides, pads)
    channels = kernel.shape[2] * kernel.shape[3] if op == "depthwise" else kernel.shape[3]
    out = (*spatial, channels) if len(shape) > 2 else (spatial[1], channels) if len(shape) == 2 else (channels,)
    if "Dense" in layer.class_name:
        out = (*shape[:-1], channels)
    activation = layer.config.get("activation")
    parts = [f"{layer.name}/sum"] if bias is not None or activation is not None else [layer.name]
    attrs: dict[str, Any] = {"kernel": kernel, "quantizer": quantizer, "strides": strides, "dilation": dilation}
    if op == "conv2d":
        attrs["groups"] = layer.config.get("groups", 1)
    name = b.add(parts[0], op, (b.source(layer),), out, pads=pads, **attrs)
    if bias is not None:
        step = Step("add", bias.astype(np.float32))
        name = b.map(f"{layer.name}/bias" if activation is not None else layer.name, name, step)
    return _activate(b, layer.name, name, activation)


def _quantized_bias(layer: Layer) -> Float | None:
    if not layer.config.get("use_bias", False):
        return None
    return _quantize_values(layer.weights["bias"], layer.config.get("bias_quantizer"))


def _quantize_values(values: Float, quantizer: Quantizer | None) -> Float:
    return values if quantizer is None else quantizer.bias(values).values


def _hwio(kernel: Float) -> Float:
    """Dense (I, O) and one-dimensional (K, I, O) kernels as (H, W, I, O)."""
    return kernel.reshape((1,) * (4 - kernel.ndim) + kernel.shape)


@_rule("QConv2D", "QConv1D", "QDense", "Conv2D", "Conv1D", "Dense")
def _conv(b: _Builder, layer: Layer) -> str:
    return _linear(b, layer, _hwio(layer.weights["kernel"]), _quantized_bias(layer), layer.config.get("kernel_quantizer"))


@_rule("QDepthwiseConv2D", "DepthwiseConv2D")
def _depthwise(b: _Builder, layer: Layer) -> str:
    kernel = layer.weights["depthwise_kernel"]
    return _linear(b, layer, kernel, _quantized_bias(layer), layer.config.get("depthwise_quantizer"))


@_rule("QConv2DBatchnorm", "QDenseBatchnorm", "QDepthwiseConv2DBatchnorm")
def _folded(b: _Builder, layer: Layer) -> str:
    """QKeras folds at inference: kernel * inv, then quantize; bias (b - mean) * inv + beta, then quantize."""
    depthwise = "Depthwise" in layer.class_name
    kernel = layer.weights["depthwise_kernel" if depthwise else "kernel"]
    channels = kernel.shape[2] * kernel.shape[3] if depthwise else kernel.shape[-1]
    inv = rsqrt(layer.weights["moving_variance"] + np.float32(layer.config["epsilon"]))
    if "gamma" in layer.weights:
        inv = inv * layer.weights["gamma"]
    bias = layer.weights.get("bias", np.zeros(channels, np.float32))
    folded_bias = inv * (bias - layer.weights["moving_mean"])
    if "beta" in layer.weights:
        folded_bias = folded_bias + layer.weights["beta"]
    folded = kernel * (inv.reshape(kernel.shape[2:]) if depthwise else inv)
    quantizer = layer.config.get("depthwise_quantizer" if depthwise else "kernel_quantizer")
    bias_values = _quantize_values(folded_bias, layer.config.get("bias_quantizer"))
    return _linear(b, layer, _hwio(folded), bias_values, quantizer)


@_rule("BatchNormalization")
def _batchnorm(b: _Builder, layer: Layer) -> str:
    """TensorFlow's two forms: 4-D (x - mean) * inv + beta (fused kernel), else x * inv + (beta - mean * inv)."""
    weights, axis, rank = layer.weights, layer.config.get("axis", -1), len(b.shape(layer))
    axis = axis[0] if isinstance(axis, Sequence) else axis
    if axis not in (-1, rank):
        raise McugenError(layer.name, f"it normalises axis {axis}, not the channels", "use axis=-1")
    inv = rsqrt(weights["moving_variance"] + np.float32(layer.config["epsilon"]))
    if "gamma" in weights:
        inv = inv * weights["gamma"]
    beta = weights.get("beta", np.zeros_like(inv))
    if rank == 3:
        steps = [Step("sub", weights["moving_mean"]), Step("mul", inv), Step("add", beta)]
    else:
        steps = [Step("mul", inv), Step("add", beta - weights["moving_mean"] * inv)]
    return b.map(layer.name, b.source(layer), *steps)


@_rule("QBatchNormalization")
def _qbatchnorm(b: _Builder, layer: Layer) -> str:
    """QKeras: every parameter quantized, then x * inv + (beta - mean * inv) with inv = rsqrt(var + eps) * gamma."""

    def quantized(name: str, default: float) -> Float:
        values = layer.weights.get(name, np.full(b.shape(layer)[-1], default, np.float32))
        key = {"moving_mean": "mean_quantizer", "moving_variance": "variance_quantizer"}.get(name, f"{name}_quantizer")
        quantizer = layer.config.get(key) if name in layer.weights else None
        if quantizer is not None and name in ("gamma", "moving_variance"):
            found: Quantizer = quantizer
            return found.weights(values).values
        return _quantize_values(values, quantizer)

    gamma, beta = quantized("gamma", 1.0), quantized("beta", 0.0)
    mean, variance = quantized("moving_mean", 0.0), quantized("moving_variance", 1.0)
    inv = rsqrt(variance + np.float32(layer.config["epsilon"]))
    if "gamma" in layer.weights:
        inv = inv * gamma
    return b.map(layer.name, b.source(layer), Step("mul", inv), Step("add", beta - mean * inv))


# ---- elementwise -------------------------------------------------------------------------------------------------


def _activate(b: _Builder, name: str, source: str, activation: Quantizer | str | None) -> str:
    if activation is None or activation == "linear":
        return source
    if isinstance(activation, Quantizer):
        return b.map(name, source, Step("quantize", quantizer=activation))
    if activation == "relu":
        return b.map(name, source, _clip(0.0, np.inf))
    raise McugenError(name, f"activation {activation!r} is not supported", "use a QKeras quantizer or 'relu'")


def _clip(lo: float, hi: float) -> Step:
    return Step("clip", np.array([lo, hi], np.float32))


@_rule("QActivation", "Activation")
def _activation(b: _Builder, layer: Layer) -> str:
    return _activate(b, layer.name, b.source(layer), layer.config["activation"])


@_rule("ReLU")
def _relu(b: _Builder, layer: Layer) -> str:
    config = layer.config
    if config.get("threshold"):
        raise McugenError(layer.name, f"ReLU with threshold {config['threshold']} is not supported", "use threshold=0")
    steps = [_clip(-np.inf if config.get("negative_slope") else 0.0, config.get("max_value") or np.inf)]
    if config.get("negative_slope"):
        steps.insert(0, Step("slope", np.float32(config["negative_slope"])))
    return b.map(layer.name, b.source(layer), *steps)


@_rule("LeakyReLU")
def _leaky(b: _Builder, layer: Layer) -> str:
    slope = layer.config.get("alpha", layer.config.get("negative_slope", 0.3))
    return b.map(layer.name, b.source(layer), Step("slope", np.float32(slope)))


@_rule("PReLU")
def _prelu(b: _Builder, layer: Layer) -> str:
    alpha = layer.weights["alpha"]
    if alpha.size != alpha.shape[-1]:
        raise McugenError(layer.name, "its slope varies over the image", "set shared_axes=[1, 2]")
    return b.map(layer.name, b.source(layer), Step("slope", alpha.reshape(-1)))


@_rule("Add", "Subtract", "Multiply")
def _combine(b: _Builder, layer: Layer) -> str:
    kind = {"Add": "add_tensor", "Subtract": "sub_tensor", "Multiply": "mul_tensor"}[layer.class_name]
    sources = [b.source(layer, i) for i in range(len(layer.inputs))]
    if len({b.types[source].shape for source in sources}) > 1:
        raise McugenError(layer.name, "its inputs differ in shape", "make the shapes equal; broadcasting is not supported")
    steps = [Step(kind, operand=i) for i in range(1, len(sources))]
    return b.map(layer.name, sources[0], *steps, others=sources[1:])


# ---- shape and pooling -------------------------------------------------------------------------------------------


@_rule("InputLayer")
def _input(b: _Builder, layer: Layer) -> str:
    return b.add(layer.name, "input", (), layer.config["shape"])


@_rule("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
       "ActivityRegularization", "Identity")
def _identity(b: _Builder, layer: Layer) -> str:
    return b.source(layer)


@_rule("Flatten")
def _flatten(b: _Builder, layer: Layer) -> str:
    return b.add(layer.name, "reshape", (b.source(layer),), (int(np.prod(b.shape(layer))),))


@_rule("Reshape")
def _reshape(b: _Builder, layer: Layer) -> str:
    size, target = int(np.prod(b.shape(layer))), [int(n) for n in layer.config["target_shape"]]
    if -1 in target:
        target[target.index(-1)] = size // -int(np.prod(target))
    if int(np.prod(target)) != size:
        raise McugenError(layer.name, f"{b.shape(layer)} cannot become {tuple(target)}", "correct target_shape")
    return b.add(layer.name, "reshape", (b.source(layer),), target)


@_rule("Concatenate")
def _concat(b: _Builder, layer: Layer) -> str:
    sources = [b.source(layer, i) for i in range(len(layer.inputs))]
    shapes = [b.types[source].shape for source in sources]
    if layer.config.get("axis", -1) not in (-1, len(shapes[0])) or len({shape[:-1] for shape in shapes}) > 1:
        raise McugenError(layer.name, "it does not join along the channels", "use axis=-1 and equal height and width")
    return b.add(layer.name, "concat", sources, (*shapes[0][:-1], sum(shape[-1] for shape in shapes)))


@_rule("ZeroPadding2D", "ZeroPadding1D")
def _zero_pad(b: _Builder, layer: Layer) -> str:
    padding = layer.config["padding"]
    rows, columns = ((padding,) * 2 if isinstance(padding, int) else padding)
    (top, bottom), (left, right) = (_pair(rows), _pair(columns))
    height, width, channels = b.shape(layer)
    shape = (height + top + bottom, width + left + right, channels)
    return b.add(layer.name, "pad", (b.source(layer),), shape, pads=(top, bottom, left, right))


@_rule("MaxPooling2D", "AveragePooling2D", "MaxPool2D", "AvgPool2D")
def _pool(b: _Builder, layer: Layer) -> str:
    size, strides = _pair(layer.config["pool_size"]), _pair(layer.config.get("strides") or layer.config["pool_size"])
    height, width, channels = b.shape(layer)
    pads = same_pads((height, width), size, strides) if layer.config["padding"] == "same" else (0, 0, 0, 0)
    shape = (*pool_shape((height, width), size, strides, pads), channels)
    op = "maxpool" if layer.class_name.startswith("Max") else "avgpool"
    return b.add(layer.name, op, (b.source(layer),), shape, size=size, strides=strides, pads=pads)


@_rule("GlobalMaxPooling2D", "GlobalAveragePooling2D")
def _global_pool(b: _Builder, layer: Layer) -> str:
    height, width, channels = b.shape(layer)
    shape = (1, 1, channels) if layer.config.get("keepdims") else (channels,)
    op = "maxpool" if "Max" in layer.class_name else "avgpool"
    return b.add(layer.name, op, (b.source(layer),), shape, size=(height, width), strides=(1, 1), pads=(0, 0, 0, 0))
