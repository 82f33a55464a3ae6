"""Packed layers on QEMU, which faults on what the chip faults on: doubles and multiples at addresses that are no words'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import need

from mcugen.boards import load_board
from mcugen.build import link, random_codes
from mcugen.engines import ENGINES
from mcugen.engines.qemu import PROGRAM
from mcugen.interpret import interpret
from mcugen.ir import Layer, Network
from mcugen.pipeline import compile_graph, lower
from mcugen.quantizers import parse
from mcugen.running import DeviceRunner, open_simulated

# Activations into and between the layers, weights, channels: odd ones put pixels at odd addresses.
CASES = (
    ("quantized_bits(8,2,1,alpha=1)", "quantized_bits(4,0,1,alpha=1)", 5),
    ("quantized_relu(4,2)", "quantized_bits(4,0,1,alpha=1)", 13),
    ("quantized_relu(2,1)", "quantized_bits(2,0,1,alpha=1)", 9),
    ("quantized_bits(4,1,1,alpha=1)", "ternary(alpha=1)", 6),
)


def _network(act: str, weights: str, channels: int, rng: Any) -> Network:
    """3x3 with stride 2, depthwise 3x3, pointwise; 9x7 pixels."""
    plain = {"padding": "same", "dilation_rate": (1, 1), "groups": 1, "activation": None, "use_bias": False}
    layers = [Layer("in", "InputLayer", {"shape": (9, 7, channels)}, ())]

    def add(cls: str, config: dict[str, Any], **arrays: Any) -> None:
        found = {key: np.asarray(value, np.float32) for key, value in arrays.items()}
        layers.append(Layer(f"l{len(layers)}", cls, config, (layers[-1].name,), found))

    add("QActivation", {"activation": parse(act, "a")})
    for size, stride, kind in ((3, 2, "conv"), (3, 1, "depthwise"), (1, 1, "conv")):
        config = {**plain, "strides": (stride, stride)}
        if kind == "conv":
            kernel = rng.normal(0, 0.3, (size, size, channels, channels + 1))
            add("QConv2D", {**config, "kernel_quantizer": parse(weights, "w")}, kernel=kernel)
            channels += 1
        else:
            kernel = rng.normal(0, 0.3, (size, size, channels, 1))
            add("QDepthwiseConv2D", {**config, "depthwise_quantizer": parse(weights, "w")}, depthwise_kernel=kernel)
        add("QActivation", {"activation": parse(act, "a")})
    return Network("packed", tuple(layers), ("in",), (layers[-1].name,))


@pytest.mark.parametrize(("number", "case"), list(enumerate(CASES)))
def test_every_layer_equals_the_reference(number: int, case: tuple[str, str, int], tmp_path: Path) -> None:
    need(PROGRAM)
    graph = lower(_network(*case, np.random.default_rng(number)))
    compiled = compile_graph(graph, load_board(ENGINES["qemu"]))
    kernels = {call.kernel.name for call in compiled.calls}
    assert kernels & {"nested", "fields"} and (number == 0 or "packed" in kernels)
    image = link(compiled, tmp_path, "zig" if number % 2 else "gcc")
    runner = DeviceRunner(graph, open_simulated("qemu", image, compiled.sources.digest))
    codes = random_codes(graph, 2, number)
    reference = interpret(graph, codes, keep=True)
    for name, found in runner.trace(codes, reference).items():
        assert np.array_equal(found, reference[name].reshape(found.shape)), name
    assert all(np.ptp(values) > 0 for values in reference.values())
