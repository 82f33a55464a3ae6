"""ROC and what is read from it: AUC, equal error rate, true accepts at a given false accept rate.

A pair is accepted as "same person" if score >= threshold. FAR is the share of impostor (different person) pairs that
are accepted, TAR the share of genuine (same person) pairs that are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import McugenError
from mcugen.metrics.embeddings import Flags, Indices, Scores

_ROUNDING = 1e-9  # so that 0.29 * 100 counts as 29


@dataclass(frozen=True)
class Accepted:
    """How many pairs each threshold accepts; first entry: threshold +infinity, none; last: the lowest score, all.

    `threshold` (K,) falls strictly; `genuine` and `impostor` (K,) are counts.
    """

    threshold: Scores
    genuine: Indices
    impostor: Indices

    @property
    def far(self) -> Scores:
        return np.asarray(self.impostor / self.impostor[-1], np.float64)

    @property
    def tar(self) -> Scores:
        return np.asarray(self.genuine / self.genuine[-1], np.float64)


def check_scores(scores: NDArray[Any], same: NDArray[Any]) -> tuple[Scores, Flags]:
    """Scores (N,) and labels (N,), if they can be judged.

    Raises:
        McugenError: different or wrong shapes, NaN or infinity, labels other than true and false, or one class only.
    """
    values, labels = np.asarray(scores, np.float64), np.asarray(same)
    if values.ndim != 1 or values.shape != labels.shape or values.size == 0:
        raise McugenError(
            "scores", f"shape {values.shape} for labels of shape {labels.shape}", "give one score and one label a pair"
        )
    if not np.isfinite(values).all():
        raise McugenError(
            "scores",
            f"{int((~np.isfinite(values)).sum())} of {values.size} are NaN or infinite",
            "check the embeddings",
        )
    if not np.isin(labels, (0, 1)).all():
        raise McugenError("labels", "are not all true or false", "label each pair as same person or not")
    flags = labels.astype(bool)
    if flags.all() or not flags.any():
        kind = "same" if flags.all() else "different"
        raise McugenError("pairs", f"all {flags.size} show {kind} persons", "give pairs of both classes")
    return values, flags


def roc(scores: NDArray[Any], same: NDArray[Any]) -> Accepted:
    """The ROC with every distinct score as a threshold: points (far, tar) from (0, 0) to (1, 1)."""
    values, flags = check_scores(scores, same)
    distinct, place = np.unique(-values, return_inverse=True)
    genuine = np.bincount(place[flags], minlength=distinct.size)
    impostor = np.bincount(place[~flags], minlength=distinct.size)
    threshold = np.concatenate([[np.inf], -distinct])
    return Accepted(threshold, _running(genuine), _running(impostor))


def _running(counts: NDArray[Any]) -> Indices:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def auc(curve: Accepted) -> float:
    """Area under the ROC: P(genuine > impostor) + P(equal) / 2, counted in integers (exact up to the last division)."""
    genuine, impostor = np.diff(curve.genuine), np.diff(curve.impostor)
    wins = int(np.sum(curve.genuine[:-1] * impostor)) * 2 + int(np.sum(genuine * impostor))
    return wins / (2 * int(curve.genuine[-1]) * int(curve.impostor[-1]))


def equal_error_rate(curve: Accepted) -> float:
    """The rate where FAR = FRR (= 1 - TAR), on the straight line between the two ROC points around it."""
    excess = curve.far - (1.0 - curve.tar)  # rises from -1 to 1
    after = int(np.argmax(excess >= 0))
    low, high = excess[after - 1], excess[after]
    part = -low / (high - low)
    return float(curve.far[after - 1] + part * (curve.far[after] - curve.far[after - 1]))


@dataclass(frozen=True)
class Operating:
    """An operating point: accept if score > `impostor_score`; `far` is what was measured, at most what was asked."""

    far: float
    tar: float
    impostor_score: float


def least_impostors(far: float) -> int:
    """Impostor pairs it takes to measure `far`: ten must be above the threshold, so 10 / far."""
    if not 0 < far < 1:
        raise McugenError("FAR", f"{far} is not a rate between 0 and 1", "ask for a rate such as 0.01")
    return int(np.ceil(10 / far - _ROUNDING))


def tar_at_far(curve: Accepted, far: float) -> Operating:
    """True accept rate where at most the share `far` of the impostors is accepted.

    The threshold is the (1 - far) quantile of the impostor scores, as an order statistic: with n impostors and
    k = floor(far * n), pairs above the impostor score of rank k + 1 from the top are accepted. Impostors that tie with
    it are refused, so the measured FAR never exceeds `far`.

    Raises:
        McugenError: far < 10 / n; fewer than ten accepted impostors say little about the rate.
    """
    count, least = int(curve.impostor[-1]), least_impostors(far)
    if count < least:
        raise McugenError(
            "pairs",
            f"{count} impostor pairs are too few for TAR at FAR {far:g}, which takes {least}",
            "give more pairs or ask for a higher FAR",
        )
    allowed = int(np.floor(far * count + _ROUNDING))
    last = int(np.searchsorted(curve.impostor, allowed, side="right"))  # first threshold that accepts too many
    return Operating(float(curve.far[last - 1]), float(curve.tar[last - 1]), float(curve.threshold[last]))
