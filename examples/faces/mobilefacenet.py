"""QMobileFaceNet: MobileFaceNet whose ten layer blocks l1 to l10 each have their own number of bits.

After Bunda, Spreeuwers and Zeinstra, "Sub-byte quantization of mobile face recognition convolutional neural networks":
ReLU with 3 integer bits instead of PReLU, no normalization after depthwise convolutions, weights with automatic scales
(``quantized_bits(b, 0, 1, alpha='auto')``) and batch normalization folded into them (``QConv2DBatchnorm``). ReLUs have
the bits of their block's weights. Sums between blocks and after depthwise and projection stay in float there; here they
get 8 bits, since a microcontroller stores integers, with a range from ``calibrated_ranges``.

The float twin has a convolution and a normalization where the quantized network folds the two; ``transfer`` carries
trained float weights over, ``resized`` those of a float network for images of another size.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from qkeras import QActivation, QConv2D, QConv2DBatchnorm, QDepthwiseConv2D, quantized_bits, quantized_relu

SIZE = 112  # pixels, unless another is asked for
EMBEDDING_SIZE = 128
BLOCKS = ((3, 2, 64, 5, 2), (4, 4, 128, 1, 2), (5, 2, 128, 6, 1), (6, 4, 128, 1, 2), (7, 2, 128, 2, 1))
MIXED = (8, 8, 4, 4, 4, 2, 2, 2, 2, 2)  # the paper's 3.1 M weight bits
LINEAR_BITS = 8
RELU_INTEGER_BITS = 3
RANGE_QUANTILE = 0.9999

Tensor = Any
Model = Any


class _Blocks:
    """Makes named layers; ``bits`` of block l1 to l10, None for the float twin; ``ranges``: integer bits by name."""

    def __init__(self, bits: Sequence[int] | None, ranges: Mapping[str, int], alpha: str) -> None:
        self.bits, self.ranges, self.alpha = bits, ranges, alpha

    def _weights(self, name: str) -> Any:
        return quantized_bits(self._bits(name), 0, 1, alpha=self.alpha)

    def _bits(self, name: str) -> int:
        assert self.bits is not None
        return self.bits[int(name.split("_")[0][1:]) - 1]

    def conv(self, x: Tensor, filters: int, size: int, name: str, stride: int = 1) -> Tensor:
        """Convolution with normalization, which the quantized network folds into its weights."""
        options: dict[str, Any] = {"strides": stride, "padding": "same", "use_bias": False}
        if self.bits is None:
            x = QConv2D(filters, size, name=name, **options)(x)
            return tf.keras.layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)
        return QConv2DBatchnorm(filters, size, kernel_quantizer=self._weights(name), momentum=0.95, name=name, **options)(x)

    def depthwise(self, x: Tensor, name: str, stride: int = 1, size: int = 3, padding: str = "same") -> Tensor:
        """Depthwise convolution, without bias or normalization."""
        quantizer = None if self.bits is None else self._weights(name)
        options: dict[str, Any] = {"strides": stride, "padding": padding, "use_bias": False}
        return QDepthwiseConv2D(size, depthwise_quantizer=quantizer, name=name, **options)(x)

    def relu(self, x: Tensor, name: str) -> Tensor:
        """ReLU, in the block's bits between 0 and 8."""
        if self.bits is None:
            return tf.keras.layers.Activation("relu", name=name)(x)
        return QActivation(quantized_relu(self._bits(name), RELU_INTEGER_BITS), name=name)(x)

    def linear(self, x: Tensor, name: str) -> Tensor:
        """8 bits over the calibrated range; the identity in float."""
        if self.bits is None:
            return tf.keras.layers.Activation("linear", name=name)(x)
        return QActivation(quantized_bits(LINEAR_BITS, self.ranges.get(name, 2), 1, alpha=1), name=name)(x)

    def bottleneck(self, x: Tensor, expansion: int, channels: int, stride: int, name: str) -> Tensor:
        """Expand, depthwise, project; added to its input where the shapes agree."""
        inputs = int(x.shape[-1])
        y = self.relu(self.conv(x, expansion * inputs, 1, f"{name}_expand"), f"{name}_relu")
        y = self.linear(self.depthwise(y, f"{name}_dw", stride), f"{name}_dw_q")
        y = self.linear(self.conv(y, channels, 1, f"{name}_project"), f"{name}_q")
        if stride != 1 or inputs != channels:
            return y
        return self.linear(tf.keras.layers.Add(name=f"{name}_add")([x, y]), f"{name}_add_q")


