"""LFFD v2, a face detector of 20 layers and five scales: 8 bits, no normalization, two outputs a scale.

Outputs, finest scale first: score (h, w, 2) and box (h, w, 4), raw. Convolutions are 3x3 with bias and ReLU; strided ones
are without padding as long as a window fits, residual pairs keep the size. Widths are multiples of 64 and 128 times `width`.
"""

from __future__ import annotations

import tensorflow as tf
from blocks import Model, Tensor, add, conv8, pixels, relu8

STAGES = (64, 64, 128, 128)  # channels of the stages after the trunk; scales are read after the trunk and every stage


def conv(x: Tensor, filters: int, name: str, stride: int = 1, size: int = 3) -> Tensor:
    """Convolution with bias and ReLU."""
    padding = "valid" if stride == 2 and min(x.shape[1:3]) >= size else "same"
    return relu8(conv8(x, filters, size, name, strides=stride, padding=padding, use_bias=True), f"{name}_relu")


def pair(x: Tensor, name: str) -> Tensor:
    """relu(x + two convolutions)."""
    filters = int(x.shape[-1])
    y = conv8(conv(x, filters, f"{name}a"), filters, 3, f"{name}b", use_bias=True)
    return relu8(add([x, y], f"{name}_add"), f"{name}_relu")


def head(x: Tensor, filters: int, name: str) -> list[Tensor]:
    """Score and box of one scale."""
    x = conv(x, filters, f"{name}_shared", size=1)
    parts = []
    for part, channels in (("score", 2), ("box", 4)):
        y = conv(x, filters, f"{name}_{part}1", size=1)
        parts.append(conv8(y, channels, 1, f"{name}_{part}", use_bias=True))
    return parts


def lffd(name: str, size: tuple[int, int], width: float) -> Model:
    """`size` is (height, width) of the image in pixels."""
    image = tf.keras.Input((*size, 3), name="image")
    trunk, heads = int(64 * width), int(128 * width)
    x = conv(conv(pixels(image), trunk, "c1", stride=2), trunk, "c2", stride=2)
    for index in range(3):
        x = pair(x, f"p{index + 1}")
    outputs = head(x, heads, "h1")
    for stage, channels in enumerate(STAGES, start=2):
        x = pair(conv(x, int(channels * width), f"s{stage}", stride=2), f"s{stage}p")
        outputs += head(x, heads, f"h{stage}")
    return tf.keras.Model(image, outputs, name=name)


NETWORKS = {
    "lffd_160x120_025": lambda: lffd("lffd_160x120_025", (120, 160), 0.25),
    "lffd_160x120_050": lambda: lffd("lffd_160x120_050", (120, 160), 0.5),
    "lffd_320x240_025": lambda: lffd("lffd_320x240_025", (240, 320), 0.25),
    "lffd_320x240_100": lambda: lffd("lffd_320x240_100", (240, 320), 1.0),
}
