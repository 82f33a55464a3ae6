"""The layers that are measured: public shapes, with the figures that CMSIS-NN reaches on them.

CMSIS-NN's instructions were counted, and its cycles modelled, with the same rules as ours (docs/performance.md): its
July 2026 head, gcc 12.2 -O3, inputs in cached memory, whole layers with padding, im2col and requantization.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcugen.ir import Layer, Network
from mcugen.quantizers import Quantizer, parse

ACT8, BITS8, SIGN = "quantized_bits(8,2,1,alpha=1)", "quantized_bits(8,0,1,alpha=1)", "binary(alpha=1)"


@dataclass(frozen=True)
class Shape:
    """One layer: kind conv, depthwise, dense, binary or binary_depthwise; CMSIS-NN's instructions and cycles where known."""

    name: str
    kind: str
    size: int
    channels: int
    filters: int
    kernel: int = 1
    stride: int = 1
    instructions: int | None = None
    cycles: int | None = None
    target: tuple[float, float] | None = None  # ratios to CMSIS-NN; for binary inst/MAC and MAC/cycle
    weights: str = BITS8
    activations: str = ACT8
    groups: int = 1
    takes: str = ""  # quantizer of the layer's input, where it is not the usual one
    absolute: tuple[float, float] | None = None  # targets without CMSIS-NN: inst/MAC and modelled cycles/MAC


SHAPES = (
    Shape("first conv 3x3 s2 96x96x3->16", "conv", 96, 3, 16, 3, 2, 4_839_000, 3_596_000, (0.55, 0.55)),
    Shape("depthwise 3x3 48x48x16", "depthwise", 48, 16, 16, 3, 1, 3_037_000, 2_262_000, (0.50, 0.45)),
    Shape("pointwise 48x48 16->16", "conv", 48, 16, 16, 1, 1, 2_306_000, 1_541_000, (0.60, 0.55)),
    Shape("pointwise 24x24 24->64", "conv", 24, 24, 64, 1, 1, 2_892_000, 2_034_000, (0.60, 0.55)),
    Shape("pointwise 6x6 64->128", "conv", 6, 64, 128, 1, 1, 625_000, 439_000, (0.75, 0.70)),
    Shape("pointwise 3x3 128->1280", "conv", 3, 128, 1280, 1, 1, 3_129_000, 2_343_000, (0.75, 0.70)),
    Shape("conv 3x3 24x24 24->24", "conv", 24, 24, 24, 3, 1, 6_140_000, 4_697_000, (0.78, 0.60)),
    Shape("conv 3x3 12x12 64->64", "conv", 12, 64, 64, 3, 1, 9_351_000, 7_164_000, (0.78, 0.60)),
    Shape("dense 1280->128", "dense", 1, 1280, 128, 1, 1, 314_000, 255_000, (0.75, 0.70)),
    Shape("binary 3x3 48x48x16", "binary", 48, 16, 16, 3, target=(0.22, 7.0)),
    Shape("binary 3x3 24x24x24", "binary", 24, 24, 24, 3, target=(0.22, 7.0)),
    Shape("binary 3x3 12x12x64", "binary", 12, 64, 64, 3, target=(0.22, 7.0)),
    Shape("binary 3x3 6x6x64", "binary", 6, 64, 64, 3, target=(0.22, 7.0)),
    Shape("binary 3x3 3x3x128", "binary", 3, 128, 128, 3, target=(0.22, 7.0)),
    Shape("binary 3x3 12x12x64 to bits", "binary", 12, 64, 64, 3, target=(0.22, 7.0), activations=SIGN),
    Shape("binary 3x3 3x3x128 to bits", "binary", 3, 128, 128, 3, target=(0.22, 7.0), activations=SIGN),
    Shape("binary 3x3 s2 24x24x24->48", "binary", 24, 24, 48, 3, 2),
    Shape("binary 3x3 12x12x64 in 4 groups", "binary", 12, 64, 64, 3, groups=4),
    Shape("binary 1x1 24x24x64->64", "binary", 24, 64, 64),
    Shape("binary 1x1 12x12x128->128 to bits", "binary", 12, 128, 128, activations=SIGN),
    Shape("binary depthwise 3x3 24x24x64", "binary_depthwise", 24, 64, 64, 3),
    Shape("binary depthwise 3x3 24x24x64 to bits", "binary_depthwise", 24, 64, 64, 3, activations=SIGN),
)  # fmt: skip

