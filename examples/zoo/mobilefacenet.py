"""QMobileFaceNet: MobileFaceNet at 8, 4, 2 and mixed bits; 112x112x3 -> 128, 221 M MAC, 976,000 weights.

Weights are quantized_bits(b, 0, 1, alpha='auto') after folding the normalization, activations as wide as the weights of
the layer that makes them. Integer storage needs a quantizer after every depthwise convolution, projection and addition:
quantized_bits(b, 2, 1), at 2 bits quantized_bits(2, 1, 1).
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from blocks import EMBEDDING_SIZE, FACE_SHAPE, Model, Tensor, add, pixels
from qkeras import QActivation, QConv2DBatchnorm, QDepthwiseConv2D, quantized_bits, quantized_relu

# (expansion, channels, repeats, first stride) of the bottleneck lines, lines 3 to 7
LINES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
MIXED = (8, 8, 4, 4, 4, 2, 2, 2, 2, 2)  # bits of lines 1 to 10


def weights(bits: int) -> Any:
    return quantized_bits(bits, 0, 1, alpha="auto")


def linear(x: Tensor, bits: int, name: str) -> Tensor:
    """Signed activation of `bits` bits."""
    return QActivation(quantized_bits(bits, 1 if bits == 2 else 2, 1, alpha=1), name=name)(x)


def relu(x: Tensor, bits: int, name: str) -> Tensor:
    """Unsigned activation of `bits` bits, range [0, 8)."""
    return QActivation(quantized_relu(bits, 3), name=name)(x)


def conv(x: Tensor, filters: int, size: int, bits: int, name: str, stride: int = 1) -> Tensor:
    """Convolution with folded normalization."""
    return QConv2DBatchnorm(
        filters, size, strides=stride, padding="same", use_bias=False, kernel_quantizer=weights(bits), name=name
    )(x)


def depthwise(x: Tensor, size: int, bits: int, name: str, stride: int = 1, padding: str = "same") -> Tensor:
    """Depthwise convolution without normalization."""
    return QDepthwiseConv2D(
        size, strides=stride, padding=padding, use_bias=False, depthwise_quantizer=weights(bits), name=name
    )(x)


def bottleneck(x: Tensor, expansion: int, channels: int, stride: int, bits: int, name: str) -> Tensor:
    """Pointwise expansion, depthwise 3x3, linear pointwise projection, addition where it fits."""
    inputs = int(x.shape[-1])
    y = relu(conv(x, expansion * inputs, 1, bits, f"{name}_expand"), bits, f"{name}_relu")
    y = linear(depthwise(y, 3, bits, f"{name}_dw", stride), bits, f"{name}_dw_act")
    y = linear(conv(y, channels, 1, bits, f"{name}_project"), bits, f"{name}_act")
    if stride != 1 or inputs != channels:
        return y
    return linear(add([x, y], f"{name}_add"), bits, f"{name}_add_act")


def qmobilefacenet(bits: tuple[int, ...], name: str, size: int = 112, lines: tuple[Any, ...] = LINES) -> Model:
    """The network with the given bits for lines 1 to 10; `size` and `lines` make smaller ones for tests."""
    image = tf.keras.Input((size, size, 3) if size != 112 else FACE_SHAPE, name="image")
    x = relu(conv(pixels(image), 64, 3, bits[0], "l1", stride=2), bits[0], "l1_relu")
    x = relu(depthwise(x, 3, bits[1], "l2"), bits[1], "l2_relu")
    for line, (expansion, channels, repeats, stride) in enumerate(lines, start=3):
        for block in range(repeats):
            x = bottleneck(x, expansion, channels, stride if block == 0 else 1, bits[line - 1], f"l{line}b{block + 1}")
    x = relu(conv(x, 512, 1, bits[7], "l8"), bits[7], "l8_relu")
    x = linear(depthwise(x, int(x.shape[1]), bits[8], "l9", padding="valid"), bits[8], "l9_act")
    x = conv(x, EMBEDDING_SIZE, 1, bits[9], "l10")
    return tf.keras.Model(image, tf.keras.layers.Flatten(name="embedding")(x), name=name)


NETWORKS = {
    "qmobilefacenet_8": lambda: qmobilefacenet((8,) * 10, "qmobilefacenet_8"),
    "qmobilefacenet_4": lambda: qmobilefacenet((4,) * 10, "qmobilefacenet_4"),
    "qmobilefacenet_2": lambda: qmobilefacenet((2,) * 10, "qmobilefacenet_2"),
    "qmobilefacenet_mixed": lambda: qmobilefacenet(MIXED, "qmobilefacenet_mixed"),
}
