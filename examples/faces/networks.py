"""Face embedding networks for 96x96 RGB images, built of QKeras layers.

Every network maps a batch (N, 96, 96, 3) of pixels ``(u8 - 128) / 128`` in [-1, 1) to raw embeddings (N, 128); faces
are compared by the cosine of two embeddings. Weights are 8 bits (or 1 bit in the binary residual blocks) with fixed
power-of-two steps, activations are 8 bits. ``quantized=False`` builds the float twin: the same layers and names with
all quantizers removed, where ReLU stands for ``quantized_relu`` and tanh for the binary sign.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from qkeras import (
    QActivation,
    QConv2D,
    QDense,
    QDepthwiseConv2D,
    binary,
    quantized_bits,
    quantized_relu,
)

IMAGE_SHAPE = (96, 96, 3)
EMBEDDING_SIZE = 128

Tensor = Any
Model = Any


def scaled(channels: int, width: float) -> int:
    """Channel count times ``width``, rounded to a multiple of 8 (at least 8)."""
    return max(8, 8 * math.floor(channels * width / 8 + 0.5))


class Layers:
    """Makes the named layers the networks are built of, quantized or in float; activations have 8 bits or 16."""

    def __init__(self, quantized: bool, activation_bits: int = 8) -> None:
        self.quantized, self.activation_bits = quantized, activation_bits

    def _weights(self, bits: int) -> Any:
        """Weight quantizer: sign for 1 bit, else two's complement with range [-1, 1)."""
        if not self.quantized:
            return None
        return binary(alpha=1) if bits == 1 else quantized_bits(bits, 0, 1, alpha=1)

    def _activation(self, x: Tensor, quantizer: Any, twin: str, name: str) -> Tensor:
        layer = QActivation(quantizer, name=name) if self.quantized else tf.keras.layers.Activation(twin, name=name)
        return layer(x)

    def pixels(self, x: Tensor, name: str) -> Tensor:
        """8-bit image, range [-1, 1)."""
        return self._activation(x, quantized_bits(8, 0, 1), "linear", name)

    def act(self, x: Tensor, name: str) -> Tensor:
        """Signed activation, range [-4, 4)."""
        return self._activation(x, quantized_bits(self.activation_bits, 2, 1, alpha=1), "linear", name)

    def relu(self, x: Tensor, name: str) -> Tensor:
        """Unsigned activation, range [0, 4)."""
        return self._activation(x, quantized_relu(self.activation_bits, 2), "relu", name)

    def sign(self, x: Tensor, name: str) -> Tensor:
        """1-bit activation: -1 or +1."""
        return self._activation(x, binary(alpha=1), "tanh", name)

    def conv(self, x: Tensor, filters: int, size: int, name: str, stride: int = 1, bits: int = 8) -> Tensor:
        """Convolution with 'same' padding and without bias."""
        quantizer = self._weights(bits)
        return QConv2D(
            filters, size, strides=stride, padding="same", use_bias=False, kernel_quantizer=quantizer, name=name
        )(x)

    def depthwise(self, x: Tensor, name: str, stride: int = 1, bits: int = 8, padding: str = "same") -> Tensor:
        """Depthwise 3x3 convolution without bias."""
        quantizer = self._weights(bits)
        return QDepthwiseConv2D(
            3, strides=stride, padding=padding, use_bias=False, depthwise_quantizer=quantizer, name=name
        )(x)

    def dense(self, x: Tensor, units: int, name: str) -> Tensor:
        """Dense layer with 8-bit weights and a 16-bit bias."""
        bias = quantized_bits(16, 2, 1) if self.quantized else None
        return QDense(units, kernel_quantizer=self._weights(8), bias_quantizer=bias, name=name)(x)

    @staticmethod
    def bn(x: Tensor, name: str) -> Tensor:
        """Batch normalization over the channels."""
        return tf.keras.layers.BatchNormalization(momentum=0.95, name=name)(x)

    @staticmethod
    def add(x: Tensor, y: Tensor, name: str) -> Tensor:
        """Elementwise sum."""
        return tf.keras.layers.Add(name=name)([x, y])

    def embedding(self, x: Tensor, width: float) -> Tensor:
        """The common tail: pointwise 1280, global depthwise 3x3, dense to the embedding (N, 128)."""
        x = self.conv(x, scaled(1280, width), 1, "pw2")
        x = self.relu(self.bn(x, "pw2_bn"), "pw2_relu")
        x = self.act(self.bn(self.depthwise(x, "gdc", padding="valid"), "gdc_bn"), "gdc_act")
        x = tf.keras.layers.Flatten(name="flatten")(x)
        return self.dense(x, EMBEDDING_SIZE, "embedding")


