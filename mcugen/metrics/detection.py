"""Detector metrics: matched boxes, confidence error, shared false positives; and the detector-verifier cascade.

Boxes are (N, 4) arrays of x0, y0, x1, y1 in pixels, x1 > x0 and y1 > y0; areas are (x1 - x0) * (y1 - y0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import McugenError
from mcugen.metrics.embeddings import Flags, Scores
from mcugen.metrics.verification import KFold, k_fold_accuracy


def check_boxes(name: str, boxes: NDArray[Any]) -> Scores:
    """Boxes (N, 4) as float64; N may be 0.

    Raises:
        McugenError: another shape, NaN or infinity, or a box without area.
    """
    array = np.asarray(boxes, np.float64)
    array = array.reshape(0, 4) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all():
        raise McugenError(name, f"boxes of shape {array.shape} or not finite", "give finite rows x0, y0, x1, y1")
    flat = (array[:, 2:] <= array[:, :2]).any(axis=1)
    if flat.any():
        raise McugenError(name, f"box {int(np.argmax(flat))} has no area", "order corners as x0 < x1 and y0 < y1")
    return array


def iou_matrix(first: NDArray[Any], second: NDArray[Any]) -> Scores:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    a, b = check_boxes("first", first)[:, None], check_boxes("second", second)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=-1) for each in (a, b)]
    return np.asarray(shared / (areas[0] + areas[1] - shared))


def match_boxes(first: NDArray[Any], second: NDArray[Any], least: float = 0.5) -> list[tuple[int, int, float]]:
    """Greedy matching: (row of first, row of second, IoU) from the highest IoU down to `least`, each box used once.

    Ties go to the lower row of `first`, then of `second`.
    """
    iou = iou_matrix(first, second)
    order = np.argsort(-iou, axis=None, kind="stable")
    free_first, free_second = set(range(iou.shape[0])), set(range(iou.shape[1]))
    matches = []
    for place in order:
        row, column = divmod(int(place), iou.shape[1])
        if iou[row, column] < least:
            break
        if row in free_first and column in free_second:
            free_first.remove(row)
            free_second.remove(column)
            matches.append((row, column, float(iou[row, column])))
    return matches


@dataclass(frozen=True)
class BoxAgreement:
    """Boxes of two formats on the same picture(s): matched, mean IoU of the matches (None without one), boxes only one
    format has; for each match, by rising face size: `size` sqrt(area) in pixels of the reference box and
    `confidence_error` |c_q - c_f| / max(c_f, eps)."""

    matched: int
    mean_iou: float | None
    only_reference: int
    only_other: int
    size: Scores
    confidence_error: Scores


def box_agreement(
    boxes: NDArray[Any],
    confidence: NDArray[Any],
    other_boxes: NDArray[Any],
    other_confidence: NDArray[Any],
    eps: float = 1e-6,
) -> BoxAgreement:
    """Compare a quantized detector ("other") with its float reference on one picture.

    Args:
        boxes, other_boxes: (N, 4) and (M, 4).
        confidence, other_confidence: (N,) and (M,), finite, 0 to 1.
        eps: least divisor of the relative confidence error.
    """
    reference, other = check_boxes("reference", boxes), check_boxes("other", other_boxes)
    trust, other_trust = np.asarray(confidence, np.float64), np.asarray(other_confidence, np.float64)
    if trust.shape != (len(reference),) or other_trust.shape != (len(other),):
        raise McugenError(
            "confidence",
            f"shapes {trust.shape} and {other_trust.shape} for {len(reference)} and {len(other)} boxes",
            "give one confidence a box",
        )
    if not (np.isfinite(trust).all() and np.isfinite(other_trust).all()):
        raise McugenError("confidence", "NaN or infinity", "check the detector's score head")
    matches = match_boxes(reference, other)
    rows, columns = [match[0] for match in matches], [match[1] for match in matches]
    size = np.sqrt((reference[rows][:, 2:] - reference[rows][:, :2]).prod(axis=-1))
    error = np.abs(other_trust[columns] - trust[rows]) / np.maximum(trust[rows], eps)
    order = np.argsort(size, kind="stable")
    return BoxAgreement(
        len(matches),
        float(np.mean([match[2] for match in matches])) if matches else None,
        len(reference) - len(matches),
        len(other) - len(matches),
        size[order],
        error[order],
    )


@dataclass(frozen=True)
class FalsePositives:
    """False positives (boxes no true face matches) of both formats, and how many are at the same place."""

    reference: int
    other: int
    shared: int


def false_positives(truth: NDArray[Any], boxes: NDArray[Any], other_boxes: NDArray[Any]) -> FalsePositives:
    """Count false positives of two formats against the true faces (T, 4), all matched at IoU >= 0.5."""
    wrong = []
    for each in (check_boxes("reference", boxes), check_boxes("other", other_boxes)):
        right = [match[1] for match in match_boxes(truth, each)]
        wrong.append(np.delete(each, right, axis=0))
    return FalsePositives(len(wrong[0]), len(wrong[1]), len(match_boxes(wrong[0], wrong[1])))


def cascade(
    scores: Mapping[tuple[str, str], NDArray[Any]], same: Flags, fold: NDArray[Any]
) -> dict[tuple[str, str], KFold]:
    """k-fold accuracy of every (detector format, verifier format).

    A pair in which the detector found no face has the score NaN: it gets -1, the lowest cosine, so it is refused
    (right for strangers, wrong for the same person).
    """
    filled = {key: np.where(np.isnan(np.asarray(each)), -1.0, each) for key, each in scores.items()}
    return {key: k_fold_accuracy(each, same, fold) for key, each in filled.items()}