def qmobilefacenet(
    bits: int | Sequence[int] = 8,
    quantized: bool = True,
    size: int = SIZE,
    ranges: Mapping[str, int] | None = None,
    alpha: str = "auto",
) -> Model:
    """Images (N, size, size, 3) in [-1, 1) to raw embeddings (N, 128); 976,000 weights at size 112, 959,104 at 56.

    alpha: "auto" as in the paper, or "auto_po2": scales that are powers of two, so that integers are QKeras bit for bit.
    """
    each = [bits] * 10 if isinstance(bits, int) else list(bits)
    make = _Blocks(each if quantized else None, ranges or {}, alpha)
    image = tf.keras.Input((size, size, 3), name="image")
    x = QActivation(quantized_bits(8, 0, 1), name="in_q")(image) if quantized else image
    x = make.relu(make.conv(x, 64, 3, "l1_conv", stride=2), "l1_relu")
    x = make.relu(make.depthwise(x, "l2_dw"), "l2_relu")
    for layer, expansion, channels, repeats, stride in BLOCKS:
        for block in range(repeats):
            x = make.bottleneck(x, expansion, channels, stride if block == 0 else 1, f"l{layer}_b{block + 1}")
    x = make.relu(make.conv(x, 512, 1, "l8_conv"), "l8_relu")
    x = make.linear(make.depthwise(x, "l9_gdc", size=int(x.shape[1]), padding="valid"), "l9_q")
    x = tf.keras.layers.Flatten(name="flatten")(make.conv(x, EMBEDDING_SIZE, 1, "l10_conv"))
    name = "qmobilefacenet_" + ("float" if not quantized else str(bits) if isinstance(bits, int) else "mixed")
    return tf.keras.Model(image, x, name=name)


def calibrated_ranges(model: Model, images: npt.NDArray[np.float32]) -> dict[str, int]:
    """Integer bits of every linear quantizer: those that hold 99.99% of the float network's values on ``images``."""
    points = [layer for layer in model.layers if layer.name.endswith("_q")]
    values = tf.keras.Model(model.inputs, [layer.output for layer in points])(images, training=False)
    most = [float(np.quantile(np.abs(value.numpy()), RANGE_QUANTILE)) for value in values]
    return {layer.name: max(0, math.ceil(math.log2(max(value, 1e-6)))) for layer, value in zip(points, most, strict=True)}


def transfer(source: Model, target: Model) -> None:
    """Give the quantized network the float twin's weights; each normalization goes into the convolution before it."""
    for layer in target.layers:
        if isinstance(layer, QConv2DBatchnorm):
            norm = source.get_layer(f"{layer.name}_bn")
            layer.kernel.assign(source.get_layer(layer.name).kernel)
            layer.batchnorm.set_weights(norm.get_weights())
        elif layer.get_weights():
            layer.set_weights(source.get_layer(layer.name).get_weights())


def resized(source: Model, target: Model) -> None:
    """Give a float network the weights of one for images of another size; the global convolution's kernel is stretched."""
    for layer in target.layers:
        weights = source.get_layer(layer.name).get_weights()
        for index, (old, wanted) in enumerate(zip(weights, layer.get_weights(), strict=True)):
            if old.shape != wanted.shape:
                height, width = wanted.shape[:2]
                stretched = tf.image.resize(old[..., 0], (height, width)).numpy()
                weights[index] = stretched[..., None] * (old.shape[0] * old.shape[1] / (height * width))
        layer.set_weights(weights)


def _made(bits: int | Sequence[int]) -> Callable[..., Model]:
    return lambda quantized=True, **options: qmobilefacenet(bits, quantized, **options)


NETWORKS: dict[str, Callable[..., Model]] = {
    "qmobilefacenet_8": _made(8),
    "qmobilefacenet_4": _made(4),
    "qmobilefacenet_2": _made(2),
    "qmobilefacenet_mixed": _made(MIXED),
}
