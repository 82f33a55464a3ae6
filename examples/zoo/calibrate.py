"""Random weights that make an untrained network as lively as a trained one.

Every batch normalization takes the statistics that its input has on made-up images, and every convolution without
normalization is scaled to a typical output: an untrained network gives all-zero outputs otherwise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Floats = npt.NDArray[np.float32]
Layer = Any
Model = Any

TYPICAL = 0.7  # standard deviation of a convolution's output where no normalization sets it


def made_up_images(count: int, shape: tuple[int, int, int], seed: int) -> npt.NDArray[np.uint8]:
    """Random images (count, *shape) with the smoothness and contrast of photographs, without being any."""
    rng = np.random.default_rng(seed)
    image = np.zeros((count, *shape))
    for size in (3, 6, 12, 24, 48):
        grid = rng.normal(size=(count, size, size, shape[2])) + rng.normal(size=(count, size, size, 1))
        image += tf.image.resize(grid, shape[:2]).numpy() / math.sqrt(size)
    return np.clip(128 + 60 * image, 0, 255).astype(np.uint8)


def normalized(images: npt.NDArray[np.uint8]) -> Floats:
    """Network input of uint8 pixels: (u8 - 128) / 128, exact in float32."""
    return (images.astype(np.float32) - np.float32(128)) / np.float32(128)


def calibrate(model: Model, seed: int, batch: int = 8) -> Model:
    """Random weights and moving statistics for all layers, in the order in which they compute. Changes `model`."""
    rng = np.random.default_rng(seed)
    tf.config.run_functions_eagerly(True)
    found: dict[str, Any] = {}
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.InputLayer):
            found[layer.name] = tf.constant(normalized(made_up_images(batch, tuple(layer.output.shape[1:]), seed)))
            continue
        sources = [found[tensor.node.layer.name] for tensor in tf.nest.flatten(layer.input)]
        fed = sources if len(sources) > 1 else sources[0]
        prepare(rng, layer, fed)
        found[layer.name] = layer(fed, training=False)
    return model


def prepare(rng: np.random.Generator, layer: Layer, fed: Any) -> None:
    """Weights and statistics of one layer for the inputs `fed`."""
    kind = type(layer).__name__
    if kind == "BatchNormalization":
        randomize_norm(rng, layer, layer.gamma.shape[0])
        set_statistics(layer, fed)
    elif kind == "PReLU":
        layer.set_weights([rng.uniform(0.0, 0.5, layer.alpha.shape)])
    elif kind == "QConv2DBatchnorm":
        layer.kernel.assign(rng.normal(0, 1 / math.sqrt(np.prod(layer.kernel.shape[:3])), layer.kernel.shape))
        randomize_norm(rng, layer.batchnorm, layer.batchnorm.gamma.shape[0])
        padding = layer.padding.upper()
        set_statistics(layer.batchnorm, tf.nn.conv2d(fed, layer.kernel, layer.strides, padding))
    elif layer.name.endswith("_blur"):
        line = np.array([1, 2, 1], np.float32) / 4
        layer.set_weights([np.broadcast_to(np.outer(line, line)[:, :, None, None], layer.depthwise_kernel.shape)])
    elif layer.get_weights():
        randomize(rng, layer, fed)


def randomize(rng: np.random.Generator, layer: Layer, fed: Any) -> None:
    """Random weights; the kernel is scaled to TYPICAL outputs unless it is binary or normalized afterwards."""
    values = [rng.uniform(-0.5, 0.5, value.shape).astype(np.float32) for value in layer.get_weights()]
    layer.set_weights(values)
    quantizer = layer.get_quantizers()[0]
    followers = [type(node.outbound_layer).__name__ for node in layer.outbound_nodes]
    if type(quantizer).__name__ != "binary" and "BatchNormalization" not in followers:
        spread = float(np.std(layer(fed, training=False)))
        layer.set_weights([values[0] * np.float32(TYPICAL / spread), *(0.2 * value for value in values[1:])])


def randomize_norm(rng: np.random.Generator, layer: Layer, channels: int) -> None:
    """gamma of size 0.5 to 1.5, one in eight negative; beta in [-0.5, 0.5]."""
    sign = np.where(rng.random(channels) < 1 / 8, -1, 1)
    layer.gamma.assign((sign * rng.uniform(0.5, 1.5, channels)).astype(np.float32))
    layer.beta.assign(rng.uniform(-0.5, 0.5, channels).astype(np.float32))


def set_statistics(layer: Layer, values: Any) -> None:
    mean, variance = tf.nn.moments(values, axes=list(range(len(values.shape) - 1)))
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
