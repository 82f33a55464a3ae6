"""The loader against Keras: the same weights, quantized as the layers do it, from .h5 and .keras alike."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen.ir import Network
from mcugen.load import load
from mcugen.reference import golden

pytestmark = pytest.mark.xdist_group("golden")  # one run of TensorFlow for all

NAMES = ["every2d", "plain2d", "sequential", "nested", "branches", "frozen", *(f"random{seed}" for seed in range(12))]
QUANTIZER_OF = {
    "kernel": "kernel_quantizer",
    "depthwise_kernel": "depthwise_quantizer",
    "pointwise_kernel": "pointwise_quantizer",
    "bias": "bias_quantizer",
    "gamma": "gamma_quantizer",
    "beta": "beta_quantizer",
    "moving_mean": "mean_quantizer",
    "moving_variance": "variance_quantizer",
}
AS_ACTIVATION = ("bias", "beta", "moving_mean")


@pytest.mark.parametrize("kind", ["h5", "keras"])
@pytest.mark.parametrize("name", NAMES)
def test_weights_are_those_of_keras(name: str, kind: str, oracle: Path) -> None:
    network = load(oracle / f"{name}.{kind}")
    with np.load(oracle / f"{name}.npz") as file:
        wanted = {key: file[key] for key in file.files if not key.endswith(("|iteration", "||"))}
    found: dict[str, Any] = {}
    for layer in network.layers:
        if "@" in layer.name:
            continue
        for weight, value in layer.weights.items():
            key = f"{layer.name}|{weight}"
            found[key] = value
            quantizer = layer.config.get(QUANTIZER_OF.get(weight, ""))
            if quantizer is not None and f"{key}|q" in wanted:
                done = quantizer.bias(value) if weight in AS_ACTIVATION else quantizer.weights(value)
                found[f"{key}|q"] = done.values if done.exact else value + (-value + done.values)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert np.array_equal(found[key], value), key


def without_digest(network: Network) -> list[Any]:
    return [(layer.name, layer.class_name, dict(layer.config), layer.inputs) for layer in network.layers]


FORMATS = [(name, ".keras") for name in NAMES] + [(name, f"_{kind}.json") for name in NAMES[:6] for kind in ("listed", "new")]


@pytest.mark.parametrize(("name", "other"), FORMATS)
def test_all_formats_give_the_same_network(name: str, other: str, oracle: Path) -> None:
    one, two = load(oracle / f"{name}.h5"), load(oracle / f"{name}{other}")
    assert without_digest(one) == without_digest(two)
    assert dataclasses.replace(one, layers=(), digest="") == dataclasses.replace(two, layers=(), digest="")
    for a, b in zip(one.layers, two.layers, strict=True):
        assert a.weights.keys() == b.weights.keys()
        assert all(np.array_equal(a.weights[key], b.weights[key]) for key in a.weights)


def test_saved_model_directories_are_converted(oracle: Path) -> None:
    one, two = load(oracle / "saved_model"), load(oracle / "sequential.h5")
    assert without_digest(one) == without_digest(two) and one.digest != two.digest
    for a, b in zip(one.layers, two.layers, strict=True):
        assert all(np.array_equal(a.weights[key], b.weights[key]) for key in b.weights)


@pytest.mark.parametrize("name", ["every2d.keras", "nested.keras", "every2d_listed.json", "nested_new.json"])
def test_golden_runs_keras_archives_and_json_in_batches(name: str, oracle: Path) -> None:
    path = oracle / name
    network = load(path)
    with np.load(oracle / f"{name.partition('.')[0].partition('_')[0]}.npz") as file:
        wanted = {key[:-2]: file[key] for key in file.files if key.endswith("||")}
    inputs = {key: np.concatenate([wanted[key]] * 2)[:3] for key in network.inputs}
    seen: list[tuple[int, int]] = []
    found = golden(path, inputs, layers=True, batch=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 3), (3, 3)]
    assert set(found) == {layer.name for layer in network.layers} == set(wanted)
    for key, value in found.items():
        assert value.dtype == np.float32 and len(value) == 3
        assert np.array_equal(value[:2], wanted[key]), key
