"""The float functions at the end of a model: close to the truth, and the same bits in C."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcugen.errors import McugenError
from mcugen.interpret import interpret
from mcugen.ir import Layer, Network
from mcugen.normalise import normalise
from mcugen.ops.curve import exp
from mcugen.pipeline import lower
from tests.fuzzing.batch import HostBatch, compiled

CLASSES = {"softmax": ("Softmax", {"axis": -1}), "l2": ("UnitNormalization", {"axis": -1}),
           "sigmoid": ("Activation", {"activation": "sigmoid"}), "tanh": ("Activation", {"activation": "tanh"})}  # fmt: skip


def test_exp_is_within_four_ulps() -> None:
    x = -np.abs(np.random.default_rng(0).normal(0, 20, 100_000)).clip(0, 87).astype(np.float32)
    truth = np.exp(x.astype(np.float64))
    assert (np.abs(exp(x) - truth) <= 4 * np.spacing(truth.astype(np.float32))).all()
    assert exp(np.float32([0, -1000])).tolist() == [1, exp(np.float32([-87]))[0]]


def network(curve: str) -> Network:
    class_name, config = CLASSES[curve]
    layers = (Layer("image", "InputLayer", {"shape": (2, 3, 5)}, ()), Layer("end", class_name, config, ("image",)))
    return Network(f"curve_{curve}", layers, ("image",), ("end",))


def test_c_gives_the_same_bits() -> None:
    graphs = [replace(lower(network(curve)), name=f"curve_{curve}") for curve in CLASSES]
    batch = HostBatch([compiled(graph) for graph in graphs], sanitize=True)
    codes = np.random.default_rng(1).integers(-128, 128, (20, 2, 3, 5))
    codes[0] = 0
    for number, graph in enumerate(graphs):
        found = interpret(graph, [codes])["end"]
        assert np.isfinite(found).all()
        assert np.array_equal(batch.trace(number, [codes])["end"], found)
    x = codes / 128
    softmax = interpret(graphs[0], [codes])["end"]
    assert np.allclose(softmax, np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True), atol=1e-6)
    assert np.allclose(interpret(graphs[3], [codes])["end"], np.tanh(x), atol=1e-6)


def test_nothing_may_follow() -> None:
    base = network("tanh")
    more = replace(base, layers=(*base.layers, Layer("again", "ReLU", {"negative_slope": 0.0, "max_value": None}, ("end",))))
    with pytest.raises(McugenError, match="only the end of a model"):
        normalise(replace(more, outputs=("again",)))
