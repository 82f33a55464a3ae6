"""Embeddings: scores, fidelity, person angles, agreement of correct sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest

from mcugen.errors import McugenError
from mcugen.metrics.agreement import agreement, venn
from mcugen.metrics.embeddings import all_pair_scores, check_embeddings, cosine_scores, unit_vectors
from mcugen.metrics.fidelity import fidelity
from mcugen.metrics.heatmap import Margin, angle_change, choose_people, margin, person_angles

VECTORS = np.array([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [1.0, 1.0]])


def test_cosine_scores_by_hand() -> None:
    scores = cosine_scores(VECTORS[[0, 0, 0, 0]], VECTORS)
    np.testing.assert_allclose(scores, [1, 0, -1, np.sqrt(0.5)], atol=1e-15)


def test_scores_stay_in_range_and_do_not_overflow() -> None:
    for scale in (1e-300, 1e-30, 1.0, 1e30, 1e300):
        scores = cosine_scores(VECTORS * scale, VECTORS * scale)
        np.testing.assert_allclose(scores, 1.0)
        assert scores.max() <= 1.0
    random = np.random.default_rng(0).normal(size=(1000, 64)).astype(np.float32)
    assert cosine_scores(random, random).max() <= 1.0 and cosine_scores(random, -random).min() >= -1.0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_embeddings_that_are_not_finite_are_named(value: float) -> None:
    broken = np.ones((4, 3), np.float32)
    broken[2, 1] = value
    with pytest.raises(McugenError, match=r"host: the embedding of c has NaN or infinity \(1 of 4 images\)"):
        check_embeddings(broken, "abcd", "host")


def test_zero_embeddings_are_named() -> None:
    broken = np.ones((4, 3), np.float32)
    broken[[1, 3]] = 0
    with pytest.raises(McugenError, match=r"the embedding of b is zero, so it has no direction \(2 of 4 images\)"):
        check_embeddings(broken, "abcd")


@pytest.mark.parametrize("shape", [(4,), (3, 2), (4, 0), (4, 2, 2)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(McugenError, match="shape"):
        check_embeddings(np.ones(shape), "abcd")
    with pytest.raises(McugenError, match="complex"):
        check_embeddings(np.ones((4, 2), complex), "abcd")
    with pytest.raises(McugenError, match="differ"):
        cosine_scores(np.ones((4, 2)), np.ones(shape))


def test_all_pairs_of_images() -> None:
    scores, same = all_pair_scores(unit_vectors(VECTORS), ["a", "b", "a", "b"])
    expected = [cosine_scores(VECTORS[[i]], VECTORS[[j]])[0] for i in range(4) for j in range(i + 1, 4)]
    np.testing.assert_allclose(scores, expected, atol=1e-15)
    assert same.tolist() == [False, True, False, False, True, False]


def test_fidelity_by_hand() -> None:
    reference = np.array([[10.0, 0.0], [0.0, 10.0]])
    other = np.array([[10.0, 1.0], [0.0, 10.0]])
    close = fidelity(reference, other)
    assert close.sqnr_db == pytest.approx(10 * np.log10(200 / 1))
    low = 10 / np.sqrt(101)
    assert close.cosine_min == pytest.approx(low) and close.cosine_mean == pytest.approx((1 + low) / 2)
    assert close.cosine_q01 == pytest.approx(low + 0.01 * (1 - low))
    assert fidelity(reference, reference).sqnr_db == np.inf
    with pytest.raises(McugenError, match="shape"):
        fidelity(reference, other[:1])
    with pytest.raises(McugenError, match="NaN"):
        fidelity(reference, other * np.nan)


@given(st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_fidelity_does_not_depend_on_a_common_scale(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(8, 5))
    other = reference + 0.1 * rng.normal(size=(8, 5))
    plain, scaled = fidelity(reference, other), fidelity(scale * reference, scale * other)
    assert scaled.sqnr_db == pytest.approx(plain.sqnr_db) and scaled.cosine_min == pytest.approx(plain.cosine_min)


def test_person_angles_by_hand() -> None:
    degrees = np.array([0.0, 10.0, 90.0, 120.0, 180.0])
    unit = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
    angles = person_angles(unit, ["a", "a", "b", "b", "c"], ["a", "b", "c"])
    expected = [[10, 100, 175], [100, 30, 75], [175, 75, np.nan]]  # mean of 90 120 80 110 is 100, and so on
    np.testing.assert_allclose(angles, expected, atol=1e-9)
    apart = margin(angles)
    assert apart.worst == pytest.approx(75 - 30) and apart.mean == pytest.approx(350 / 3 - 20)
    change = angle_change(angles, angles + np.array([[1, -3, 0], [-3, 0, 0], [0, 0, 0]]))
    assert change.max_abs == pytest.approx(3) and change.mean_abs == pytest.approx(7 / 8)
    assert change.mean == pytest.approx(-5 / 8)
    assert margin(angles[:1, :1]) == Margin(None, None) == margin(np.full((2, 2), np.nan))


def test_heatmaps_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(McugenError, match="z has no image"):
        person_angles(np.eye(2), ["a", "b"], ["a", "z"])
    with pytest.raises(McugenError, match="differ in number"):
        person_angles(np.eye(2), ["a"], ["a"])
    for other in (np.ones((2, 2)), np.ones((3, 3))):
        with pytest.raises(McugenError, match="cannot be compared"):
            angle_change(np.full((2, 2), np.nan), other)


def test_people_with_the_most_images_are_chosen() -> None:
    images = [*"ddd", *"bb", *"a", *"cc", *"eeee"]
    assert choose_people(images, 3) == ("b", "d", "e")  # b before c by name
    assert choose_people(images) == ("b", "c", "d", "e")  # a has one image
    assert choose_people("abc") == ()


def test_agreement_by_hand() -> None:
    a = np.array([1, 1, 1, 1, 0, 0, 0], bool)
    b = np.array([1, 1, 1, 0, 1, 1, 0], bool)
    result = agreement(a, b)
    assert (result.both, result.neither, result.gained, result.lost) == (3, 1, 2, 1)
    assert (result.overlap, result.jaccard) == (0.75, 0.5)
    assert result.p_value == pytest.approx(binomtest(1, 3, 0.5).pvalue)
    nothing = agreement(a & False, a & False)
    assert (nothing.overlap, nothing.jaccard, nothing.p_value) == (None, None, 1.0)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_p_value_is_the_exact_binomial_one(gained: int, lost: int) -> None:
    a = np.array([False] * gained + [True] * lost + [True])
    expected = binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0
    assert agreement(a, np.append(~a[:-1], True)).p_value == pytest.approx(expected)


@given(st.integers(1, 5).flatmap(lambda k: arrays(bool, (k, 40))))
def test_venn_counts_every_region(answers: np.ndarray) -> None:
    names = [f"m{index}" for index in range(len(answers))]
    regions = venn(dict(zip(names, answers, strict=True)))
    assert len(regions) == 2 ** len(names) and sum(regions.values()) == 40
    for members, count in regions.items():
        inside = np.all([row == (name in members) for name, row in zip(names, answers, strict=True)], axis=0)
        assert count == inside.sum(), members
    assert regions[()] == int((~answers.any(axis=0)).sum())


def test_answers_of_different_pairs_are_refused() -> None:
    with pytest.raises(McugenError, match="same pairs"):
        agreement(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(McugenError, match="one true or false a pair"):
        agreement(np.ones(3), np.ones(3, bool))
    with pytest.raises(McugenError, match="1 to 10 formats"):
        venn({"a": np.ones(3, bool), "b": np.ones(4, bool)})
    with pytest.raises(McugenError, match="1 to 10 formats"):
        venn({})
