"""The quantizers and inputs that the golden test compares with QKeras; also imported by its TensorFlow side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ACTIVATIONS = [
    "binary",
    "binary(alpha=1)",
    "binary(alpha=0.5)",
    "binary(use_01=True,alpha=1)",
    "binary(1)",
    "stochastic_binary",
    "stochastic_binary(alpha=2)",
    "stochastic_ternary(alpha=1)",
    "stochastic_ternary",
    "ternary",
    "ternary(threshold=0.5)",
    "ternary(alpha=0.25,threshold=0.7)",
    "quantized_bits",
    "quantized_bits(1,0)",
    "quantized_bits(1,3,alpha=0.5)",
    "quantized_bits(1,1,keep_negative=False)",
    "quantized_bits(2,1,1)",
    "quantized_bits(3,0,0,alpha=1)",
    "quantized_bits(4,0,1)",
    "quantized_bits(8,2,1,alpha=1.0)",
    "quantized_bits(8,2,1,alpha=0.3)",
    "quantized_bits(8,3,keep_negative=False)",
    "quantized_bits(8,0,1,use_stochastic_rounding=True)",
    "quantized_bits(16,5)",
    "quantized_bits(16,6,1)",
    "quantized_relu",
    "quantized_relu(1)",
    "quantized_relu(1,1)",
    "quantized_relu(4,2)",
    "quantized_relu(8,8)",
    "quantized_relu(8,10)",
    "quantized_relu(16,4)",
    "quantized_relu(6,2,negative_slope=0.25)",
    "quantized_relu(4,1,0,0.125)",
    "quantized_relu(2,0,0,0.125)",
    "quantized_relu(8,2,negative_slope=1.0)",
    "quantized_relu(8,2,negative_slope=2.0)",
    "quantized_relu(6,3,use_sigmoid=1)",
    "quantized_relu(4,0,1)",
    "quantized_relu(4,2,use_stochastic_rounding=True)",
    "quantized_relu(6,3,relu_upper_bound=6.0)",
    "quantized_relu(6,3,relu_upper_bound=6.0,is_quantized_clip=False)",
    "quantized_relu(6,3,is_quantized_clip=False)",
    "quantized_relu(6,3,negative_slope=0.5,relu_upper_bound=2.0,is_quantized_clip=False)",
    "quantized_tanh",
    "quantized_tanh(4)",
    "quantized_tanh(5,symmetric=True)",
    "quantized_tanh(1)",
    "quantized_sigmoid(4)",
    "quantized_sigmoid(8,symmetric=1)",
    "quantized_tanh(5,use_real_tanh=True)",
    "quantized_sigmoid(6,use_real_sigmoid=True)",
    "quantized_sigmoid(5,True,True)",
    "quantized_hswish(8,3)",
    "quantized_hswish(6,2,1,relu_shift=2,relu_upper_bound=5)",
    "quantized_hswish(8,3,alpha=0.5)",
    "quantized_ulaw(6)",
    "quantized_ulaw(4,1,1,100.0)",
    "quantized_po2(4)",
    "quantized_po2(3,2)",
    "quantized_po2(4,4)",
    "quantized_po2(4,log2_rounding='floor')",
    "quantized_po2(4,quadratic_approximation=True)",
    "quantized_relu_po2(3)",
    "quantized_relu_po2(4,4)",
    "quantized_relu_po2(3,negative_slope=0.25)",
    "quantized_relu_po2(3,2,0.125)",
]

KERNELS = [
    "binary",
    "binary(alpha=1)",
    "binary(alpha='auto')",
    "binary(alpha='auto_po2')",
    "binary(use_01=True)",
    "stochastic_binary",
    "stochastic_binary(alpha='auto')",
    "ternary",
    "ternary(alpha='auto')",
    "ternary(alpha='auto_po2',number_of_unrolls=3)",
    "ternary(alpha='auto',use_stochastic_rounding=True)",
    "ternary(alpha=1,threshold=0.25)",
    "stochastic_ternary",
    "stochastic_ternary(alpha='auto')",
    "quantized_bits(2,0)",
    "quantized_bits(3,0,0)",
    "quantized_bits(4,0,1,alpha=1)",
    "quantized_bits(4,0,1,alpha=0.3)",
    "quantized_bits(4,1,1,alpha='auto')",
    "quantized_bits(8,0,1,alpha='auto')",
    "quantized_bits(8,0,1,alpha='auto',keep_negative=False)",
    "quantized_bits(4,3,1,alpha='auto_po2')",
    "quantized_bits(8,2)",
    "quantized_bits(16,0)",
    "quantized_bits(6,1,keep_negative=False)",
    "quantized_po2(4)",
    "quantized_po2(4,1)",
    "quantized_po2(3,2)",
    "quantized_relu_po2(3)",
    "quantized_relu(4,0)",
    "quantized_tanh(4)",
]

SHAPES = [(3, 3, 5, 7), (3, 3, 8, 1), (1, 1, 16, 24), (40, 10), (5, 3, 4), (9,), (1,), (3, 3, 3, 2)]


def activation_inputs() -> npt.NDArray[np.float32]:
    """About 26 thousand floats: dense grids with all ties, values a few ulps around them, random magnitudes."""
    rng = np.random.default_rng(7)
    grid = np.arange(-2048, 2049, dtype=np.float64) / 64
    fine = np.arange(-4096, 4097, dtype=np.float64) / 32768
    ties = np.concatenate([grid, fine]).astype(np.float32)
    near = np.concatenate([np.nextafter(ties, np.float32(np.inf)), np.nextafter(ties, np.float32(-np.inf))])
    wide = rng.normal(size=4000) * np.exp2(rng.uniform(-22, 10, 4000))
    roots = np.exp2(np.arange(-40, 20) / 2).astype(np.float32)
    special = np.asarray([0.0, -0.0, 0.33, -0.33, 1e-7, 1.2e-7, 9e-8, 1e-9, 6.0, 3.0], np.float32)
    around = [roots, -roots, np.nextafter(roots, np.float32(9)), np.nextafter(roots, np.float32(0)), special]
    return np.concatenate([ties, near, wide.astype(np.float32), *around]).astype(np.float32)


def kernel_inputs() -> dict[str, npt.NDArray[np.float32]]:
    """Kernels of several ranks: normal, uniform on a coarse grid (ties), with a channel of zeros, and all zero."""
    rng = np.random.default_rng(11)
    kernels: dict[str, npt.NDArray[np.float32]] = {}
    for number, shape in enumerate(SHAPES):
        normal = (rng.normal(size=shape) * 0.3).astype(np.float32)
        coarse = (rng.integers(-32, 33, size=shape) / 32).astype(np.float32)
        kernels[f"normal{number}"], kernels[f"coarse{number}"] = normal, coarse
        with_zeros = normal.copy()
        with_zeros[..., 0] = 0
        kernels[f"zeros{number}"] = with_zeros
    kernels["tiny"] = (rng.normal(size=(3, 3, 4, 4)) * 1e-4).astype(np.float32)
    kernels["large"] = (rng.normal(size=(3, 3, 4, 4)) * 50).astype(np.float32)
    return kernels


def biases() -> dict[str, npt.NDArray[np.float32]]:
    return {name: value for name, value in kernel_inputs().items() if value.ndim == 1}


def cases() -> list[tuple[str, str, str, Any]]:
    """All comparisons: key, quantizer, role ("activation", "kernel", "bias"), input."""
    x = activation_inputs()
    found: list[tuple[str, str, str, Any]] = [(f"activation {text}", text, "activation", x) for text in ACTIVATIONS]
    found += [(f"kernel {text} {name}", text, "kernel", w) for text in KERNELS for name, w in kernel_inputs().items()]
    found += [(f"bias {text} {name}", text, "bias", b) for text in KERNELS for name, b in biases().items()]
    return found
