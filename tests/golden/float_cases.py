"""Inputs on which `mcugen.numerics.tf_float` must equal TensorFlow: (function, key, array)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

LENGTHS = [*range(1, 40), 63, 64, 65, 100, 1000, 1023, 4099]
SHAPES = [(4, 4), (40, 10), (100, 16), (17, 24), (3, 3, 5, 7), (3, 3, 64, 1), (3, 3, 300, 1), (1, 1, 16, 24), (9000, 1),
          (70, 33), (5000, 3), (2, 8), (15, 8), (16, 8), (31, 9)]  # fmt: skip


def arrays() -> Iterator[tuple[str, str, npt.NDArray[np.float32]]]:
    rng = np.random.default_rng(3)
    for length in LENGTHS:
        yield "rsqrt", str(length), np.exp2(rng.uniform(-24, 24, length)).astype(np.float32)
        yield "log", str(length), np.exp2(rng.uniform(-24, 24, length)).astype(np.float32)
        for name in ("tanh", "sigmoid"):
            yield name, str(length), (rng.normal(size=length) * np.exp2(rng.uniform(-8, 6, length))).astype(np.float32)
    ends = np.asarray([0, 1e-30, 8, 17, 87, 88, 104, 200, 1e5, 1e10, 1e20, 3e38], np.float32)
    for name in ("tanh", "sigmoid"):
        yield name, "ends", np.concatenate([ends, -ends, ends[:7]])
        yield name, "many", (rng.normal(size=80000) * np.exp2(rng.uniform(-12, 6, 80000))).astype(np.float32)
    yield "log", "many", np.exp2(rng.uniform(-100, 100, 80000)).astype(np.float32)
    for shape in SHAPES:
        yield "mean", str(shape), rng.normal(size=shape).astype(np.float32)
