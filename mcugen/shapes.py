"""TensorFlow's padding rules and the image view that kernels have of every tensor."""

from __future__ import annotations

from collections.abc import Sequence


def same_pads(size: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of padding='same'; the odd one goes below and right."""
    pads: list[int] = []
    for n, k, s in zip(size, kernel, strides, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0)
        pads += [total // 2, total - total // 2]
    return pads[0], pads[1], pads[2], pads[3]


def pool_shape(
    size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]
) -> tuple[int, int]:
    """(height, width) of what a window of `kernel` cells sweeps out of a padded image of `size`."""
    height = (size[0] + pads[0] + pads[1] - kernel[0]) // strides[0] + 1
    width = (size[1] + pads[2] + pads[3] - kernel[1]) // strides[1] + 1
    return height, width


def image(shape: Sequence[int]) -> tuple[int, int, int]:
    """A tensor's shape as (height, width, channels): vectors are one pixel, sequences one row."""
    padded = (1, 1, *shape)[-3:] if len(shape) < 3 else tuple(shape)
    return padded[0], padded[1], padded[2]
