"""Quantizers that random models draw from, as QKeras strings or serialized objects."""

from __future__ import annotations

from typing import Any


def obj(kind: str, **config: Any) -> dict[str, Any]:
    """A quantizer as the object form that QKeras saves; needed for alpha=None, which strings cannot express."""
    return {"class_name": kind, "config": config}


# All on power-of-two grids: everything that follows can be promised exact.
PLAIN_ACTIVATIONS: tuple[Any, ...] = (
    "quantized_bits(8,2,1)",
    "quantized_bits(8,0,1,alpha=1)",
    "quantized_bits(6,2,0,alpha=1)",
    "quantized_bits(4,1,1)",
    "quantized_bits(3,1,1)",
    "quantized_bits(2,1,1,alpha=1)",
    "quantized_bits(1,1,alpha=1)",
    "quantized_bits(5,2,keep_negative=False)",
    "quantized_bits(12,4,1)",
    "quantized_bits(16,5,1)",
    "quantized_bits(20,6,1)",
    obj("quantized_bits", bits=8, integer=3, symmetric=0, alpha=0.5, keep_negative=True),
    "quantized_relu(8,2)",
    "quantized_relu(7,3)",
    "quantized_relu(4,2)",
    "quantized_relu(3,1)",
    "quantized_relu(2,1)",
    "quantized_relu(1,1)",
    "quantized_relu(16,4)",
    "quantized_relu(6,2,negative_slope=0.25)",
    "quantized_relu(4,1,1)",
    "quantized_relu(5,2,relu_upper_bound=2)",
    "quantized_relu(5,2,use_stochastic_rounding=True)",
    "quantized_bits(7,2,1,use_stochastic_rounding=True)",
    "quantized_tanh(6)",
    "quantized_tanh(3,symmetric=True)",
    "quantized_tanh(5,use_real_tanh=True)",
    "quantized_sigmoid(5,use_real_sigmoid=True)",
    "quantized_sigmoid(5)",
    "quantized_sigmoid(8)",
    "quantized_hswish(8,3)",
    "quantized_hswish(5,2,1)",
    "binary(alpha=1)",
    "binary",
    "binary(alpha=0.5)",
    "binary(use_01=True,alpha=1)",
    "stochastic_binary(alpha=1)",
    "ternary(alpha=1)",
    "ternary",
    "ternary(alpha=0.5,threshold=0.25)",
    "stochastic_ternary(alpha=1)",
    "quantized_po2(4,2)",
    "quantized_relu_po2(3,4)",
)
ODD_ACTIVATIONS: tuple[Any, ...] = (
    obj("quantized_bits", bits=6, integer=2, symmetric=1, alpha=0.3, keep_negative=True),
    "binary(alpha=0.7)",
    "ternary(alpha=0.3)",
    "quantized_ulaw(6,1)",
)
INPUTS: tuple[Any, ...] = (
    "quantized_bits(8,0,1)",
    "quantized_bits(8,0,1,alpha=1)",
    "quantized_bits(4,0,1)",
    "quantized_relu(8,0)",
    "quantized_bits(12,1,1)",
    "binary(alpha=1)",
    "quantized_tanh(7)",
)
PLAIN_WEIGHTS: tuple[Any, ...] = (
    "quantized_bits(8,0,1,alpha=1)",
    "quantized_bits(6,1,1,alpha=1)",
    "quantized_bits(5,0,0,alpha=1)",
    "quantized_bits(4,0,1,alpha=1)",
    "quantized_bits(3,0,1,alpha=1)",
    "quantized_bits(2,0,1,alpha=1)",
    "quantized_bits(1,0,1,alpha=1)",
    "quantized_bits(12,0,1,alpha=1)",
    "quantized_bits(16,0,1,alpha=1)",
    "quantized_bits(20,0,1,alpha=1)",
    "quantized_bits(8,0,1,alpha='auto_po2')",
    "quantized_bits(4,0,1,alpha='auto_po2')",
    obj("quantized_bits", bits=4, integer=0, symmetric=0, alpha=None, keep_negative=True),
    obj("quantized_bits", bits=4, integer=1, symmetric=1, alpha=0.25, keep_negative=True),
    "binary(alpha=1)",
    "binary(alpha='auto_po2')",
    obj("binary", alpha=None),
    "binary(use_01=True,alpha=1)",
    "stochastic_binary(alpha=1)",
    "ternary(alpha=1)",
    "ternary(alpha='auto_po2')",
    obj("ternary", alpha=None, threshold=None),
    "ternary(alpha=1,threshold=0.5)",
    "stochastic_ternary(alpha=1)",
    "quantized_po2(4,1)",
    "quantized_po2(3)",
    "quantized_relu(4,0)",
    "quantized_tanh(4)",
    "quantized_sigmoid(4)",
    "quantized_relu_po2(3,2)",
    "quantized_bits(8,0,keep_negative=False,alpha=1)",
    "quantized_bits(7,0,1,use_stochastic_rounding=True,alpha=1)",
    "quantized_bits(10,0,1,alpha=1)",
)
ODD_WEIGHTS: tuple[Any, ...] = (
    "quantized_bits(8,0,1,alpha='auto')",
    "quantized_bits(4,0,1,alpha='auto')",
    "binary(alpha='auto')",
    "ternary(alpha='auto')",
    obj("quantized_bits", bits=6, integer=0, symmetric=1, alpha=0.3, keep_negative=True),
)
BIASES: tuple[Any, ...] = (
    None,
    "quantized_bits(8,2,1)",
    "quantized_bits(8,2,1,alpha=1)",
    "quantized_bits(16,4,1)",
    "quantized_po2(4,2)",
    "quantized_bits(4,1,1,alpha='auto_po2')",
    "quantized_relu(6,2)",
    "quantized_tanh(5)",
    "binary(alpha=0.5)",
    "ternary(alpha=1)",
)
# Of recurrent layers: state quantizers keep 0; gates lie between 0 and 1, or -1 and 1.
STATES: tuple[Any, ...] = (
    "quantized_bits(8,1,1,alpha=1)",
    "quantized_bits(4,0,1)",
    "quantized_bits(6,1,0,alpha=1)",
    "quantized_bits(2,1,1,alpha=1)",
    "quantized_relu(6,1)",
    "quantized_tanh(6)",
    "ternary(alpha=1)",
)
GATES: tuple[Any, ...] = (
    "quantized_sigmoid(5)",
    "quantized_sigmoid(3,use_real_sigmoid=True)",
    "quantized_tanh(4)",
    "quantized_relu(4,0)",
    "quantized_hswish(6,1)",
    "binary(use_01=True,alpha=1)",
    "binary(alpha=1)",
)
