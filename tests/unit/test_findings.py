"""What `mcugen check` tells: all refusals, lost settings, wasted bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mcugen.commands.check import say
from mcugen.errors import McugenError
from mcugen.findings import Finding, find, lost, refusals
from mcugen.ir import Graph, Layer, Network
from mcugen.numerics.exactness import promised
from mcugen.pipeline import lower
from mcugen.quantise import InputGrid
from mcugen.quantizers import parse

ALPHA = "quantized_bits(8,0,1,alpha=1)"


def layer(name: str, class_name: str, source: str, config: dict[str, Any], **weights: Any) -> Layer:
    arrays = {key: np.asarray(value, np.float32) for key, value in weights.items()}
    return Layer(name, class_name, config, (source,) if source else (), arrays)


def conv(name: str, source: str, kernel: Any, quantizer: str | None = ALPHA) -> Layer:
    config = {"kernel_size": (1, 1), "strides": (1, 1), "padding": "valid", "dilation_rate": (1, 1), "groups": 1,
              "use_bias": False, "bias_quantizer": None, "activation": None, "filters": np.shape(kernel)[-1],
              "kernel_quantizer": parse(quantizer, name)}  # fmt: skip
    return layer(name, "QConv2D" if quantizer else "Conv2D", source, config, kernel=kernel)


def act(name: str, source: str, quantizer: str) -> Layer:
    return layer(name, "QActivation", source, {"activation": parse(quantizer, name)})


def network(*layers: Layer) -> Network:
    first = Layer("image", "InputLayer", {"shape": (4, 4, 2)}, ())
    return Network("sample", (first, *layers), ("image",), (layers[-1].name,))


KERNEL = np.linspace(-0.9, 0.9, 6).reshape(1, 1, 2, 3)


def test_every_refusal_is_listed() -> None:
    relu = {"max_value": None, "negative_slope": 0.0, "threshold": 1.0}
    last = act("three", "two", "quantized_relu(4,1)")
    model = network(conv("one", "image", KERNEL, None), layer("two", "ReLU", "one", relu), last)
    found = refusals(model, lower)
    assert {finding.layer for finding in found} == {"one", "two"}
    assert any("not quantized" in finding.cause for finding in found)
    assert all(finding.remedy for finding in found)


def test_an_accepted_model_has_no_refusals() -> None:
    assert refusals(network(conv("one", "image", KERNEL), act("two", "one", "quantized_relu(4,1)")), lower) == []


def test_plain_weights_are_quantized_on_request() -> None:
    def made(quantizer: str | None, grid: InputGrid) -> Graph:
        return lower(network(conv("one", "image", KERNEL, quantizer), act("two", "one", "quantized_relu(4,1)")), grid)

    plain, asked = made(None, InputGrid(weights=parse(ALPHA, "--plain-weights"))), made(ALPHA, InputGrid())
    assert (plain["two"].attrs["weights"] == asked["two"].attrs["weights"]).all()
    assert not promised(plain) & {"two"} and "two" in promised(asked)
    remedies = [each.remedy for each in find(plain) if each.kind == "inexact"]
    assert remedies == ["use the QKeras layer with kernel_quantizer=... and train with it"]
    with pytest.raises(McugenError, match=r"one: its weights are not quantized; use the QKeras layer .*--plain-weights"):
        made(None, InputGrid())


def test_lost_settings() -> None:
    model = network(conv("one", "image", KERNEL), act("two", "one", "quantized_relu(4,2,relu_upper_bound=1)"))
    assert [finding.layer for finding in lost(model) if "is_quantized_clip" in finding.cause] == ["two"]
    config = {"depthwise_quantizer": parse("quantized_bits(4,0,1,alpha='auto')", "d")}
    depthwise = layer("d", "QDepthwiseConv2D", "image", config)
    assert any("scale_axis" in finding.cause for finding in lost(network(depthwise)))
    assert lost(network(conv("one", "image", KERNEL))) == []


def causes(model: Network) -> str:
    return " | ".join(f"{finding.kind} {finding.cause}" for finding in find(lower(model)))


def test_wasted_bits() -> None:
    dead = KERNEL.copy()
    dead[..., 1] = 0
    assert "1 of 3 output channels have only zero weights" in causes(network(conv("one", "image", dead)))
    few = np.tile([0.5, -0.5], (1, 1, 2, 256))
    assert "use 2 of 255 levels" in causes(network(conv("one", "image", few)))
    saturated = np.full((1, 1, 2, 3), 5.0)
    assert "100% of its weights are saturated" in causes(network(conv("one", "image", saturated)))
    narrow = network(conv("one", "image", KERNEL), act("two", "one", "quantized_bits(8,6,1,alpha=1)"))
    assert "its codes stay within" in causes(narrow)
    wide = network(conv("one", "image", KERNEL), act("two", "one", "quantized_bits(8,0,1,alpha=1)"))
    assert "wasted" not in causes(wide)


def test_inexact_layers_name_their_cause() -> None:
    model = network(conv("one", "image", KERNEL, "quantized_bits(8,0,1,alpha='auto')"), act("two", "one", "quantized_relu(8,2)"))
    assert "weight scale is no power of two" in causes(model)
    odd = replace(model, layers=(*model.layers[:-1], act("two", "one", "binary(alpha=0.7)")))
    assert "its step 0.7 is no power of two" in causes(odd)


def test_layers_of_one_cause_share_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say([Finding("lost", "one", "a", "b"), Finding("lost", "two", "c", "b"), Finding("lost", "three", "a", "b")])
    assert capsys.readouterr().out.splitlines() == ["lost: one, three: a; b", "lost: two: c; b"]
