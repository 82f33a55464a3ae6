"""The evaluation from end to end: read pairs, embed, measure, compare, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TextIO

from mcugen.errors import McugenError
from mcugen.evaluate.embed import EvaluatedModel, embed_images
from mcugen.evaluate.images import open_images
from mcugen.evaluate.measure import Measured, Question, compare, describe, heatmap, measure
from mcugen.metrics.agreement import venn
from mcugen.metrics.curves import least_impostors
from mcugen.metrics.pairs import pairs_of_people, read_pairs, select_folds

RATES = (0.1, 0.01, 0.001)


def evaluate(
    models: Sequence[EvaluatedModel],
    images: Path,
    pairs: Path | None = None,
    folds: Sequence[int] | None = None,
    report_dir: Path | None = None,
    *,
    cache_dir: Path | None = None,
    rates: Sequence[float] = RATES,
    batch: int = 64,
    progress: TextIO | None = None,
) -> dict[str, Any]:
    """Evaluate models on verification pairs; the result is what `--json` prints (see `mcugen.evaluate`).

    Args:
        models: at least one; the first is the reference of comparisons and gives the headline figures.
        images: folder or tar file with `Person/Person_0001.jpg` and so on.
        pairs: a pairs.txt in LFW's format; None makes pairs from the folders (`pairs_of_people`).
        folds: only these folds (numbers from 1), each with the threshold of the other ones; None for all.
        report_dir: gets `evaluate.html` (with the pictures of people it shows) and `evaluate.json`.
        cache_dir: where embeddings are kept; `report_dir/cache` if not given, none without a report.
        rates: FARs at which TAR is measured.
        batch: most images a call of `embed`.
        progress: where progress is printed, such as `sys.stderr`.

    Raises:
        McugenError: anything in the input that does not allow an honest figure.
    """
    _check(models, batch)
    if report_dir:
        _write(report_dir)  # before hours of embedding
    cache = cache_dir or (report_dir / "cache" if report_dir else None)
    with open_images(images) as source:
        chosen = select_folds(read_pairs(pairs) if pairs else pairs_of_people(source.files), folds)
        question = Question(chosen)
        measured = [
            measure(model, embed_images(model, source, question.names, cache, batch, progress), question)
            for model in models
        ]
        result = _result(question, measured, rates, "built from folders" if pairs is None else pairs.name)
        if report_dir:
            from mcugen.evaluate.page import render  # matplotlib takes half a second to import

            _write(report_dir, "evaluate.html", render(result, question, measured, source))
            _write(report_dir, "evaluate.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


def _check(models: Sequence[EvaluatedModel], batch: int) -> None:
    names = [model.name for model in models]
    if not models or len(set(names)) != len(names):
        raise McugenError("evaluate", f"the models are called {names}", "give one or more models of different names")
    if batch < 1:
        raise McugenError("evaluate", f"a batch of {batch} images", "take batches of one image or more")


def _write(folder: Path, name: str = "", text: str = "") -> None:
    """Make the report folder and, with a name, write a text file in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if name:
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        place = str(folder / name)
        raise McugenError(place, f"cannot be written ({error})", "name a writable --report folder") from None


def _result(question: Question, measured: Sequence[Measured], rates: Sequence[float], origin: str) -> dict[str, Any]:
    models = [describe(each, rates) for each in measured]
    compared = [compare(first, second) for first, second in combinations(measured, 2)]
    regions = venn({each.model.name: each.k_fold.correct for each in measured})
    headline = {key: value for key, value in models[0].items() if key not in ("name", "engine", "digest", "dimension")}
    return {
        "schema": "mcugen-evaluate-1",
        **headline,
        "pairs": len(question.pairs),
        "pairs_from": origin,
        "images": len(question.names),
        "people": len(set(question.people)),
        "selected_folds": sorted({pair.fold for pair in question.pairs}),
        "models": models,
        "agreement": [agreed for agreed, _ in compared],
        "venn": [{"models": list(names), "pairs": count} for names, count in regions.items()],
        "fidelity": [close for _, close in compared],
        "heatmap": heatmap(question, measured),
        "notes": _notes(models, rates, origin),
    }


def _notes(models: Sequence[dict[str, Any]], rates: Sequence[float], origin: str) -> list[str]:
    notes = []
    if origin == "built from folders":
        notes.append("The pairs were built from the labelled folders, so the figures compare with no published ones.")
    if models[0]["threshold_from"] != "the other folds":
        notes.append("Only one fold: the threshold was chosen on the pairs it was scored on, so accuracy is too good.")
    impostors = models[0]["impostor"]
    short = [f"{rate:g} (takes {least_impostors(rate)})" for rate in rates if impostors < least_impostors(rate)]
    if short:
        notes.append(
            f"{impostors} impostor pairs are too few to measure TAR at FAR {', '.join(short)}; "
            "the figures over every two images within a fold reach further."
        )
    if len({model["dimension"] for model in models}) > 1:
        notes.append("Embeddings of different lengths cannot be compared with each other: no fidelity between them.")
    return notes


def summary(result: dict[str, Any]) -> str:
    """The result in a few lines of text, for the terminal."""
    lines = [f"{result['pairs']} pairs of {result['images']} images, {result['people']} people"]
    width = max(len(model["name"]) for model in result["models"])
    for model in result["models"]:
        std = "" if model["accuracy_std"] is None else f" ± {100 * model['accuracy_std']:.2f}"
        lines.append(
            f"{model['name']:{width}}  accuracy {100 * model['accuracy']:.2f}%{std}  AUC {model['auc']:.4f}  "
            f"EER {100 * model['eer']:.2f}%  threshold {model['threshold']:.4f}"
        )
    for agreed, close in zip(result["agreement"], result["fidelity"], strict=True):
        cosine = "" if close["cosine_mean"] is None else f", cosine {close['cosine_mean']:.5f}"
        lines.append(
            f"{agreed['other']} against {agreed['reference']}: {agreed['lost']} pairs lost, {agreed['gained']} gained"
            f"{cosine}"
        )
    return "\n".join(lines + [f"Note: {note}" for note in result["notes"]])
