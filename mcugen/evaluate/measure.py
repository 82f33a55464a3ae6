"""From embeddings and pairs to numbers: one model, two models compared, the pairs worth looking at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np

from mcugen.errors import McugenError
from mcugen.evaluate.embed import EvaluatedModel, Vectors
from mcugen.metrics.agreement import agreement
from mcugen.metrics.curves import Accepted, auc, equal_error_rate, roc, tar_at_far
from mcugen.metrics.embeddings import Flags, Indices, Scores, all_pair_scores, cosine_scores, unit_vectors
from mcugen.metrics.fidelity import fidelity
from mcugen.metrics.heatmap import angle_change, choose_people, margin, person_angles
from mcugen.metrics.pairs import Pair, images_of, person_of
from mcugen.metrics.verification import KFold, best_threshold, k_fold_accuracy


@dataclass(frozen=True)
class Question:
    """The pairs every model is asked about; `names` are the images behind them, in the order of the embeddings."""

    pairs: tuple[Pair, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return images_of(self.pairs)

    @cached_property
    def people(self) -> tuple[str, ...]:
        """The person of each image."""
        return tuple(map(person_of, self.names))

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The persons of the heatmap."""
        return choose_people(self.people)

    @cached_property
    def same(self) -> Flags:
        return np.array([pair.same for pair in self.pairs])

    @cached_property
    def fold(self) -> Indices:
        return np.array([pair.fold for pair in self.pairs], np.int64)

    @cached_property
    def sides(self) -> tuple[Indices, Indices]:
        """Rows of the embeddings of the first and the second image of each pair."""
        row = {name: index for index, name in enumerate(self.names)}
        first = np.array([row[pair.first] for pair in self.pairs], np.int64)
        second = np.array([row[pair.second] for pair in self.pairs], np.int64)
        return first, second

    @cached_property
    def fold_images(self) -> tuple[Indices, ...]:
        """For each fold the rows of its images."""
        rows = np.concatenate(self.sides)
        folds = np.concatenate([self.fold, self.fold])
        return tuple(np.unique(rows[folds == number]) for number in np.unique(self.fold))


@dataclass(frozen=True)
class Measured:
    """What one model answered.

    scores (P,): cosine of each pair. k_fold: accuracy and the correct pairs. threshold: the best over all pairs, the
    one to deploy. curve: ROC of the pairs. every: ROC of every two images within a fold. angles: the heatmap.
    """

    model: EvaluatedModel
    embeddings: Vectors
    scores: Scores
    k_fold: KFold
    threshold: float
    curve: Accepted
    every: Accepted
    angles: Scores


def measure(model: EvaluatedModel, embeddings: Vectors, question: Question) -> Measured:
    """All figures of one model from its embeddings (N, D) of `question.names`."""
    first, second = question.sides
    scores = cosine_scores(embeddings[first], embeddings[second])
    unit = unit_vectors(embeddings)
    people = np.array(question.people)
    drawn = [all_pair_scores(unit[rows], list(people[rows])) for rows in question.fold_images]
    return Measured(
        model=model,
        embeddings=embeddings,
        scores=scores,
        k_fold=k_fold_accuracy(scores, question.same, question.fold),
        threshold=best_threshold(scores, question.same),
        curve=roc(scores, question.same),
        every=roc(np.concatenate([each[0] for each in drawn]), np.concatenate([each[1] for each in drawn])),
        angles=person_angles(unit, question.people, question.shown),
    )


def describe(measured: Measured, rates: Sequence[float]) -> dict[str, Any]:
    """One model's part of the JSON; rates without enough impostors are null."""
    k_fold = measured.k_fold
    return {
        "name": measured.model.name,
        "engine": measured.model.engine,
        "digest": measured.model.digest,
        "dimension": int(measured.embeddings.shape[1]),
        "accuracy": k_fold.accuracy,
        "accuracy_std": k_fold.std,
        "threshold": measured.threshold,
        "threshold_from": "the scored fold itself" if k_fold.on_itself else "the other folds",
        "folds": [asdict(fold) for fold in k_fold.folds],
        **_curve(measured.curve, rates),
        "every_two_images": _curve(measured.every, rates),
        "angles": {**asdict(margin(measured.angles)), "people": len(measured.angles)},
    }


def _curve(curve: Accepted, rates: Sequence[float]) -> dict[str, Any]:
    return {
        "genuine": int(curve.genuine[-1]),
        "impostor": int(curve.impostor[-1]),
        "auc": auc(curve),
        "eer": equal_error_rate(curve),
        "tar_at_far": {f"{rate:g}": tar_or_none(curve, rate) for rate in rates},
    }


def tar_or_none(curve: Accepted, rate: float) -> float | None:
    """TAR at a FAR, None if the impostors are too few to measure it."""
    try:
        return tar_at_far(curve, rate).tar
    except McugenError:
        return None


def compare(reference: Measured, other: Measured) -> tuple[dict[str, Any], dict[str, Any]]:
    """(agreement, fidelity) of two models for the JSON.

    Fidelity is null for embeddings of different lengths; `sqnr_db` is null and `identical` true if all are equal.
    """
    pair = {"reference": reference.model.name, "other": other.model.name}
    agreed = {**pair, **asdict(agreement(reference.k_fold.correct, other.k_fold.correct))}
    if reference.embeddings.shape != other.embeddings.shape:
        return agreed, {**pair, "cosine_mean": None, "cosine_q01": None, "cosine_min": None, "sqnr_db": None,
                        "identical": False}  # fmt: skip
    close = asdict(fidelity(reference.embeddings, other.embeddings))
    identical = not isfinite(close["sqnr_db"])
    return agreed, {**pair, **close, "sqnr_db": None if identical else close["sqnr_db"], "identical": identical}


def heatmap(question: Question, measured: Sequence[Measured]) -> dict[str, Any]:
    """The heatmap part of the JSON: persons, and how each further model moves the angles of the first (degrees)."""
    changes = []
    for other in measured[1:] if question.shown else ():
        change = angle_change(measured[0].angles, other.angles)
        changes.append(
            {
                "reference": measured[0].model.name,
                "other": other.model.name,
                "max_abs": change.max_abs,
                "mean_abs": change.mean_abs,
                "mean": change.mean,
            }
        )
    return {"people": list(question.shown), "changes": changes}


@dataclass(frozen=True)
class Mistake:
    """A pair answered wrong: its score, the threshold of its fold, and how far on the wrong side it is."""

    pair: Pair
    score: float
    threshold: float

    @property
    def distance(self) -> float:
        return abs(self.score - self.threshold)


def mistakes(question: Question, measured: Measured, among: Flags | None = None) -> list[Mistake]:
    """The wrong answers of a model (only pairs of the mask `among`, if given), the worst first."""
    thresholds = {fold.fold: fold.threshold for fold in measured.k_fold.folds}
    wrong = ~measured.k_fold.correct if among is None else ~measured.k_fold.correct & among
    found = [
        Mistake(question.pairs[row], float(measured.scores[row]), thresholds[question.pairs[row].fold])
        for row in np.flatnonzero(wrong)
    ]
    return sorted(found, key=lambda mistake: (-mistake.distance, mistake.pair.first, mistake.pair.second))
