"""How close the embeddings of two formats of one network are."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import McugenError
from mcugen.metrics.embeddings import cosine_scores


@dataclass(frozen=True)
class Fidelity:
    """Cosine between the two embeddings of each image: mean, 1% quantile (linear), minimum; and
    SQNR = 10 log10(sum e_f^2 / sum (e_f - e_q)^2) in dB over all images and components (infinite if equal)."""

    cosine_mean: float
    cosine_q01: float
    cosine_min: float
    sqnr_db: float


def fidelity(reference: NDArray[Any], other: NDArray[Any]) -> Fidelity:
    """Compare (N, D) embeddings of the same N images, `reference` first.

    Raises:
        McugenError: different shapes, no images, or embeddings without direction.
    """
    if np.shape(reference) != np.shape(other) or np.size(reference) == 0:
        raise McugenError(
            "fidelity",
            f"embeddings of shape {np.shape(reference)} and {np.shape(other)}",
            "compare two formats of one network on the same images",
        )
    cosine = cosine_scores(reference, other)
    return Fidelity(
        float(cosine.mean()), float(np.quantile(cosine, 0.01)), float(cosine.min()), _sqnr(reference, other)
    )


def _sqnr(reference: NDArray[Any], other: NDArray[Any]) -> float:
    wide = np.asarray(reference, np.float64)
    scale = float(np.abs(wide).max())  # cancels; keeps the squares in range
    signal = float(np.sum((wide / scale) ** 2))
    noise = float(np.sum((wide / scale - np.asarray(other, np.float64) / scale) ** 2))
    return 10 * log10(signal / noise) if noise else inf
