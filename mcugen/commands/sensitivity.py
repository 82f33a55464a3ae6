"""mcugen sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mcugen.cli import save_json
from mcugen.commands.common import progress
from mcugen.commands.evaluate import fold_numbers
from mcugen.errors import McugenError
from mcugen.evaluate.images import load_images, open_images
from mcugen.evaluate.measure import Question
from mcugen.inputs import read_array
from mcugen.ir import Array, Graph
from mcugen.load import load
from mcugen.metrics.pairs import read_pairs, select_folds
from mcugen.normalise import normalise
from mcugen.quantise import InputGrid
from mcugen.report import table
from mcugen.sensitivity.blocks import Block, find_blocks
from mcugen.sensitivity.spread import spread
from mcugen.sensitivity.study import Bits, Experiment, Pairs, Score, Study, study


def sensitivity(
    model: Path, images: Path | None, pairs: Path | None, folds: str | None, inputs: Path | None, samples: int, bits: str,
    blocks: str | None, mixed: tuple[str, ...], most: int, singles: bool, weights_only: bool, jobs: int, scheduler: str | None,
    report_dir: Path | None, json_path: Path | None, grid: InputGrid,
) -> int:  # fmt: skip
    graph = normalise(load(model))
    found = find_blocks(graph, blocks)
    levels = _levels(bits)
    asked = {f"asked {text}": _mixture(text, found) for text in mixed}
    values, rows = _samples(model, graph, images, pairs, folds, inputs, samples)
    with spread(Experiment(graph, found, not weights_only, grid), values, jobs, scheduler) as run:
        result = study(found, run, rows, levels, asked, most, progress, singles)
    data = {"model": model.name, "digest": graph.digest, "images": len(values), "activations": not weights_only, **result.json()}
    save_json(json_path, data)
    if report_dir is not None:
        _report(report_dir, result)
        save_json(report_dir / "sensitivity.json", data)
    click.echo(summary(result))
    return 0


def _levels(text: str) -> list[int]:
    try:
        found = sorted({int(part) for part in text.split(",")}, reverse=True)
    except ValueError:
        found = []
    if not found or not all(1 <= bits <= 16 for bits in found):
        raise McugenError("--bits", f"{text!r} is no list of bits from 1 to 16", "write it as 8,4,2,1")
    return found


def _mixture(text: str, blocks: Sequence[Block]) -> Bits:
    """Bits of every block in order, or of every block that can be chosen."""
    free = [block for block in blocks if block.fixed_bits is None]
    parts = text.split(",")
    if len(parts) != len(free) or not all(part.strip().isdigit() and 1 <= int(part) <= 16 for part in parts):
        fact = f"{text!r} is no list of bits for the {len(free)} blocks {', '.join(block.name for block in free)}"
        raise McugenError("--mixed", fact, "give one number from 1 to 16 a block, as 8,8,4,2")
    return {block.name: int(part) for block, part in zip(free, parts, strict=True)}


def _samples(
    model: Path, graph: Graph, images: Path | None, pairs: Path | None, folds: str | None, inputs: Path | None, samples: int
) -> tuple[Array, Pairs | None]:
    """Inputs (N, ...) and, where there are pairs, which rows they compare."""
    shape = graph[graph.inputs[0]].type.shape
    if len(graph.inputs) != 1:
        raise McugenError(str(model), f"has {len(graph.inputs)} inputs", "give a model with one input")
    if (images is None) == (inputs is None) or (pairs is not None and images is None):
        raise McugenError("sensitivity", "needs samples to run", "give --images (with --pairs for accuracy) or --inputs")
    if inputs is not None:
        values = read_array(inputs)[:samples]
        if values.shape[1:] != shape:
            raise McugenError(str(inputs), f"holds {values.shape}, the model takes (N, {str(shape)[1:]}", "reshape the array")
        return values, None
    assert images is not None
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise McugenError(str(model), f"takes {shape}, not an image", "give --inputs")
    size = (shape[0], shape[1])
    with open_images(images) as source:
        if pairs is None:
            return load_images(source, sorted(source.files)[:samples], size, shape[2]), None
        question = Question(select_folds(read_pairs(pairs), fold_numbers(folds)))
        values = load_images(source, question.names, size, shape[2])
        return values, Pairs(*question.sides, question.same, question.fold)


def _report(folder: Path, result: Study) -> None:
    from mcugen.sensitivity.pictures import draw_blocks, draw_footprint

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise McugenError(str(folder), f"cannot be made ({error.strerror})", "name a writable --report folder") from None
    if result.single:
        draw_blocks(result, folder / "blocks.png")
    draw_footprint(result, folder / "footprint.png")


def summary(result: Study) -> str:
    """Two tables: score by block and bits, and the mixtures from large to small."""
    levels = sorted({bits for _, bits in result.single}, reverse=True)
    what = "cosine" if result.float_score.accuracy is None else "accuracy"
    rows = [
        (block.name, f"{block.weights:,}", *(_cell(result.single.get((block.name, bits))) for bits in levels))
        for block in result.blocks
    ]
    sizes = sorted(result.mixed, key=result.footprint, reverse=True)
    mixtures = [
        (name, f"{result.footprint(name):,}", _cell(result.mixed[name][1]), "front" if name in result.pareto else "")
        for name in sizes
    ]
    return "\n".join(
        [
            f"{what} with one block quantized and the rest float (float: {_cell(result.float_score)})",
            table(("block", "weights", *(f"{bits} bits" for bits in levels)), rows),
            "",
            table(("mixture", "weight bits", what, "Pareto"), mixtures),
        ]
    )


def _cell(score: Score | None) -> str:
    if score is None:
        return "fixed"
    if score.cosine is None:
        return "no direction"
    return f"{score.cosine:.4f}" if score.accuracy is None else f"{100 * score.accuracy:.2f}%"