Block = Callable[[Layers, Tensor, int, str], Tensor]


def residual_conv(layers: Layers, x: Tensor, channels: int, name: str) -> Tensor:
    """Binary residual block: x + BN(binary 3x3 convolution of sign(x)), in 8 bits."""
    y = layers.conv(layers.sign(x, f"{name}_sign"), channels, 3, f"{name}_conv", bits=1)
    return layers.act(layers.add(x, layers.bn(y, f"{name}_bn"), f"{name}_add"), f"{name}_act")


def residual_cell(layers: Layers, x: Tensor, channels: int, name: str) -> Tensor:
    """Binary residual block of a depthwise 3x3 and a pointwise convolution over [sign, depthwise sign]."""
    b = layers.sign(x, f"{name}_sign")
    d = layers.bn(layers.depthwise(b, f"{name}_dw", bits=1), f"{name}_dw_bn")
    both = tf.keras.layers.Concatenate(name=f"{name}_concat")([b, layers.sign(d, f"{name}_dw_sign")])
    y = layers.bn(layers.conv(both, channels, 1, f"{name}_pw", bits=1), f"{name}_bn")
    return layers.act(layers.add(x, y, f"{name}_add"), f"{name}_act")


def transition_conv(layers: Layers, x: Tensor, channels: int, name: str) -> Tensor:
    """Halve the image by a 3x3 convolution with stride 2."""
    x = layers.conv(x, channels, 3, f"{name}_conv", stride=2)
    return layers.act(layers.bn(x, f"{name}_bn"), f"{name}_act")


def transition_separable(layers: Layers, x: Tensor, channels: int, name: str) -> Tensor:
    """Halve the image by a depthwise 3x3 convolution with stride 2 and a pointwise convolution."""
    x = layers.act(layers.bn(layers.depthwise(x, f"{name}_dw", stride=2), f"{name}_dw_bn"), f"{name}_dw_act")
    return layers.act(layers.bn(layers.conv(x, channels, 1, f"{name}_pw"), f"{name}_bn"), f"{name}_act")


def transition_pool(layers: Layers, x: Tensor, channels: int, name: str) -> Tensor:
    """QuickNet's transition: max pooling 2x2 with stride 1, then as ``transition_separable``."""
    x = tf.keras.layers.MaxPooling2D(2, strides=1, name=f"{name}_pool")(x)
    return transition_separable(layers, x, channels, name)


def hybrid(name: str, residual: Block, transition: Block, width: float, quantized: bool, activation_bits: int) -> Model:
    """Hybrid network: int8 stem, transitions and tail; binary residual blocks at five resolutions (48 to 3 pixels)."""
    layers = Layers(quantized, activation_bits)
    image = tf.keras.Input(IMAGE_SHAPE, name="image")
    x = layers.pixels(image, "in_q")
    stem = scaled(16, width)
    x = layers.relu(layers.bn(layers.conv(x, stem, 3, "conv1", stride=2), "conv1_bn"), "conv1_relu")
    x = layers.relu(layers.bn(layers.depthwise(x, "dw1"), "dw1_bn"), "dw1_relu")
    x = layers.act(layers.bn(layers.conv(x, stem, 1, "pw1"), "pw1_bn"), "pw1_act")
    x = residual(layers, x, stem, "r1")
    for index, channels in enumerate((24, 64, 64, 128), start=1):
        x = transition(layers, x, scaled(channels, width), f"t{index}")
        x = residual(layers, x, scaled(channels, width), f"r{index + 1}")
    x = layers.embedding(layers.relu(x, "tail_relu"), width)
    return tf.keras.Model(image, x, name=name)


def hybrid_a(width: float = 1.0, quantized: bool = True, activation_bits: int = 8) -> Model:
    """Network A: binary 3x3 residual blocks and int8 3x3 transitions; 26 M MAC, of which 16 M are binary."""
    return hybrid("hybrid_a", residual_conv, transition_conv, width, quantized, activation_bits)


def hybrid_b(width: float = 1.0, quantized: bool = True, activation_bits: int = 8) -> Model:
    """Variant B: binary depthwise-and-pointwise cells and separable int8 transitions."""
    return hybrid("hybrid_b", residual_cell, transition_separable, width, quantized, activation_bits)


def hybrid_q(width: float = 1.0, quantized: bool = True, activation_bits: int = 8) -> Model:
    """Variant Q: the residual blocks of A with the transitions of QuickNet."""
    return hybrid("hybrid_q", residual_conv, transition_pool, width, quantized, activation_bits)


