"""Layers that move values without computing: joining, padding, cropping, repeating, permuting, reshaping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Layer
from mcugen.normalise.builder import Builder, pair, rule
from mcugen.shapes import image


@rule("Flatten")
def flatten(b: Builder, layer: Layer) -> str:
    return b.add(layer.name, "reshape", (b.source(layer),), (int(np.prod(b.shape(layer))),))


@rule("Reshape")
def reshape(b: Builder, layer: Layer) -> str:
    size, target = int(np.prod(b.shape(layer))), [int(n) for n in layer.config["target_shape"]]
    if -1 in target:
        target[target.index(-1)] = size // -int(np.prod(target))
    if int(np.prod(target)) != size:
        raise McugenError(layer.name, f"{b.shape(layer)} cannot become {tuple(target)}", "correct target_shape")
    return b.add(layer.name, "reshape", (b.source(layer),), target)


@rule("Permute")
def permute(b: Builder, layer: Layer) -> str:
    shape = b.shape(layer)
    axes = tuple(int(axis) - 1 for axis in layer.config["dims"])
    return b.add(layer.name, "permute", (b.source(layer),), [shape[axis] for axis in axes], axes=axes)


@rule("Concatenate")
def concat(b: Builder, layer: Layer) -> str:
    sources = [b.source(layer, i) for i in range(len(layer.inputs))]
    shapes = [b.types[source].shape for source in sources]
    if layer.config.get("axis", -1) not in (-1, len(shapes[0])) or len({shape[:-1] for shape in shapes}) > 1:
        raise McugenError(layer.name, "it does not join along the channels", "use axis=-1 and equal height and width")
    return b.add(layer.name, "concat", sources, (*shapes[0][:-1], sum(shape[-1] for shape in shapes)))


def margins(value: Sequence[Sequence[int]]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the loader's pairs; sequences have only left and right."""
    rows, columns = ((0, 0), value[0]) if len(value) == 1 else value
    return (*pair(rows), *pair(columns))


@rule("ZeroPadding1D", "ZeroPadding2D")
def zero_pad(b: Builder, layer: Layer) -> str:
    top, bottom, left, right = margins(layer.config["padding"])
    shape = b.shape(layer)
    height, width, channels = image(shape)
    padded = (height + top + bottom, width + left + right, channels)[3 - len(shape) :]
    return b.add(layer.name, "pad", (b.source(layer),), padded, pads=(top, bottom, left, right))


@rule("Cropping1D", "Cropping2D")
def crop(b: Builder, layer: Layer) -> str:
    top, bottom, left, right = margins(layer.config["cropping"])
    shape = b.shape(layer)
    height, width, channels = image(shape)
    cropped = (height - top - bottom, width - left - right, channels)[3 - len(shape) :]
    return b.add(layer.name, "resize", (b.source(layer),), cropped, offset=(top, left), repeat=(1, 1))


@rule("UpSampling1D", "UpSampling2D")
def upsample(b: Builder, layer: Layer) -> str:
    if layer.config.get("interpolation", "nearest") != "nearest":
        raise McugenError(layer.name, "it interpolates, which leaves the integer grid", "use interpolation='nearest'")
    shape = b.shape(layer)
    height, width, channels = image(shape)
    rows, columns = (1, pair(layer.config["size"])[1]) if len(shape) == 2 else pair(layer.config["size"])
    larger = (height * rows, width * columns, channels)[3 - len(shape) :]
    return b.add(layer.name, "resize", (b.source(layer),), larger, offset=(0, 0), repeat=(rows, columns))
