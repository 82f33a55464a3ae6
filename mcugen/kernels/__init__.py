"""The kernels of every operator: the generic one of its file in mcugen/ops/, and the fast ones of this folder."""

from __future__ import annotations

from mcugen.kernels.binary_compare import CompareMap
from mcugen.kernels.binary_depthwise import BinaryDepthwise
from mcugen.kernels.binary_sets import BinarySets
from mcugen.kernels.binary_tables import BinaryConv
from mcugen.kernels.bytes_copy import BitsConcat, FastConcat, FastPad, FastResize
from mcugen.kernels.bytes_map import FastMap
from mcugen.kernels.bytes_pool import FastAvgPool, FastMaxPool
from mcugen.kernels.int8_conv import FastConv
from mcugen.kernels.int8_dense import FastDense
from mcugen.kernels.int8_depthwise import FastDepthwise, FastGlobalDepthwise
from mcugen.kernels.subbyte_conv import FieldsConv, NestedConv
from mcugen.kernels.subbyte_depthwise import PackedDepthwise
from mcugen.ops import OPERATORS
from mcugen.ops.base import Kernel

INT8: dict[str, tuple[Kernel, ...]] = {
    "conv2d": (FastDense("fast_dense", "fast_dense.c.j2", input_first=True), FastConv("fast", "fast_conv2d.c.j2")),
    "depthwise": (
        FastGlobalDepthwise("fast_global", "fast_global_depthwise.c.j2"),
        FastDepthwise("fast", "fast_depthwise.c.j2"),
    ),
}
BINARY: dict[str, tuple[Kernel, ...]] = {
    "conv2d": (
        BinaryConv("tables", "fast_binary_conv.c.j2", takes_signs=True, code_bytes=3500, input_first=True),
        BinarySets("sets", "fast_binary_sets.c.j2", takes_signs=True, code_bytes=1700, input_first=True),
    ),
    "depthwise": (BinaryDepthwise("planes", "fast_binary_depthwise.c.j2", code_bytes=1200),),
    "map": (CompareMap("compare", "fast_bits.c.j2"),),
}
BYTES: dict[str, tuple[Kernel, ...]] = {
    "map": (FastMap("fast", "fast_map.c.j2", code_bytes=150),),
    "maxpool": (FastMaxPool("fast", "fast_maxpool.c.j2", code_bytes=250),),
    "avgpool": (FastAvgPool("fast", "fast_avgpool.c.j2", code_bytes=500),),
    "concat": (FastConcat("fast", "fast_concat.c.j2"), BitsConcat("bits", "fast_concat_bits.c.j2")),
    "pad": (FastPad("fast", "fast_pad.c.j2"),),
    "resize": (FastResize("fast", "fast_resize.c.j2"),),
}
SUBBYTE: dict[str, tuple[Kernel, ...]] = {
    "conv2d": (
        FieldsConv("fields", "subbyte_conv.c.j2", code_bytes=1500),
        NestedConv("nested", "subbyte_conv.c.j2", code_bytes=1500),
    ),
    "depthwise": (PackedDepthwise("packed", "subbyte_depthwise.c.j2", code_bytes=1000),),
}


def kernels_of(op: str) -> tuple[Kernel, ...]:
    """All kernels of an operator; of equal cost, the first is chosen."""
    return (*OPERATORS[op].kernels, *(kernel for kind in (INT8, BINARY, BYTES, SUBBYTE) for kernel in kind.get(op, ())))
