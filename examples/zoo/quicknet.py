"""QuickNet in three sizes: binary 3x3 residual layers, 8-bit stem and transitions; 112x112x3 -> 128.

A residual layer adds BN(relu(binary convolution of the sign)), with the ReLU before the normalization. A transition is
ReLU, max pooling 2x2 with stride 1, a fixed blur (depthwise 3x3, stride 2) and a pointwise convolution. The head is a
global depthwise convolution and a dense layer, as in the other face networks.
"""

from __future__ import annotations

import tensorflow as tf
from blocks import (
    EMBEDDING_SIZE,
    FACE_SHAPE,
    Model,
    Tensor,
    act8,
    add,
    conv1,
    conv8,
    dense8,
    depthwise8,
    norm,
    pixels,
    relu8,
    sign,
)


def residual(x: Tensor, name: str) -> Tensor:
    """x + BN(relu(3x3 binary convolution)), in 8 bits."""
    y = conv1(sign(x, f"{name}_sign"), int(x.shape[-1]), 3, f"{name}_conv", activation="relu")
    return act8(add([x, norm(y, f"{name}_bn")], f"{name}_add"), f"{name}_act")


def transition(x: Tensor, channels: int, name: str) -> Tensor:
    """Half the size, `channels` channels; the layer NAME_blur takes the weights of `blur_kernel`."""
    x = tf.keras.layers.MaxPooling2D(2, strides=1, name=f"{name}_pool")(relu8(x, f"{name}_relu"))
    x = relu8(depthwise8(x, 3, f"{name}_blur", stride=2), f"{name}_blur_act")
    return act8(norm(conv8(x, channels, 1, f"{name}_conv"), f"{name}_bn"), f"{name}_act")


def quicknet(name: str, blocks: tuple[int, ...], filters: tuple[int, ...], shape: tuple[int, int, int] = FACE_SHAPE) -> Model:
    """`blocks` residual layers of `filters` channels, section by section."""
    image = tf.keras.Input(shape, name="image")
    x = conv8(pixels(image), filters[0] // 4, 3, "stem1", strides=2)
    x = relu8(norm(x, "stem1_bn"), "stem1_relu")
    x = act8(norm(depthwise8(x, 3, "stem_dw", stride=2), "stem_dw_bn"), "stem_dw_act")
    x = act8(norm(conv8(x, filters[0], 1, "stem2"), "stem2_bn"), "stem2_act")
    for section, (count, channels) in enumerate(zip(blocks, filters, strict=True), start=1):
        if section > 1:
            x = transition(x, channels, f"t{section - 1}")
        for layer in range(count):
            x = residual(x, f"s{section}r{layer + 1}")
    x = depthwise8(relu8(x, "head_relu"), int(x.shape[1]), "gdc", padding="valid")
    x = tf.keras.layers.Flatten(name="flatten")(act8(norm(x, "gdc_bn"), "gdc_act"))
    return tf.keras.Model(image, dense8(x, EMBEDDING_SIZE, "embedding"), name=name)


NETWORKS = {
    "quicknet_small": lambda: quicknet("quicknet_small", (4, 4, 4, 4), (32, 64, 256, 512)),
    "quicknet": lambda: quicknet("quicknet", (4, 4, 4, 4), (64, 128, 256, 512)),
    "quicknet_large": lambda: quicknet("quicknet_large", (6, 8, 12, 6), (64, 128, 256, 512)),
}