def inverted_residual(layers: Layers, x: Tensor, expansion: int, channels: int, stride: int, name: str) -> Tensor:
    """MobileNetV2's block: pointwise expansion, depthwise 3x3, linear pointwise projection, addition where it fits."""
    y, inputs = x, int(x.shape[-1])
    if expansion != 1:
        y = layers.conv(y, expansion * inputs, 1, f"{name}_expand")
        y = layers.relu(layers.bn(y, f"{name}_expand_bn"), f"{name}_expand_relu")
    y = layers.relu(layers.bn(layers.depthwise(y, f"{name}_dw", stride), f"{name}_dw_bn"), f"{name}_dw_relu")
    y = layers.act(layers.bn(layers.conv(y, channels, 1, f"{name}_project"), f"{name}_bn"), f"{name}_act")
    if stride != 1 or inputs != channels:
        return y
    return layers.act(layers.add(x, y, f"{name}_add"), f"{name}_add_act")


def mnv2_i8(quantized: bool = True, activation_bits: int = 8) -> Model:
    """MobileNetV2 (alpha 0.5) with 8-bit weights: the int8 baseline without binary layers; 18 M MAC."""
    layers = Layers(quantized, activation_bits)
    image = tf.keras.Input(IMAGE_SHAPE, name="image")
    x = layers.conv(layers.pixels(image, "in_q"), 16, 3, "conv1", stride=2)
    x = layers.relu(layers.bn(x, "conv1_bn"), "conv1_relu")
    stages = ((1, 8, 1, 1), (6, 16, 2, 2), (6, 16, 3, 2), (6, 32, 4, 2), (6, 48, 3, 1), (6, 80, 3, 2), (6, 160, 1, 1))
    for stage, (expansion, channels, repeats, stride) in enumerate(stages, start=1):
        for block in range(repeats):
            name = f"s{stage}b{block + 1}"
            x = inverted_residual(layers, x, expansion, channels, stride if block == 0 else 1, name)
    return tf.keras.Model(image, layers.embedding(x, 1.0), name="mnv2_i8")


NETWORKS: dict[str, Callable[..., Model]] = {
    "hybrid_a": hybrid_a,
    "hybrid_b": hybrid_b,
    "hybrid_q": hybrid_q,
    "mnv2_i8": mnv2_i8,
}


def normalized(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Network input of uint8 pixels: (u8 - 128) / 128, exact in float32."""
    return (images.astype(np.float32) - np.float32(128)) / np.float32(128)


def smooth_images(count: int, seed: int) -> npt.NDArray[np.uint8]:
    """Random images (count, 96, 96, 3) with the smoothness and contrast of photographs, without being any."""
    rng = np.random.default_rng(seed)
    image = np.zeros((count, *IMAGE_SHAPE))
    for size in (3, 6, 12, 24, 48):
        grid = rng.normal(size=(count, size, size, 3)) + rng.normal(size=(count, size, size, 1))
        image += tf.image.resize(grid, IMAGE_SHAPE[:2]).numpy() / math.sqrt(size)
    return np.clip(128 + 60 * image, 0, 255).astype(np.uint8)


def calibrated(model: Model, seed: int, batch: int = 64) -> Model:
    """Random weights with the batch statistics of ``smooth_images``: an untrained network that is not degenerate.

    BatchNormalization gets random gamma of size 0.5 to 1.5 (one in eight negative) and beta in [-0.5, 0.5], and as
    moving statistics those of one batch, so activations fill their ranges as in a trained network. Changes ``model``
    in place and returns it.
    """
    rng = np.random.default_rng(seed)
    norms = [layer for layer in model.layers if isinstance(layer, tf.keras.layers.BatchNormalization)]
    for layer in model.layers:
        if layer not in norms:
            layer.set_weights([random_weights(rng, value.shape) for value in layer.get_weights()])
    for norm in norms:
        channels = norm.gamma.shape[0]
        sign = np.where(rng.random(channels) < 1 / 8, -1, 1)
        norm.gamma.assign((sign * rng.uniform(0.5, 1.5, channels)).astype(np.float32))
        norm.beta.assign(rng.uniform(-0.5, 0.5, channels).astype(np.float32))
    set_moving_statistics(model, norms, normalized(smooth_images(batch, seed)))
    return model


def random_weights(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Uniform weights in [-0.5, 0.5]; a bias (rank 1) likewise."""
    return rng.uniform(-0.5, 0.5, shape).astype(np.float32)


def set_moving_statistics(model: Model, norms: list[Any], images: npt.NDArray[np.float32]) -> None:
    """Give each of ``norms`` the mean and variance which its input has in training mode on ``images``."""
    inputs = tf.keras.Model(model.inputs, [norm.input for norm in norms])(images, training=True)
    for norm, value in zip(norms, inputs, strict=True):
        mean, variance = tf.nn.moments(value, axes=list(range(len(value.shape) - 1)))
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
