"""BinaryFaceNet: 1-bit convolutions with groups and strides, PReLU, sums of three; 112x112x3 -> 128, 185 M 1-bit MAC.

The head scales 64 full-size channels by a squeeze-and-excite branch of binary convolutions whose last activation is a
sigmoid that never reaches zero, so the sign that follows does not depend on it: the compiler drops the branch, 77.6 M MAC.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from blocks import EMBEDDING_SIZE, FACE_SHAPE, Model, Tensor, act8, add, conv1, conv8, norm, pixels, prelu, sign
from qkeras import QActivation, QDepthwiseConv2D, binary, quantized_bits, quantized_sigmoid

CHANNELS = 64


def binary_conv(x: Tensor, size: int, name: str, activation: bool = True, **settings: Any) -> Tensor:
    """Sign, binary convolution, BN and (unless told otherwise) PReLU, in 8 bits."""
    y = norm(conv1(sign(x, f"{name}_sign"), CHANNELS, size, name, **settings), f"{name}_bn")
    return act8(prelu(y, f"{name}_prelu") if activation else y, f"{name}_act")


def pointwise(x: Tensor, name: str) -> Tensor:
    """Binary pointwise convolution of the sign, weights -1/8 and +1/8, with bias; raw sums."""
    return conv1(sign(x, f"{name}_sign"), CHANNELS, 1, name, scale=1 / 8, use_bias=True, bias_quantizer=quantized_bits(8, 2, 1))


def depthwise(x: Tensor, name: str, bias: bool = True) -> Tensor:
    """Binary depthwise 1x1 of the sign: a sign by channel, plus a bias; raw sums."""
    return QDepthwiseConv2D(
        1, use_bias=bias, depthwise_quantizer=binary(alpha=1), bias_quantizer=quantized_bits(8, 2, 1), name=name
    )(sign(x, f"{name}_sign"))


def separable(x: Tensor, name: str) -> Tensor:
    """Depthwise 1x1 and pointwise 1x1 with binary weights, nothing between; raw sums."""
    return pointwise(depthwise(x, f"{name}_dw", bias=False), f"{name}_pw")


def squeeze(x: Tensor) -> Tensor:
    """A positive factor for every channel (1, 1, 64)."""
    y = binary_conv(x, 5, "se1", strides=2, padding="valid", groups=4)
    y = binary_conv(y, 3, "se2", strides=3, padding="valid", groups=4)
    y = binary_conv(y, 1, "se3", strides=4, padding="valid", groups=2)
    y = binary_conv(y, 1, "se4", strides=5, padding="valid")
    y = act8(prelu(conv8(y, CHANNELS // 16, 1, "se5", use_bias=True), "se5_prelu"), "se5_act")
    return QActivation(quantized_sigmoid(8, symmetric=True), name="se_scale")(conv8(y, CHANNELS, 1, "se6", use_bias=True))


def global_features(x: Tensor, name: str) -> Tensor:
    """Pointwise and depthwise binary layers with three skip connections; keeps the size."""
    skip = act8(prelu(pointwise(x, f"{name}_skip"), f"{name}_skip_prelu"), f"{name}_skip_act")
    y = prelu(add([x, depthwise(skip, f"{name}_dw1")], f"{name}_add1"), f"{name}_prelu1")
    y = pointwise(act8(y, f"{name}_act1"), f"{name}_pw")
    y = act8(prelu(add([y, skip], f"{name}_add2"), f"{name}_prelu2"), f"{name}_act2")
    z = add([y, depthwise(y, f"{name}_dw2"), x], f"{name}_add3")
    return act8(prelu(z, f"{name}_prelu3"), f"{name}_act3")


def local_features(x: Tensor, name: str) -> Tensor:
    """Strided binary convolution, then separable and pointwise ones with two skip connections; half the size."""
    skip = binary_conv(x, 3, f"{name}_down", strides=2)
    first = act8(prelu(separable(skip, f"{name}_sep1"), f"{name}_sep1_prelu"), f"{name}_sep1_act")
    y = binary_conv(first, 1, f"{name}_mid1", activation=False)
    y = act8(prelu(add([skip, y], f"{name}_add1"), f"{name}_prelu1"), f"{name}_act1")
    y = binary_conv(y, 1, f"{name}_mid2")
    y = add([first, separable(y, f"{name}_sep2")], f"{name}_add2")
    return act8(prelu(y, f"{name}_prelu2"), f"{name}_act2")


def binaryfacenet(shape: tuple[int, int, int] = FACE_SHAPE) -> Model:
    """The whole network; the squeeze branch needs at least 112x112."""
    image = tf.keras.Input(shape, name="image")
    x = act8(prelu(norm(conv8(pixels(image), CHANNELS, 1, "head"), "head_bn"), "head_prelu"), "head_act")
    x = tf.keras.layers.Multiply(name="se_mul")([x, squeeze(x)])
    x = binary_conv(x, 3, "down", strides=2, groups=4)
    x = local_features(local_features(global_features(x, "g"), "l1"), "l2")
    x = conv8(x, EMBEDDING_SIZE, 3, "e1", strides=3, padding="valid")
    x = act8(prelu(norm(x, "e1_bn"), "e1_prelu"), "e1_act")
    x = conv8(x, EMBEDDING_SIZE, int(x.shape[1]), "e2", padding="valid")
    x = prelu(norm(x, "e2_bn"), "e2_prelu")
    return tf.keras.Model(image, tf.keras.layers.Flatten(name="embedding")(x), name="binaryfacenet")


NETWORKS = {"binaryfacenet": binaryfacenet}