ACT16 = "quantized_bits(16,2,1,alpha=1)"
RELU4, RELU2 = "quantized_relu(4,2)", "quantized_relu(2,1)"
BITS4, BITS2, TERNARY = "quantized_bits(4,0,1,alpha=1)", "quantized_bits(2,0,1,alpha=1)", "ternary(alpha=1)"
_WIDTHS = (
    ("w4a8", BITS4, ACT8, ACT8, (1.4, 0.80)),
    ("w4a4", BITS4, RELU4, RELU4, (1.05, 0.70)),
    ("w2a2", BITS2, RELU2, RELU2, (0.8, 0.55)),
    ("ternary a8", TERNARY, ACT8, ACT8, None),
    ("ternary a1", TERNARY, SIGN, RELU4, None),
    ("w8a16", BITS8, ACT16, ACT16, None),
)
_SIZES = (("conv 3x3 12x12 64->64", 12, 64, 64, 3), ("pointwise 12x12 64->128", 12, 64, 128, 1))
OTHER_WIDTHS = tuple(
    Shape(f"{width} {name}", "conv", *sizes, weights=weights, activations=made, takes=taken, absolute=goal)
    for width, weights, taken, made, goal in _WIDTHS
    for name, *sizes in _SIZES
)
OTHER_WIDTHS += (Shape("w8a16 depthwise 3x3 48x48x16", "depthwise", 48, 16, 16, 3, takes=ACT16, activations=ACT16),)


def _quantizer(text: str) -> Quantizer:
    found = parse(text, "bench")
    assert found is not None
    return found


def network(shape: Shape) -> Network:
    """The layer behind a quantizer, with batch normalization whose statistics suit random inputs; seed 0."""
    rng = np.random.default_rng(0)
    size, depth, count, k = shape.size, shape.channels, shape.filters, shape.kernel
    binary = shape.kind.startswith("binary")
    layers = [Layer("image", "InputLayer", {"shape": (size, size, depth)}, ())]
    first = "quantized_bits(8,0,1)" if shape.kind != "dense" else ACT8
    if shape.kind == "dense":
        layers = [Layer("image", "InputLayer", {"shape": (depth,)}, ())]
    first = shape.takes or (ACT8 if binary else first)
    layers.append(Layer("x", "QActivation", {"activation": _quantizer(first)}, ("image",)))
    source = "x"
    if binary:
        layers.append(Layer("sign", "QActivation", {"activation": _quantizer(SIGN)}, ("x",)))
        source = "sign"
    config = {"strides": (shape.stride,) * 2, "padding": "same", "dilation_rate": (1, 1), "groups": shape.groups,
              "activation": None, "use_bias": shape.kind == "dense",
              "bias_quantizer": _quantizer("quantized_bits(16,2,1)")}  # fmt: skip
    weights = _quantizer(SIGN if binary else shape.weights)
    if shape.kind.endswith("depthwise"):
        kernel = rng.uniform(-0.9, 0.9, (k, k, depth, 1)).astype(np.float32)
        config["depthwise_quantizer"] = weights
        layers.append(Layer("sum", "QDepthwiseConv2D", config, (source,), {"depthwise_kernel": kernel}))
    elif shape.kind == "dense":
        kernel = rng.uniform(-0.9, 0.9, (depth, count)).astype(np.float32)
        bias = rng.normal(size=count).astype(np.float32)
        layers.append(Layer("y", "QDense", {**config, "kernel_quantizer": weights}, (source,), {"kernel": kernel, "bias": bias}))
        return Network("bench", tuple(layers), ("image",), ("y",))
    else:
        kernel = rng.uniform(-0.9, 0.9, (k, k, depth // shape.groups, count)).astype(np.float32)
        layers.append(Layer("sum", "QConv2D", {**config, "kernel_quantizer": weights}, (source,), {"kernel": kernel}))
    fan_in = k * k * (1 if shape.kind.endswith("depthwise") else depth // shape.groups)
    spread = np.sqrt(fan_in) * (1.0 if binary else 0.3)
    statistics = {"gamma": rng.uniform(0.5, 1.5, count), "beta": rng.uniform(-0.5, 0.5, count),
                  "moving_mean": rng.normal(0, spread / 4, count), "moving_variance": np.full(count, spread**2)}  # fmt: skip
    layers.append(Layer("norm", "BatchNormalization", {"epsilon": 1e-3, "axis": -1}, ("sum",),
                        {key: value.astype(np.float32) for key, value in statistics.items()}))  # fmt: skip
    last = "norm"
    if binary and depth == count and shape.activations != SIGN:
        layers.append(Layer("add", "Add", {}, ("x", "norm")))
        last = "add"
    layers.append(Layer("y", "QActivation", {"activation": _quantizer(shape.activations)}, (last,)))
    return Network("bench", tuple(layers), ("image",), ("y",))
