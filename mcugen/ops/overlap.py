"""How far a kernel's output must start before an input so that it only writes over what it has read.

A kernel works in steps: step k reads no input byte before `low[k]`, and after it the output is written up to `ends[k]`.
"""

from __future__ import annotations

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.shapes import image


def lead(low: Array, ends: Array, reads_first: bool = False) -> int:
    """Bytes by which the output must start before the input; negative: it may start later.

    reads_first: a step reads all it needs before it writes. Without, its writes must stay before its own reads too.
    """
    later = np.minimum.accumulate(low[::-1])[::-1]
    if reads_first:
        return int((ends[:-1] - later[1:]).max(initial=-int(low.max()) - 1))
    return int((ends - later).max())


def pixel_lead(node: Node, source: TensorType, reads_first: bool = False) -> int:
    """`lead` of a kernel whose steps are the pixels of the output; strides and pads as in attrs, windows from there on."""
    return lead(*window_marks(node, source), reads_first)


def window_marks(node: Node, source: TensorType) -> tuple[Array, Array]:
    """(low, ends) of every pixel of the output, row by row."""
    in_h, in_w, _ = image(source.shape)
    out_h, out_w, _ = image(node.type.shape)
    (sh, sw), (top, _, left, _) = node.attrs.get("strides", (1, 1)), node.attrs.get("pads", (0, 0, 0, 0))
    rows = np.clip(np.arange(out_h) * sh - top, 0, in_h)
    low = (rows[:, None] * in_w + np.clip(np.arange(out_w) * sw - left, 0, in_w)).reshape(-1)
    pixels = out_h * out_w
    ends = -(-np.arange(1, pixels + 1) * node.type.bytes // pixels)
    return low * source.bytes // (in_h * in_w), ends


def row_lead(node: Node, source: TensorType, strip: int) -> int:
    """`lead` of a kernel whose steps are strips of that many rows of the output."""
    low, ends = window_marks(node, source)
    first = np.arange(0, len(low), strip * image(node.type.shape)[1])
    return lead(low[first], ends[np.append(first[1:], len(low)) - 1])


def element_lead(node: Node, source: TensorType) -> int:
    """`lead` of a kernel that reads an element, then writes the one at the same index."""
    if not node.type.layout == source.layout == "hwc":
        return pixel_lead(node, source)
    index = np.arange(node.type.size)
    return lead(index * (source.bits // 8), (index + 1) * (node.type.bits // 8), reads_first=True)
