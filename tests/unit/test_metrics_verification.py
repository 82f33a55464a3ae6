"""The k-fold accuracy and its threshold rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.errors import McugenError
from mcugen.metrics.verification import best_threshold, k_fold_accuracy

FLOATS = st.floats(-1, 1, allow_nan=False, width=64) | st.integers(-3, 3).map(lambda k: k / 3)
SCORED = st.lists(st.tuples(FLOATS, st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({same for _, same in rows}) == 2
)


@given(SCORED)
def test_no_threshold_is_more_accurate_and_of_equal_ones_the_highest_is_taken(rows: list[tuple[float, bool]]) -> None:
    scores, same = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    chosen = best_threshold(scores, same)
    right = int(np.sum((scores >= chosen) == same))
    every = [*np.unique(scores), np.inf]
    hits = [int(np.sum((scores >= threshold) == same)) for threshold in every]
    assert right == max(hits)
    highest = every[max(index for index, count in enumerate(hits) if count == right)]
    assert np.array_equal(scores >= chosen, scores >= highest)


def test_thresholds_by_hand() -> None:
    assert best_threshold(np.array([0.2, 0.8]), np.array([0, 1])) == pytest.approx(0.5)  # midway
    assert best_threshold(np.array([0.8, 0.2]), np.array([0, 1])) > 0.8  # accept none beats accept all: fewer strangers
    assert best_threshold(np.array([0.8, 0.2, 0.3]), np.array([0, 1, 1])) == 0.2  # accept all
    near = np.nextafter(0.5, 1)
    assert best_threshold(np.array([0.5, near]), np.array([0, 1])) == near  # nothing lies between them


def test_two_folds_lend_each_other_their_threshold() -> None:
    scores = np.array([0.9, 0.8, 0.3, 0.1, 0.6, 0.5, 0.4, 0.2])
    same = np.array([1, 1, 0, 0, 1, 1, 0, 0], bool)
    result = k_fold_accuracy(scores, same, np.array([1, 1, 1, 1, 2, 2, 2, 2]))
    assert [fold.threshold for fold in result.folds] == pytest.approx([0.45, 0.55])
    assert [fold.accuracy for fold in result.folds] == [1.0, 0.75]  # 0.5 is below fold 1's 0.55
    assert result.accuracy == 0.875 and not result.on_itself
    assert result.std == pytest.approx(np.std([1.0, 0.75], ddof=1))
    assert result.correct.tolist() == [True] * 5 + [False, True, True]


def test_the_threshold_of_a_fold_does_not_see_its_labels() -> None:
    rng = np.random.default_rng(3)
    scores, fold = rng.random(300), np.repeat([3, 7, 9], 100)
    same = np.tile([True, False], 150)
    other = same.copy()
    other[fold == 7] = ~other[fold == 7]
    thresholds = [k_fold_accuracy(scores, labels, fold).folds[1].threshold for labels in (same, other)]
    assert thresholds[0] == thresholds[1]
    accuracies = [k_fold_accuracy(scores, labels, fold).folds[1].accuracy for labels in (same, other)]
    assert sum(accuracies) == pytest.approx(1.0)


def test_one_fold_is_scored_on_itself_and_says_so() -> None:
    result = k_fold_accuracy(np.array([0.9, 0.2, 0.4]), np.array([1, 0, 1]), np.array([4, 4, 4]))
    assert result.on_itself and result.std is None and result.accuracy == 1.0
    assert result.folds[0].fold == 4 and result.folds[0].pairs == 3


def test_unequal_folds_count_alike_in_the_mean() -> None:
    scores, same = np.array([0.9, 0.1, 0.9, 0.1, 0.1, 0.1]), np.array([1, 0, 1, 0, 0, 1], bool)
    result = k_fold_accuracy(scores, same, np.array([1, 1, 2, 2, 2, 2]))
    assert result.accuracy == (1.0 + 0.75) / 2


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(McugenError, match="shape"):
        k_fold_accuracy(np.array([0.9, 0.1]), np.array([1, 0]), np.array([1]))
    with pytest.raises(McugenError, match="all 1 show"):  # fold 1's threshold would come from one class
        k_fold_accuracy(np.array([0.9, 0.1, 0.5]), np.array([1, 0, 1]), np.array([1, 1, 2]))
    with pytest.raises(McugenError, match="NaN"):
        k_fold_accuracy(np.array([0.9, np.nan]), np.array([1, 0]), np.array([1, 2]))
