"""What is dropped because it changes nothing: positive factors before signs, and codes of which only signs are taken."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.build import random_codes
from mcugen.engines.host import HostEngine
from mcugen.interpret import interpret
from mcugen.ir import Network
from mcugen.numerics.epilogue import Threshold, evaluate
from mcugen.pipeline import compile_graph, lower
from mcugen.quantizers import parse
from tests.random_network import NetworkMaker

SHAPE = (5, 4, 6)


def excited(factor: str, last: str = "binary(alpha=1)", seed: int = 3) -> Network:
    """Conv, 8 bits, times a factor by channel (1, 1, C) from a branch of its own, then `last` and a binary convolution."""
    make = NetworkMaker(seed)
    make.extreme = False
    image = make.add("InputLayer", {"shape": SHAPE}, (), SHAPE)
    x = make.activation(image, "quantized_bits(8,0,1)")
    weights = {"strides": (1, 1), "padding": "valid", "dilation_rate": (1, 1), "groups": 1, "activation": None,
               "use_bias": False, "kernel_quantizer": parse("quantized_bits(8,0,1,alpha=1)", "w")}  # fmt: skip
    x = make.add("QConv2D", weights, (x,), SHAPE, kernel=make.kernel((1, 1, 6, 6)))
    x = make.add("PReLU", {}, (make.norm(x),), SHAPE, alpha=make.rng.uniform(0, 0.5, (1, 1, 6)))
    x = make.activation(x, "quantized_bits(8,2,1,alpha=1)")
    branch = make.add("QConv2D", weights, (x,), (1, 1, 6), kernel=make.kernel((5, 4, 6, 6)))
    branch = make.activation(branch, factor)
    x = make.add("Multiply", {}, (x, branch), SHAPE)
    x = make.activation(x, last)
    x = make.add("QConv2D", {**weights, "kernel_quantizer": parse("binary(alpha=1)", "w")}, (x,), SHAPE,
                 kernel=make.kernel((1, 1, 6, 6)))  # fmt: skip
    return Network("excited", tuple(make.layers), (image,), (x,))


def test_a_positive_factor_before_a_sign_goes_with_its_branch() -> None:
    graph = lower(excited("quantized_sigmoid(8,symmetric=True)"))
    assert [node.op for node in graph.nodes] == ["input", "conv2d", "conv2d"]


@pytest.mark.parametrize(
    ("factor", "last"),
    [("quantized_sigmoid(8)", "binary(alpha=1)"), ("quantized_tanh(8,symmetric=True)", "binary(alpha=1)"),
     ("quantized_sigmoid(8,symmetric=True)", "ternary(alpha=1)")],
)  # fmt: skip
def test_a_factor_that_may_matter_stays(factor: str, last: str) -> None:
    graph = lower(excited(factor, last))
    assert [node.op for node in graph.nodes].count("conv2d") == 3
    codes = random_codes(graph, 4)
    compiled = compile_graph(graph, load_board("nucleo-h743zi"))
    wanted = interpret(graph, codes)[graph.outputs[0]]
    assert np.array_equal(HostEngine(graph, compiled.sources).run(codes)[0], wanted)


def test_the_sign_of_codes_is_one_threshold_on_the_sum() -> None:
    graph = lower(excited("quantized_sigmoid(8,symmetric=True)"))
    node = graph.nodes[1]
    epilogue = node.attrs["epilogue"]
    assert "codes" in [step.kind for step in epilogue.steps] and isinstance(epilogue.form, Threshold)
    lo, hi = int(node.attrs["acc_lo"].min()), int(node.attrs["acc_hi"].max())
    acc = np.arange(lo, hi + 1)[:, None].repeat(node.type.channels, axis=1)
    reachable = (acc >= node.attrs["acc_lo"]) & (acc <= node.attrs["acc_hi"])
    wanted = evaluate(epilogue.steps, acc.astype(np.float32))
    found = np.where((acc >= epilogue.form.threshold) != epilogue.form.flip, 1, -1)
    assert (found == wanted)[reachable].all()


@pytest.mark.parametrize("seed", [3, 4])
def test_host_equals_reference_with_and_without_the_integer_form(seed: int) -> None:
    graph = lower(excited("quantized_sigmoid(8,symmetric=True)", seed=seed))
    sign = graph.nodes[1]
    bare = sign.but(attrs={**sign.attrs, "epilogue": type(sign.attrs["epilogue"])(sign.attrs["epilogue"].steps)})
    plain = type(graph)("plain", (graph.nodes[0], bare, graph.nodes[2]), graph.inputs, graph.outputs)
    codes = random_codes(graph, 4)
    wanted = interpret(plain, codes)[graph.outputs[0]]
    assert np.unique(wanted).size > 2
    for each in (graph, plain):
        compiled = compile_graph(each, load_board("nucleo-h743zi"))
        assert np.array_equal(HostEngine(each, compiled.sources).run(codes)[0], wanted)
