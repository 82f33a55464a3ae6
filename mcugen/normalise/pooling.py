"""Pooling over windows and over the whole image."""

from __future__ import annotations

import numpy as np

from mcugen.ir import Float, Layer
from mcugen.normalise.builder import Builder, rule, window
from mcugen.normalise.elementwise import activate
from mcugen.numerics.epilogue import Step
from mcugen.quantizers import Quantizer
from mcugen.shapes import image, pool_shape, same_pads


def pool(b: Builder, layer: Layer, name: str) -> str:
    """The pooling itself as a node `name`."""
    config, shape = layer.config, b.shape(layer)
    rank, (height, width, channels) = len(shape), image(shape)
    op = "maxpool" if "Max" in layer.class_name else "avgpool"
    if "Global" in layer.class_name:
        kept = (*(1 for _ in shape[:-1]), channels) if config.get("keepdims") else (channels,)
        return b.add(name, op, (b.source(layer),), kept, size=(height, width), strides=(1, 1), pads=(0, 0, 0, 0))
    size = window(config["pool_size"], rank)
    strides = window(config.get("strides") or config["pool_size"], rank)
    pads = same_pads((height, width), size, strides) if config["padding"] == "same" else (0, 0, 0, 0)
    spatial = pool_shape((height, width), size, strides, pads)
    return b.add(name, op, (b.source(layer),), (*spatial, channels)[3 - rank :], size=size, strides=strides, pads=pads)


@rule("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D",
      "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D")  # fmt: skip
def plain(b: Builder, layer: Layer) -> str:
    return pool(b, layer, layer.name)


@rule("QAveragePooling2D", "QGlobalAveragePooling2D")
def quantized(b: Builder, layer: Layer) -> str:
    """QKeras: the average, times the whole window's area, times the quantized 1 / area, then the activation."""
    quantizer: Quantizer | None = layer.config["average_quantizer"]
    activation = layer.config["activation"]
    plain = activation in (None, "linear")
    name = pool(b, layer, layer.name if plain and quantizer is None else f"{layer.name}/average")
    if quantizer is not None:
        size = image(b.shape(layer))[:2] if "Global" in layer.class_name else window(layer.config["pool_size"], 3)
        area = int(np.prod(size))
        steps = (Step("mul", np.float32(area)), Step("mul", reciprocal(quantizer, area)))
        name = b.map(layer.name if plain else f"{layer.name}/scaled", name, *steps)
    return activate(b, layer.name, name, activation)


def reciprocal(quantizer: Quantizer, area: int) -> np.float32:
    """The quantized 1 / area; QKeras hands its quantizer a number, not a tensor."""
    values: Float = quantizer.values(np.asarray([1.0 / area], np.float32))
    return np.float32(values[0])
