"""Every quantizer against QKeras itself, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quantizer_cases import ACTIVATIONS, KERNELS, cases

from mcugen.quantizers import parse

pytestmark = pytest.mark.xdist_group("golden")  # one run of TensorFlow for all

BY_QUANTIZER = {
    name: list(found) for name, found in groupby(sorted(cases(), key=lambda case: case[2:0:-1]), key=lambda case: case[2:0:-1])
}


@pytest.fixture(scope="module")
def results(oracle: Path) -> Iterator[Any]:
    with np.load(oracle / "quantizers.npz") as file:
        yield file


def same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_activation(text: str, results: Any) -> None:
    for key, _, _, x in BY_QUANTIZER["activation", text]:
        quantizer = parse(text, "layer")
        assert quantizer is not None
        assert same(quantizer.values(x), results[key])
        codes = quantizer.codes(x)
        reached = (codes.min(), codes.max())
        assert reached == (quantizer.lo, quantizer.hi) or (reached[0] >= quantizer.lo and "hswish" in text)
        if "alpha=0.3" not in text:
            assert same(quantizer.dequantize(codes), results[key])
        if quantizer.monotone:
            assert (np.diff(codes[np.argsort(x, kind="stable")]) >= 0).all()
        if quantizer.linear:
            whole = np.rint(x.astype(np.float64) / quantizer.step)
            assert same(codes, np.clip(whole, quantizer.lo, quantizer.hi).astype(np.int64))
        if quantizer.bipolar:
            assert set(np.unique(codes)) == {-1, 1}


@pytest.mark.parametrize("role", ["kernel", "bias"])
@pytest.mark.parametrize("text", KERNELS)
def test_weights(text: str, role: str, results: Any) -> None:
    for key, _, _, w in BY_QUANTIZER[role, text]:
        quantizer = parse(text, "layer")
        assert quantizer is not None
        found = quantizer.weights(w) if role == "kernel" else quantizer.bias(w)
        assert found.codes.shape == w.shape and found.codes.min() >= found.lo and found.codes.max() <= found.hi
        assert np.broadcast_shapes(found.scale.shape, w.shape) == w.shape
        whole = quantizer.as_kernel() if role == "kernel" else quantizer
        assert same(whole.values(w), results[key])
        if found.exact:
            assert same(found.values, results[key])
        else:  # the straight-through sum of QKeras
            assert same(w + (-w + found.values), results[key])


def test_exact_wherever_scales_are_powers_of_two() -> None:
    for text in KERNELS:
        for _, _, _, w in BY_QUANTIZER["kernel", text]:
            quantizer = parse(text, "layer")
            assert quantizer is not None
            found = quantizer.weights(w)
            mantissas = np.frexp(found.scale[found.scale > 0])[0]
            assert found.exact or not (mantissas == 0.5).all()
