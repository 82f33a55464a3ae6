"""Angles between persons: the heatmap of a format, its margin, and how another format moves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcugen.errors import McugenError
from mcugen.metrics.embeddings import Scores


def choose_people(people: Sequence[str], limit: int = 20) -> tuple[str, ...]:
    """The `limit` persons with the most images, two or more each (ties by name), sorted by name.

    Args:
        people: the person of each image.
    """
    counts = Counter(people)
    several = sorted((person for person in counts if counts[person] > 1), key=lambda person: (-counts[person], person))
    return tuple(sorted(several[:limit]))


def person_angles(unit: Scores, people: Sequence[str], chosen: Sequence[str]) -> Scores:
    """D (P, P): mean angle in degrees between the images of persons i and j, an image never with itself.

    Args:
        unit: (N, D) embeddings of length 1.
        people: the person of each row.
        chosen: the P persons. A person with one image has NaN on the diagonal.

    Raises:
        McugenError: a chosen person without an image.
    """
    rows = {person: np.flatnonzero(np.asarray(people) == person) for person in chosen}
    missing = [person for person in chosen if rows[person].size == 0]
    if missing or len(people) != len(unit):
        raise McugenError(
            "heatmap",
            f"{missing[0]} has no image" if missing else "images and persons differ in number",
            "choose persons that were embedded",
        )
    angles = np.empty((len(chosen), len(chosen)))
    for i, first in enumerate(chosen):
        for j, second in enumerate(chosen[: i + 1]):
            block = np.degrees(np.arccos(np.clip(unit[rows[first]] @ unit[rows[second]].T, -1.0, 1.0)))
            if i == j:
                n = len(block)
                block = block[~np.eye(n, dtype=bool)] if n > 1 else np.array([np.nan])
            angles[i, j] = angles[j, i] = block.mean()
    return angles


@dataclass(frozen=True)
class Margin:
    """`worst`: smallest angle between two persons minus largest angle within one; `mean`: the same of the means.
    Degrees; positive is separated. None with fewer than two persons, or nobody with two images."""

    worst: float | None
    mean: float | None


def margin(angles: Scores) -> Margin:
    """Margin of a heatmap (P, P)."""
    within = np.diag(angles)[np.isfinite(np.diag(angles))]
    between = angles[~np.eye(len(angles), dtype=bool)]
    if not within.size or not between.size:
        return Margin(None, None)
    return Margin(float(between.min() - within.max()), float(between.mean() - within.mean()))


@dataclass(frozen=True)
class AngleChange:
    """`difference` (P, P) = D_other - D_reference in degrees (NaN where a person has one image); its largest and mean
    absolute value, and its mean (a common drift)."""

    difference: Scores
    max_abs: float
    mean_abs: float
    mean: float


def angle_change(reference: Scores, other: Scores) -> AngleChange:
    """Compare the heatmaps of two formats over the same persons.

    Raises:
        McugenError: different shapes, or nothing to compare.
    """
    if reference.shape != other.shape or np.isnan(reference).all():
        raise McugenError(
            "heatmap",
            f"shapes {reference.shape} and {other.shape} cannot be compared",
            "compare two formats over the same persons, two or more",
        )
    difference = other - reference
    known = difference[np.isfinite(difference)]
    return AngleChange(difference, float(np.abs(known).max()), float(np.abs(known).mean()), float(known.mean()))
