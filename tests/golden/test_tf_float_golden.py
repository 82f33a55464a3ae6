"""The float32 twins against TensorFlow, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from float_cases import arrays

from mcugen.numerics import tf_float

pytestmark = pytest.mark.xdist_group("golden")  # one run of TensorFlow for all


@pytest.mark.parametrize("function", ["rsqrt", "log", "tanh", "sigmoid", "mean"])
def test_equals_tensorflow(function: str, oracle: Path) -> None:
    if function == "rsqrt":
        assert "rsqrtps" in tf_float.rsqrt_source(), "TensorFlow on x86 uses this instruction"
    with np.load(oracle / "floats.npz") as results:
        for name, key, x in arrays():
            if name == function:
                found = getattr(tf_float, name)(x)
                assert np.array_equal(found, results[f"{name}|{key}"]), key
