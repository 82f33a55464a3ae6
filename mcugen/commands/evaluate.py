"""mcugen evaluate."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import numpy as np

from mcugen.cli import save_json
from mcugen.codegen.emit import graph_digest
from mcugen.commands.common import read_graph
from mcugen.errors import McugenError
from mcugen.evaluate.embed import EvaluatedModel
from mcugen.evaluate.run import evaluate, summary
from mcugen.inputs import to_float
from mcugen.interpret import decode, encode_inputs
from mcugen.ir import Array, Float, Graph
from mcugen.quantise import InputGrid
from mcugen.running import open_runner


def evaluate_models(
    models: tuple[Path, ...], images: Path, pairs: Path | None, folds: str | None, engine: str, json_path: Path | None,
    report_dir: Path | None, against: str | None, board: str, toolchain: str, grid: InputGrid,
) -> int:  # fmt: skip
    chosen = fold_numbers(folds)
    alike = len({model.name for model in models}) < len(models)
    formats = []
    for model in models:
        graph, name = read_graph(model, grid), str(model) if alike else model.name
        formats.append(on_engine(model, name, graph, engine, board, toolchain, grid))
        if against is not None:
            formats.append(in_keras(model, name, graph, against, grid))
    result = evaluate(formats, images, pairs, chosen, report_dir, progress=sys.stderr)
    save_json(json_path, result)
    click.echo(summary(result))
    return 0


def fold_numbers(text: str | None) -> list[int] | None:
    """The numbers in a list such as 1,2; None for none."""
    try:
        return [int(part) for part in text.split(",")] if text else None
    except ValueError:
        raise McugenError("--folds", f"{text!r} is no list of numbers", "write it as 1,2") from None


def on_engine(
    model: Path, name: str, graph: Graph, engine: str, board: str, toolchain: str, grid: InputGrid
) -> EvaluatedModel:
    """The model on one of our engines; `name` is what reports call its file."""
    size, channels = image_size(model, graph)
    runner = open_runner(graph, engine, board, toolchain, many=True)

    def embed(pixels: Array) -> Float:
        codes = encode_inputs(graph, [to_float(model, pixels, grid)])
        return decode(runner.run(codes)[0], graph[graph.outputs[0]].type).reshape(pixels.shape[0], -1)

    return EvaluatedModel(f"{engine}: {name}", embed, size, channels, graph_digest(graph), engine, repr(grid))


def in_keras(model: Path, name: str, graph: Graph, kind: str, grid: InputGrid) -> EvaluatedModel:
    """The same weights in QKeras, or in float with every quantizer taken out."""
    from mcugen.float_twin import float_twin
    from mcugen.reference import golden

    size, channels = image_size(model, graph)
    twin = float_twin(model) if kind == "float" else None

    def embed(pixels: Array) -> Float:
        values = to_float(model, pixels, grid)
        found = twin([values])[0] if twin is not None else list(golden(model, values).values())[-1]
        return np.asarray(found, np.float32).reshape(pixels.shape[0], -1)

    return EvaluatedModel(f"{kind}: {name}", embed, size, channels, graph.digest, kind, repr(grid))


def image_size(model: Path, graph: Graph) -> tuple[tuple[int, int], int]:
    """(height, width) and channels of the model's only input."""
    shape = graph[graph.inputs[0]].type.shape
    if len(graph.inputs) != 1 or len(shape) != 3 or shape[2] not in (1, 3):
        raise McugenError(str(model), f"takes {shape}, not one image", "evaluate a model with one image as its input")
    return (shape[0], shape[1]), shape[2]
