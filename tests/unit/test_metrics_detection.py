"""Detector metrics: IoU, greedy matching, confidence error, false positives; the cascade."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.errors import McugenError
from mcugen.metrics.detection import box_agreement, cascade, check_boxes, false_positives, iou_matrix, match_boxes

BOXES = st.lists(
    st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(1, 8)] * 2).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])),
    max_size=7,
)


def test_iou_by_hand() -> None:
    iou = iou_matrix(
        np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [20, 20, 30, 30]])
    )
    np.testing.assert_allclose(iou, [[1, 1 / 3, 0, 0]])


@given(BOXES, BOXES)
def test_iou_equals_counting_pixels(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> None:
    def pixels(box: tuple[int, ...]) -> set[tuple[int, int]]:
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    iou = iou_matrix(np.array(first), np.array(second))
    assert iou.shape == (len(first), len(second))
    for i, a in enumerate(map(pixels, first)):
        for j, b in enumerate(map(pixels, second)):
            assert iou[i, j] == pytest.approx(len(a & b) / len(a | b))


@given(BOXES, BOXES)
def test_matching_is_one_to_one_and_greedy(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> None:
    iou = iou_matrix(np.array(first), np.array(second))
    matches = match_boxes(np.array(first), np.array(second))
    assert len({m[0] for m in matches}) == len({m[1] for m in matches}) == len(matches)
    taken = {(m[0], m[1]): m[2] for m in matches}
    for i, j in zip(*np.nonzero(iou >= 0.5), strict=True):  # a pair left out lost to one at least as good
        rivals = [value for (a, b), value in taken.items() if a == i or b == j]
        assert rivals and max(rivals) >= iou[i, j]


def test_the_better_box_is_matched_first() -> None:
    assert match_boxes(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 6], [0, 0, 10, 9]])) == [(0, 1, 0.9)]
    assert match_boxes(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 4]])) == []


def test_confidence_error_is_sorted_by_face_size() -> None:
    boxes = np.array([[0, 0, 40, 40], [100, 100, 110, 110], [200, 0, 220, 20]])
    other = boxes[[1, 0]] + 0.0
    result = box_agreement(boxes, np.array([0.9, 0.5, 0.4]), other, np.array([0.4, 0.99]))
    assert (result.matched, result.only_reference, result.only_other, result.mean_iou) == (2, 1, 0, 1.0)
    np.testing.assert_allclose(result.size, [10, 40])
    np.testing.assert_allclose(result.confidence_error, [0.2, 0.1])
    empty = box_agreement(boxes[:0], np.empty(0), other, np.array([0.4, 0.99]))
    assert (empty.matched, empty.mean_iou, empty.only_other, empty.size.size) == (0, None, 2, 0)
    assert box_agreement(boxes[:1], np.zeros(1), boxes[:1], np.array([0.5]), eps=0.1).confidence_error[0] == 5


def test_false_positives_shared_with_float() -> None:
    truth = np.array([[0, 0, 10, 10]])
    floats = np.array([[0, 0, 10, 11], [50, 50, 60, 60]])
    eight_bits = np.array([[51, 50, 61, 60], [0, 0, 10, 9], [80, 80, 90, 90]])
    result = false_positives(truth, floats, eight_bits)
    assert (result.reference, result.other, result.shared) == (1, 2, 1)


def test_every_detector_with_every_verifier() -> None:
    same, fold = np.array([1, 0, 1, 0], bool), np.array([1, 1, 2, 2])
    good = np.array([0.9, 0.1, 0.8, 0.2])
    missed = np.array([np.nan, -0.5, 0.8, np.nan])
    result = cascade({("f32", "f32"): good, ("int8", "f32"): missed}, same, fold)
    assert result["f32", "f32"].accuracy == 1.0
    assert result["int8", "f32"].correct.tolist() == [False, True, True, True]  # no face found: refused


@pytest.mark.parametrize("box", [[0, 0, 1], [0, 0, np.nan, 1], [0, 0, 0, 1], [5, 5, 1, 9]])
def test_broken_boxes_are_refused(box: list[float]) -> None:
    with pytest.raises(McugenError):
        check_boxes("boxes", np.array([box]))
    with pytest.raises(McugenError, match="one confidence a box"):
        box_agreement(np.array([[0, 0, 1, 1]]), np.ones(2), np.empty((0, 4)), np.empty(0))
    with pytest.raises(McugenError, match="NaN"):
        box_agreement(np.array([[0, 0, 1, 1]]), np.array([np.nan]), np.empty((0, 4)), np.empty(0))
