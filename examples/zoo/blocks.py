"""Layers that several networks of the zoo share, all of QKeras with fixed power-of-two steps.

8-bit weights lie in [-1, 1), binary ones are -1 and +1; images are pixels ``(u8 - 128) / 128`` in 8 bits.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D, binary, quantized_bits, quantized_relu

EMBEDDING_SIZE = 128
FACE_SHAPE = (112, 112, 3)

Tensor = Any
Model = Any


def pixels(x: Tensor) -> Tensor:
    """8-bit image, range [-1, 1)."""
    return QActivation(quantized_bits(8, 0, 1), name="in_q")(x)


def act8(x: Tensor, name: str, integer: int = 2) -> Tensor:
    """8-bit signed activation, range [-2^integer, 2^integer)."""
    return QActivation(quantized_bits(8, integer, 1, alpha=1), name=name)(x)


def relu8(x: Tensor, name: str, integer: int = 2) -> Tensor:
    """8-bit unsigned activation, range [0, 2^integer)."""
    return QActivation(quantized_relu(8, integer), name=name)(x)


def sign(x: Tensor, name: str) -> Tensor:
    """1-bit activation: -1 or +1."""
    return QActivation(binary(alpha=1), name=name)(x)


def weights8() -> Any:
    """8-bit weights, range [-1, 1)."""
    return quantized_bits(8, 0, 1, alpha=1)


def conv8(x: Tensor, filters: int, size: int, name: str, **settings: Any) -> Tensor:
    """8-bit convolution, 'same' and without bias unless `settings` say otherwise."""
    if settings.get("use_bias"):
        settings["bias_quantizer"] = quantized_bits(16, 2, 1)
    settings = {"padding": "same", "use_bias": False, **settings}
    return QConv2D(filters, size, kernel_quantizer=weights8(), name=name, **settings)(x)


def conv1(x: Tensor, filters: int, size: int, name: str, scale: float = 1.0, **settings: Any) -> Tensor:
    """Binary convolution (weights -scale and +scale), 'same' and without bias unless `settings` say otherwise."""
    settings = {"padding": "same", "use_bias": False, **settings}
    return QConv2D(filters, size, kernel_quantizer=binary(alpha=scale), name=name, **settings)(x)


def depthwise8(x: Tensor, size: int, name: str, stride: int = 1, padding: str = "same") -> Tensor:
    """8-bit depthwise convolution without bias."""
    return QDepthwiseConv2D(
        size, strides=stride, padding=padding, use_bias=False, depthwise_quantizer=weights8(), name=name
    )(x)


def dense8(x: Tensor, units: int, name: str) -> Tensor:
    """Dense layer with 8-bit weights and a 16-bit bias."""
    return QDense(units, kernel_quantizer=weights8(), bias_quantizer=quantized_bits(16, 2, 1), name=name)(x)


def norm(x: Tensor, name: str) -> Tensor:
    """Batch normalization over the channels."""
    return tf.keras.layers.BatchNormalization(epsilon=1e-5, name=name)(x)


def add(inputs: list[Tensor], name: str) -> Tensor:
    """Elementwise sum."""
    return tf.keras.layers.Add(name=name)(inputs)


def prelu(x: Tensor, name: str) -> Tensor:
    """A learnt slope below zero for every channel."""
    return tf.keras.layers.PReLU(shared_axes=[1, 2], name=name)(x)
