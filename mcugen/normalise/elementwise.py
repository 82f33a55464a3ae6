"""Activations, merges and other layers that compute each value on its own; float classifiers at the end of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Layer
from mcugen.normalise.builder import Builder, rule
from mcugen.numerics.epilogue import Step
from mcugen.quantizers import Quantizer
from mcugen.shapes import image

CURVES = ("softmax", "sigmoid", "tanh")  # float32 at the end of a model, see mcugen/ops/curve.py
STEPS: dict[str, tuple[Step, ...]] = {
    "relu": (Step("clip", np.array([0, np.inf], np.float32)),),
    "relu6": (Step("clip", np.array([0, 6], np.float32)),),
    "hard_sigmoid": (
        Step("mul", np.float32(0.2)),
        Step("add", np.float32(0.5)),
        Step("clip", np.array([0, 1], np.float32)),
    ),
}


def activate(b: Builder, name: str, source: str, activation: Quantizer | str | None) -> str:
    """The activation as a node `name`; the source itself where there is none."""
    if activation is None or activation == "linear":
        return source
    if isinstance(activation, Quantizer):
        return b.map(name, source, Step("quantize", quantizer=activation))
    if activation in STEPS:
        return b.map(name, source, *STEPS[activation])
    if activation in CURVES:
        return b.add(name, "curve", (source,), b.types[source].shape, curve=activation)
    raise McugenError(name, f"activation {activation!r} is not supported", "use a QKeras quantizer or 'relu'")


def clip(lo: float, hi: float) -> Step:
    return Step("clip", np.array([lo, hi], np.float32))


@rule("QActivation", "Activation")
def activation(b: Builder, layer: Layer) -> str:
    return activate(b, layer.name, b.source(layer), layer.config["activation"])


@rule("ReLU")
def relu(b: Builder, layer: Layer) -> str:
    config = layer.config
    if config.get("threshold"):
        raise McugenError(layer.name, f"ReLU with threshold {config['threshold']} is not supported", "use threshold=0")
    top = np.inf if config.get("max_value") is None else config["max_value"]
    steps = [clip(-np.inf if config.get("negative_slope") else 0.0, top)]
    if config.get("negative_slope"):
        steps.insert(0, Step("slope", np.float32(config["negative_slope"])))
    return b.map(layer.name, b.source(layer), *steps)


@rule("LeakyReLU")
def leaky(b: Builder, layer: Layer) -> str:
    return b.map(layer.name, b.source(layer), Step("slope", np.float32(layer.config["alpha"])))


@rule("PReLU")
def prelu(b: Builder, layer: Layer) -> str:
    alpha = layer.weights["alpha"]
    if alpha.size != alpha.shape[-1]:
        axes = list(range(1, alpha.ndim))
        raise McugenError(layer.name, "its slope varies over the image", f"set shared_axes={axes}")
    return b.map(layer.name, b.source(layer), Step("slope", alpha.reshape(-1)))


@rule("Rescaling")
def rescaling(b: Builder, layer: Layer) -> str:
    scale, offset = np.float32(layer.config["scale"]), np.float32(layer.config["offset"])
    return b.map(layer.name, b.source(layer), Step("mul", scale), Step("add", offset))


@rule("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average")
def combine(b: Builder, layer: Layer) -> str:
    kinds = {"Add": "add", "Subtract": "sub", "Multiply": "mul", "Maximum": "max", "Minimum": "min", "Average": "add"}
    sources = [b.source(layer, i) for i in range(len(layer.inputs))]
    shape = tuple(max(sizes) for sizes in zip(*(b.types[source].shape for source in sources), strict=True))
    sources = [spread(b, f"{layer.name}/spread{i}", source, shape) for i, source in enumerate(sources)]
    steps = [Step(f"{kinds[layer.class_name]}_tensor", operand=i) for i in range(1, len(sources))]
    if layer.class_name == "Average":
        steps.append(Step("div", np.float32(len(sources))))
    return b.map(layer.name, sources[0], *steps, others=sources[1:])


def spread(b: Builder, name: str, source: str, shape: Sequence[int]) -> str:
    """The tensor repeated along the axes where it has one value and `shape` has more, as broadcasting does."""
    height, width, channels = image(b.types[source].shape)
    rows, columns, depth = image(shape)
    if channels < depth:  # as a row of pixels with one channel
        line, size = b.add(f"{name}/line", "reshape", (source,), (height * width, 1)), height * width * depth
        line = b.add(f"{name}/channels", "resize", (line,), (size, 1), offset=(0, 0), repeat=(1, depth))
        source = b.add(f"{name}/pixels", "reshape", (line,), (height, width, depth)[3 - len(shape) :])
    if (height, width) == (rows, columns):
        return source
    repeat = (rows // height, columns // width)
    return b.add(name, "resize", (source,), shape, offset=(0, 0), repeat=repeat)


@rule("Softmax", "UnitNormalization")
def normalisation(b: Builder, layer: Layer) -> str:
    """Over the last axis, in float32."""
    shape, axis = b.shape(layer), layer.config["axis"]
    if axis not in (-1, len(shape)):
        raise McugenError(layer.name, f"{layer.class_name} runs over axis {axis}, not the channels", "use axis=-1")
    curve = "softmax" if layer.class_name == "Softmax" else "l2"
    return b.add(layer.name, "curve", (b.source(layer),), shape, curve=curve)


@rule("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
      "ActivityRegularization")  # fmt: skip
def identity(b: Builder, layer: Layer) -> str:
    return b.source(layer)


@rule("InputLayer")
def model_input(b: Builder, layer: Layer) -> str:
    shape: Sequence[int] = layer.config["shape"]
    return b.add(layer.name, "input", (), shape)
