"""BinaryDenseNet 28, 37 and 45: binary 3x3 layers that each append 64 channels; 112x112x3 -> 128.

A layer is BN, sign, binary convolution, concatenation. All streams of a block share one 8-bit grid, quantized_bits(8, 3, 1)
with step 1/16, and binary weights are -1/16 and +1/16, so that a stream's new codes are the convolution's own sums,
saturated. Between blocks: BN, max pooling 2x2, ReLU, pointwise convolution to fewer channels.
"""

from __future__ import annotations

import tensorflow as tf
from blocks import EMBEDDING_SIZE, FACE_SHAPE, Model, Tensor, act8, conv1, conv8, dense8, norm, pixels, relu8, sign

GROWTH = 64
STREAM_INTEGER = 3


def layer(x: Tensor, name: str) -> Tensor:
    """x with 64 more channels."""
    y = conv1(sign(norm(x, f"{name}_bn"), f"{name}_sign"), GROWTH, 3, f"{name}_conv", scale=1 / 16)
    return tf.keras.layers.Concatenate(name=f"{name}_concat")([x, act8(y, f"{name}_act", STREAM_INTEGER)])


def transition(x: Tensor, reduction: float, name: str) -> Tensor:
    """Half the size, and the channels divided by about `reduction` (a multiple of 32)."""
    channels = round(int(x.shape[-1]) // reduction / 32) * 32
    x = tf.keras.layers.MaxPooling2D(2, name=f"{name}_pool")(act8(norm(x, f"{name}_bn"), f"{name}_bn_act"))
    return act8(conv8(relu8(x, f"{name}_relu"), channels, 1, f"{name}_conv"), f"{name}_act", STREAM_INTEGER)


def binarydensenet(
    name: str, layers: tuple[int, ...], reductions: tuple[float, ...], shape: tuple[int, int, int] = FACE_SHAPE
) -> Model:
    """`layers` of every block; `reductions` between them."""
    image = tf.keras.Input(shape, name="image")
    x = conv8(pixels(image), 64, 7, "stem", strides=2)
    x = tf.keras.layers.ReLU(name="stem_relu")(norm(x, "stem_bn"))
    x = act8(x, "stem_act", STREAM_INTEGER)
    x = tf.keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for block, count in enumerate(layers, start=1):
        for index in range(count):
            x = layer(x, f"b{block}l{index + 1}")
        if block < len(layers):
            x = transition(x, reductions[block - 1], f"t{block}")
    x = relu8(norm(x, "head_bn"), "head_relu")
    x = act8(tf.keras.layers.GlobalAveragePooling2D(name="head_pool")(x), "head_act")
    return tf.keras.Model(image, dense8(x, EMBEDDING_SIZE, "embedding"), name=name)


NETWORKS = {
    "binarydensenet28": lambda: binarydensenet("binarydensenet28", (6, 6, 6, 5), (2.7, 2.7, 2.2)),
    "binarydensenet37": lambda: binarydensenet("binarydensenet37", (6, 8, 12, 6), (3.3, 3.3, 4.0)),
    "binarydensenet45": lambda: binarydensenet("binarydensenet45", (6, 12, 14, 8), (2.7, 3.3, 4.0)),
}
