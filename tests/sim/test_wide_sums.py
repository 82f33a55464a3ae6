"""Sums beyond 32 bits: 16-bit weights on 16-bit activations, on every engine and against QKeras."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.build import link, random_codes
from mcugen.interpret import interpret
from mcugen.ir import Graph
from mcugen.load import load
from mcugen.pipeline import compile_graph, lower
from mcugen.reference import golden
from mcugen.running import DeviceRunner, open_runner, open_simulated
from mcugen.verify import verify
from tests.tools import need_qkeras
from tests.unit.model_files import bits, conv, functional, image, layer, write_h5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Positive codes up to 65535, so that sums pass 2^32, and weights of both signs."""
    relu = {"activation": "quantized_relu(16,2)", "kernel_quantizer": bits(16), "bias_quantizer": bits(16, integer=2)}
    depthwise = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "depth_multiplier": 1, "use_bias": False,
                 "data_format": "channels_last", "dilation_rate": [1, 1], "activation": "quantized_relu(16,3)"}  # fmt: skip
    layers = [
        image((6, 6, 3)),
        layer("QActivation", "in_q", ["image"], activation=bits(16)),
        conv("conv", "in_q", 4, **relu),
        layer("QDepthwiseConv2D", "depth", ["conv"], depthwise_quantizer=bits(16), **depthwise),
        layer("Flatten", "flat", ["depth"], data_format="channels_last"),
        layer("QDense", "dense", ["flat"], units=5, kernel_quantizer=bits(16), use_bias=True, bias_quantizer=bits(16, integer=2)),
    ]
    rng = np.random.default_rng(3)
    shapes = {"conv": {"kernel": (3, 3, 3, 4), "bias": (4,)}, "depth": {"depthwise_kernel": (3, 3, 4, 1)},
              "dense": {"kernel": (144, 5), "bias": (5,)}}  # fmt: skip
    weights = {
        name: {key: rng.uniform(-0.3, 0.99, shape).astype(np.float32) for key, shape in items.items()}
        for name, items in shapes.items()
    }
    return write_h5(tmp_path_factory.mktemp("wide") / "m.h5", functional(layers), weights)


@pytest.fixture(scope="module")
def graph(model: Path) -> Graph:
    graph = lower(load(model))
    assert all(node.wide for node in graph.nodes if node.op in ("conv2d", "depthwise"))
    return graph


def test_host_equals_reference(graph: Graph) -> None:
    codes = random_codes(graph, 8)
    codes[0][0], codes[0][1] = graph[graph.inputs[0]].type.lo, graph[graph.inputs[0]].type.hi
    reference = interpret(graph, codes, keep=True)
    assert verify(graph, "host", reference, open_runner(graph, "host").trace(codes, reference), None).passed
    wide = [np.abs(reference[name]).max() for name in ("conv", "depth")]
    assert min(wide) > 1 << 15  # what is compared are not only zeros and saturated codes


@pytest.mark.parametrize(("toolchain", "goal"), [("gcc", "time"), ("zig", "ram")])
def test_device_equals_reference(graph: Graph, tmp_path: Path, toolchain: str, goal: str) -> None:
    compiled = compile_graph(graph, load_board("nucleo-h743zi"), goal)
    runner = DeviceRunner(graph, open_simulated("unicorn", link(compiled, tmp_path, toolchain), compiled.sources.digest))
    codes = random_codes(graph, 3)
    reference = interpret(graph, codes, keep=True)
    assert verify(graph, "unicorn", reference, runner.trace(codes, reference), None).passed


MAKE = """
import sys, numpy as np, tf_keras
from qkeras import QActivation, QConv2D, QDense, quantized_bits, quantized_relu
bits = quantized_bits(16, 0, 1, alpha=1)
image = tf_keras.Input((8, 8, 3))
x = QActivation(quantized_bits(16, 0, 1))(image)
x = QConv2D(6, 3, kernel_quantizer=bits, bias_quantizer=quantized_bits(16, 2, 1), activation=quantized_relu(16, 2))(x)
x = QDense(5, kernel_quantizer=bits, bias_quantizer=quantized_bits(16, 2, 1))(tf_keras.layers.Flatten()(x))
tf_keras.utils.set_random_seed(0)
model = tf_keras.Model(image, x)
model.set_weights([np.random.default_rng(i).uniform(-.9, .99, w.shape) for i, w in enumerate(model.get_weights())])
model.save(sys.argv[1])
"""


def test_reference_is_near_qkeras(tmp_path: Path) -> None:
    """QKeras adds in float32, in an order of its own: no two sums are promised equal, all are close."""
    need_qkeras()
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    path = tmp_path / "m.h5"
    subprocess.run([sys.executable, "-c", MAKE, str(path)], check=True, timeout=300, env=environment, capture_output=True)
    graph = lower(load(path))
    assert all(node.wide for node in graph.nodes if node.op == "conv2d")
    codes = random_codes(graph, 4)
    found = interpret(graph, codes)[graph.outputs[0]]
    expected = golden(path, (codes[0] / 2**15).astype(np.float32))[graph.outputs[0]]
    assert np.abs(expected).max() > 5 and 0 < np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
