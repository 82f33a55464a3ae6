"""Embeddings and their cosine scores; refuses embeddings no score can be computed from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import McugenError

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


def check_embeddings(embeddings: NDArray[Any], names: Sequence[str], model: str = "embeddings") -> NDArray[Any]:
    """`embeddings` as it came, if it is one finite non-zero vector (D,) for each of the N `names`.

    Raises:
        McugenError: another shape than (N, D), or the first name whose vector has NaN, infinity or length zero.
    """
    array = np.asarray(embeddings)
    if array.ndim != 2 or array.shape[0] != len(names) or array.shape[1] == 0 or array.dtype.kind not in "fiu":
        raise McugenError(
            model,
            f"gave {array.dtype} values of shape {array.shape} for {len(names)} images",
            f"make the model give one vector an image, shape ({len(names)}, D)",
        )
    broken = ~np.isfinite(array).all(axis=1)
    if broken.any():
        raise McugenError(
            model,
            f"the embedding of {names[int(np.argmax(broken))]} has NaN or infinity "
            f"({int(broken.sum())} of {len(names)} images)",
            "check the model and its input range",
        )
    empty = ~array.astype(bool).any(axis=1)
    if empty.any():
        raise McugenError(
            model,
            f"the embedding of {names[int(np.argmax(empty))]} is zero, so it has no direction "
            f"({int(empty.sum())} of {len(names)} images)",
            "check the model's last layers",
        )
    return array


def unit_vectors(embeddings: NDArray[Any]) -> Scores:
    """(N, D) finite non-zero vectors scaled to length 1, in float64 (no overflow: scaled by their maximum first)."""
    array = np.asarray(embeddings, np.float64)
    array = array / np.abs(array).max(axis=1, keepdims=True)
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True))


def cosine_scores(first: NDArray[Any], second: NDArray[Any]) -> Scores:
    """Cosine similarity (N,) of the rows of two (N, D) arrays, within [-1, 1].

    Raises:
        McugenError: different shapes, or a row that has no direction.
    """
    if np.shape(first) != np.shape(second):
        raise McugenError(
            "cosine",
            f"shapes {np.shape(first)} and {np.shape(second)} differ",
            "compare vectors of the same length, as many on both sides",
        )
    rows = [f"row {row}" for row in range(len(first))]
    a, b = (unit_vectors(check_embeddings(side, rows, "cosine")) for side in (first, second))
    return np.asarray(np.clip(np.sum(a * b, axis=1), -1.0, 1.0), np.float64)


def all_pair_scores(unit: Scores, people: Sequence[str]) -> tuple[Scores, Flags]:
    """Scores and labels (same person) of every two different images, n (n - 1) / 2 of each.

    Args:
        unit: (n, D) vectors of length 1.
        people: the person of each row.
    """
    rows, columns = np.triu_indices(len(unit), k=1)
    labels = np.unique(np.asarray(people), return_inverse=True)[1]
    scores = np.clip(unit @ unit.T, -1.0, 1.0)[rows, columns]
    return scores, labels[rows] == labels[columns]
