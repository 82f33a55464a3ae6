"""Sliding windows over a batch of images, as every pooling and convolution reference sees them."""

from __future__ import annotations

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.shapes import image


def windows(x: Array, node: Node, kernel: tuple[int, int], source: TensorType, fill: float = 0) -> Array:
    """(N, out h, out w, kh, kw, C) view of x (N, ...) padded with `fill`; reads pads, strides, dilation from attrs."""
    x = x.reshape(x.shape[0], *image(source.shape))
    top, bottom, left, right = node.attrs["pads"]
    if any(node.attrs["pads"]):
        x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    dh, dw = node.attrs.get("dilation", (1, 1))
    reach = ((kernel[0] - 1) * dh + 1, (kernel[1] - 1) * dw + 1)
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2))
    sh, sw = node.attrs["strides"]
    return np.moveaxis(view[:, ::sh, ::sw, :, ::dh, ::dw], 3, -1)
