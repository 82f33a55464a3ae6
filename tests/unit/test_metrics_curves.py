"""ROC, AUC, EER and TAR at FAR against scikit-learn, brute force and cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from mcugen.errors import McugenError
from mcugen.metrics.curves import auc, check_scores, equal_error_rate, least_impostors, roc, tar_at_far

# few distinct values, so that ties are common
SCORED = st.lists(st.tuples(st.integers(-6, 6).map(lambda k: k / 6), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({same for _, same in rows}) == 2
)


def arrays(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


@given(SCORED)
def test_roc_equals_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    scores, same = arrays(rows)
    curve = roc(scores, same)
    far, tar, threshold = roc_curve(same, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.far, far, atol=1e-12)
    np.testing.assert_allclose(curve.tar, tar, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, threshold)
    assert auc(curve) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)


def test_auc_of_a_large_sample_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    same = rng.random(50_000) < 0.3
    scores = np.round(rng.normal(same * 0.8), 3)
    assert auc(roc(scores, same)) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)


@given(SCORED)
def test_auc_is_the_probability_that_genuine_beats_impostor(rows: list[tuple[float, bool]]) -> None:
    scores, same = arrays(rows)
    genuine, impostor = scores[same][:, None], scores[~same][None]
    assert auc(roc(scores, same)) == pytest.approx(
        float(np.mean(genuine > impostor) + np.mean(genuine == impostor) / 2)
    )


def test_curves_by_hand() -> None:
    perfect = roc(np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 1, 0, 0]))
    assert (auc(perfect), equal_error_rate(perfect)) == (1.0, 0.0)
    reverse = roc(np.array([0.9, 0.8, 0.2, 0.1]), np.array([0, 0, 1, 1]))
    assert (auc(reverse), equal_error_rate(reverse)) == (0.0, 1.0)
    equal = roc(np.full(4, 0.5), np.array([1, 0, 1, 0]))
    assert (auc(equal), equal_error_rate(equal)) == (0.5, 0.5)
    # accepted from the top: G I G I: points (0,.5) (.5,.5) (.5,1) (1,1); FAR = FRR = .5
    mixed = roc(np.array([4, 3, 2, 1]), np.array([True, False, True, False]))
    assert (auc(mixed), equal_error_rate(mixed)) == (0.75, 0.5)
    # one threshold accepts 1 of 1 genuine and 1 of 3 impostors: on the line (0,0)-(1/3,1), FAR = 1 - TAR at 1/4
    assert equal_error_rate(roc(np.array([2, 2, 1, 0]), np.array([1, 0, 0, 0]))) == pytest.approx(0.25)


@given(SCORED)
def test_the_equal_error_rate_lies_on_the_roc_where_both_errors_meet(rows: list[tuple[float, bool]]) -> None:
    scores, same = arrays(rows)
    curve, rate = roc(scores, same), equal_error_rate(roc(scores, same))
    assert 0 <= rate <= 1
    swapped = roc(-scores, ~same)  # strangers as friends: FAR and FRR change places
    assert equal_error_rate(swapped) == pytest.approx(rate)
    for far, frr in zip(curve.far, 1 - curve.tar, strict=True):
        assert rate <= max(far, frr) + 1e-12 and rate >= min(far, frr) - 1e-12


def sample(impostors: list[float], genuine: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(impostors + genuine), np.array([False] * len(impostors) + [True] * len(genuine))


def test_tar_at_far_by_hand() -> None:
    impostors = [k / 100 for k in range(100)]  # 0.00 to 0.99
    curve = roc(*sample(impostors, [0.895, 0.89, 0.5, 0.95]))
    point = tar_at_far(curve, 0.1)  # ten impostors (0.90 to 0.99) may pass: accept above 0.89
    assert (point.far, point.tar, point.impostor_score) == (0.1, 0.5, 0.89)
    assert tar_at_far(curve, 0.29).far == 0.29  # 0.29 * 100 is 28.999999999999996 in floating point


def test_tied_impostors_are_refused_rather_than_let_in() -> None:
    impostors = [0.0] * 85 + [0.7] * 10 + [0.9] * 5
    point = tar_at_far(roc(*sample(impostors, [0.6, 0.7, 0.8, 0.95])), 0.1)
    assert (point.far, point.tar, point.impostor_score) == (0.05, 0.5, 0.7)


def test_few_impostors_are_refused() -> None:
    scores, same = sample([k / 999 for k in range(999)], [0.5])
    with pytest.raises(McugenError, match=r"999 impostor pairs are too few for TAR at FAR 0\.01, which takes 1000"):
        tar_at_far(roc(scores, same), 0.01)
    assert tar_at_far(roc(np.append(scores, -1.0), np.append(same, False)), 0.01).far == 0.01
    assert [least_impostors(rate) for rate in (0.1, 0.01, 0.001, 0.3)] == [100, 1000, 10000, 34]
    for wrong in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(McugenError, match="not a rate"):
            least_impostors(wrong)


@given(
    st.lists(st.integers(0, 40), min_size=20, max_size=80),
    st.lists(st.integers(0, 40), min_size=1, max_size=40),
    st.sampled_from([0.5, 0.6, 0.75, 0.9, 0.99]),
)
def test_tar_at_far_is_the_best_that_keeps_the_rate(impostors: list[int], genuine: list[int], rate: float) -> None:
    curve = roc(*sample(list(map(float, impostors)), list(map(float, genuine))))
    point = tar_at_far(curve, rate)
    accepts = lambda scores: np.mean(np.array(scores) > point.impostor_score)  # noqa: E731
    assert point.far == pytest.approx(accepts(impostors)) and point.tar == pytest.approx(accepts(genuine))
    assert point.far <= rate + 1e-12
    assert np.mean(np.array(impostors) >= point.impostor_score) > rate - 1e-12, "the next threshold would keep it too"


@pytest.mark.parametrize(
    ("scores", "same", "fact"),
    [
        ([0.1, np.nan], [0, 1], "1 of 2 are NaN or infinite"),
        ([0.1, np.inf], [0, 1], "NaN or infinite"),
        ([0.1, 0.2], [1, 1], "all 2 show same persons"),
        ([0.1, 0.2], [False, False], "all 2 show different persons"),
        ([0.1, 0.2], [0, 2], "not all true or false"),
        ([0.1], [0, 1], "shape"),
        ([[0.1, 0.2]], [[0, 1]], "shape"),
        ([], [], "shape"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused(scores: list[float], same: list[int], fact: str) -> None:
    with pytest.raises(McugenError, match=fact):
        check_scores(np.array(scores), np.array(same))
