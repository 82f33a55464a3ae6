"""k-fold verification accuracy (LFW View 2): the threshold of a fold is chosen on the other folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import McugenError
from mcugen.metrics.curves import check_scores, roc
from mcugen.metrics.embeddings import Flags


@dataclass(frozen=True)
class FoldResult:
    """One scored fold: its number, how many pairs, the threshold used, the share of right answers."""

    fold: int
    pairs: int
    threshold: float
    accuracy: float


@dataclass(frozen=True)
class KFold:
    """Accuracies of all folds, their mean and sample standard deviation (None with one fold).

    `on_itself`: there was one fold only, so its threshold was chosen on the pairs it was scored on (too good).
    `correct` (N,): whether each pair was answered right with the threshold of its fold.
    """

    folds: tuple[FoldResult, ...]
    accuracy: float
    std: float | None
    on_itself: bool
    correct: Flags


def best_threshold(scores: NDArray[Any], same: NDArray[Any]) -> float:
    """The threshold t for which `score >= t` agrees most often with `same`.

    Candidates lie midway between neighbouring distinct scores, at the lowest score (accept all) and just above the
    highest (accept none). Of equally accurate ones the highest is taken: it accepts the fewest strangers.
    """
    values, flags = check_scores(scores, same)
    curve = roc(values, flags)
    hits = curve.genuine + (curve.impostor[-1] - curve.impostor)
    best = int(np.argmax(hits))  # thresholds fall, so the first maximum is the highest threshold
    if best == 0:
        return float(np.nextafter(curve.threshold[1], np.inf))
    accepted = float(curve.threshold[best])
    if best == hits.size - 1:
        return accepted
    refused = float(curve.threshold[best + 1])
    middle = refused + (accepted - refused) / 2
    return middle if middle > refused else accepted  # neighbouring floats have nothing in between


def k_fold_accuracy(scores: NDArray[Any], same: NDArray[Any], fold: NDArray[Any]) -> KFold:
    """Accuracy of each fold at the threshold chosen on all other folds together; with two, each from the other.

    Args:
        scores: (N,) similarity of each pair.
        same: (N,) whether it is the same person.
        fold: (N,) fold number of each pair.

    The standard deviation is the sample's (n - 1), as in LFW's report. One fold alone is scored at its own best
    threshold and marked `on_itself`.

    Raises:
        McugenError: scores that cannot be judged (`check_scores`), in total or for one fold's threshold.
    """
    values, flags = check_scores(scores, same)
    place = np.asarray(fold)
    if place.shape != values.shape:
        raise McugenError("folds", f"shape {place.shape} for {values.size} pairs", "give one fold number a pair")
    numbers = np.unique(place)
    correct = np.zeros(values.size, bool)
    results = []
    for number in numbers:
        test = place == number
        train = test if numbers.size == 1 else ~test
        threshold = best_threshold(values[train], flags[train])
        correct[test] = (values[test] >= threshold) == flags[test]
        results.append(FoldResult(int(number), int(test.sum()), threshold, float(correct[test].mean())))
    accuracies = np.array([result.accuracy for result in results])
    std = float(accuracies.std(ddof=1)) if numbers.size > 1 else None
    return KFold(tuple(results), float(accuracies.mean()), std, numbers.size == 1, correct)
