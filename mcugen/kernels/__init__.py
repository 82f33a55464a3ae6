"""The kernels of every operator: the generic one of its file in mcugen/ops/, and the fast ones of this folder."""

from __future__ import annotations

from mcugen.kernels.int8_conv import FastConv
from mcugen.kernels.int8_dense import FastDense
from mcugen.kernels.int8_depthwise import FastDepthwise, FastGlobalDepthwise
from mcugen.kernels_binary import BINARY_DEPTHWISE_KERNELS, BINARY_KERNELS
from mcugen.ops import OPERATORS
from mcugen.ops.base import Kernel

INT8: dict[str, tuple[Kernel, ...]] = {
    "conv2d": (FastDense("fast_dense", "fast_dense.c.j2"), FastConv("fast", "fast_conv2d.c.j2")),
    "depthwise": (
        FastGlobalDepthwise("fast_global", "fast_global_depthwise.c.j2"),
        FastDepthwise("fast", "fast_depthwise.c.j2"),
    ),
}
BINARY: dict[str, tuple[Kernel, ...]] = {"conv2d": BINARY_KERNELS, "depthwise": BINARY_DEPTHWISE_KERNELS}


def kernels_of(op: str) -> tuple[Kernel, ...]:
    """All kernels of an operator; of equal cost, the first is chosen."""
    return (*OPERATORS[op].kernels, *INT8.get(op, ()), *BINARY.get(op, ()))
