"""Exact changes of grid: values that are known to lie on a grid become its codes, without rounding anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcugen.ir import Float, Int

EXACT = 1 << 24  # codes below this are exact in float32
SAFE = 1 << 21  # codes below this survive a division by a step that is no power of two


@dataclass(frozen=True)
class Align:
    """Stands where a Quantizer may stand at the end of steps; value = code * step, lo <= code <= hi."""

    lo: int
    hi: int
    step: float
    bipolar: bool = False
    monotone: bool = True
    linear: bool = True

    def codes(self, x: Float) -> Int:
        """Codes of float32 values of any shape."""
        scaled = x * np.float32(1.0 / self.step)
        codes: Int = np.clip(np.rint(scaled), self.lo, self.hi).astype(np.int64)
        return codes
