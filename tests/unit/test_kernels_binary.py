"""Binary convolutions by tables against the reference: odd channels, strides, borders, residuals, bits in and bits out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.engines.host import HostEngine
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Layer, Network
from mcugen.pipeline import compile_graph, lower
from mcugen.quantizers import Quantizer, parse

BOARD = load_board("nucleo-h743zi")
CASES = [  # height, width, channels, filters, kernel, stride, padding, output
    (9, 7, 1, 1, 3, 1, "same", "residual"),
    (5, 5, 3, 3, 3, 1, "same", "residual"),
    (6, 4, 17, 17, 3, 1, "same", "residual"),
    (7, 9, 33, 8, 3, 2, "same", "codes"),
    (8, 8, 40, 24, 3, 2, "valid", "bits"),
    (4, 4, 64, 64, 3, 1, "same", "residual"),
    (3, 3, 128, 40, 3, 1, "same", "bits"),
    (6, 6, 20, 48, 1, 1, "same", "codes"),
    (12, 12, 16, 16, 3, 1, "same", "residual"),
    (1, 1, 5, 9, 3, 1, "same", "counts"),
    (10, 3, 24, 5, 5, 1, "same", "codes"),
]


def quantizer(text: str) -> Quantizer:
    found = parse(text, "test")
    assert found is not None
    return found


def network(case: tuple[Any, ...], words: bool) -> Network:
    height, width, depth, count, kernel, stride, padding, output = case
    rng = np.random.default_rng(depth)
    act, sign = quantizer("quantized_bits(8,2,1,alpha=1)"), quantizer("binary(alpha=1)")
    layers = [Layer("image", "InputLayer", {"shape": (height, width, depth)}, ())]
    layers.append(Layer("x", "QActivation", {"activation": sign if words else act}, ("image",)))
    source = "x"
    if not words:
        layers.append(Layer("sign", "QActivation", {"activation": sign}, ("x",)))
        source = "sign"
    config = {"strides": (stride, stride), "padding": padding, "dilation_rate": (1, 1), "groups": 1, "activation": None,
              "use_bias": False, "kernel_quantizer": sign}  # fmt: skip
    weights = rng.normal(size=(kernel, kernel, depth, count)).astype(np.float32)
    layers.append(Layer("sum", "QConv2D", config, (source,), {"kernel": weights}))
    if output == "counts":
        return Network("net", tuple(layers), ("image",), ("sum",))
    spread = np.sqrt(kernel * kernel * depth)
    values = {"gamma": rng.normal(0.5, 0.8, count), "beta": rng.normal(size=count),
              "moving_mean": rng.normal(0, spread / 4, count), "moving_variance": np.full(count, spread**2)}  # fmt: skip
    layers.append(Layer("norm", "BatchNormalization", {"epsilon": 1e-3, "axis": -1}, ("sum",),
                        {key: value.astype(np.float32) for key, value in values.items()}))  # fmt: skip
    last = "norm"
    if output == "residual" and not words:
        layers.append(Layer("add", "Add", {}, ("x", "norm")))
        last = "add"
    layers.append(Layer("y", "QActivation", {"activation": sign if output == "bits" else act}, (last,)))
    return Network("net", tuple(layers), ("image",), ("y",))


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_tables_equal_reference(case: tuple[Any, ...], words: bool) -> None:
    graph = lower(network(case, words))
    compiled = compile_graph(graph, BOARD)
    assert any(call.kernel.name == "tables" for call in compiled.calls) or np.prod(case[:4]) < 100
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (5, *case[:3])).astype(np.float32)
    values[0], values[1] = 4, -4
    codes = encode_inputs(graph, [values])
    reference = interpret(graph, codes, keep=True)
    for name, found in HostEngine(graph, compiled.sources, sanitize=True).trace(codes).items():
        assert np.array_equal(found, reference[name].reshape(found.shape)), name
