"""mcugen verify."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click
import numpy as np

from mcugen.cli import save_json
from mcugen.commands.common import read_graph, say, warn_of_rounding
from mcugen.inputs import read_inputs
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Float, Graph
from mcugen.quantise import InputGrid
from mcugen.report import table
from mcugen.running import open_runner
from mcugen.verify import Verification, verify


def verify_model(
    model: Path, inputs: tuple[Path, ...], engine: str, board: str, toolchain: str, goal: str, grid: InputGrid,
    ram_limit: int | None, json_path: Path | None, samples: int, qkeras: bool | None, picture: Path | None,
) -> int:  # fmt: skip
    values = read_inputs(inputs, grid) if inputs else None
    graph = read_graph(model, grid)
    values = values or random_inputs(graph, samples, grid)
    codes = encode_inputs(graph, values)
    warn_of_rounding(graph, values, codes)
    # before the reference, whose work is in vain if this fails
    runner = open_runner(graph, engine, board, toolchain, goal, ram_limit)
    reference = interpret(graph, codes, keep=True)
    actual = runner.trace(codes, reference)
    golden = None
    if qkeras or (qkeras is None and qkeras_installed()):
        from mcugen.reference import golden as ask_qkeras

        say("running QKeras in the golden environment ...")
        fed = {name: _as_the_model_sees(graph, name, x) for name, x in zip(graph.inputs, values, strict=True)}
        golden = ask_qkeras(model, fed if len(fed) > 1 else next(iter(fed.values())), layers=True)
    result = verify(graph, engine, reference, actual, golden)
    click.echo(describe(result))
    save_json(json_path, result.json())
    if picture is not None:
        from mcugen.commands.pictures import draw_errors

        draw_errors(result, picture)
    return 0 if result.passed else 1


def _as_the_model_sees(graph: Graph, name: str, values: Float) -> Float:
    """Float inputs without a quantizer of their own are taken on the uint8 grid, for QKeras as for the device."""
    quantizer = graph[name].attrs["quantizer"]
    if isinstance(quantizer, InputGrid):
        return (quantizer.codes(values).astype(np.float32) * np.float32(graph[name].type.scale)).astype(np.float32)
    return values


def random_inputs(graph: Graph, count: int, grid: InputGrid) -> list[Float]:
    """Random pixels, the darkest and the brightest image first; seed 0."""
    rng = np.random.default_rng(0)
    made = []
    for name in graph.inputs:
        pixels = rng.integers(0, 256, size=(count, *graph[name].type.shape))
        pixels[:1], pixels[1:2] = 0, 255
        made.append(((pixels - grid.offset) * grid.scale).astype(np.float32))
    return made


def qkeras_installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("tensorflow", "tf_keras", "qkeras"))


def describe(result: Verification) -> str:
    """The table, then one sentence a comparison."""
    against = {row.layer: row for row in result.against_reference}
    golden = {row.layer: row for row in result.against_qkeras or ()}
    rows = []
    for name in dict.fromkeys([*against, *golden]):
        mine, theirs = against.get(name), golden.get(name)
        values = (mine or theirs).values  # type: ignore[union-attr]
        keras = "" if theirs is None else theirs.differing
        promise = "" if theirs is None or theirs.promised else f"not promised, worst {theirs.worst_lsb:g} LSB"
        rows.append((name, values, mine.differing if mine else "", keras, promise))
    header = ("layer", "values", f"{result.engine} differs", "QKeras differs", "")
    total = sum(row.values for row in result.against_reference)
    equal = total - sum(row.differing for row in result.against_reference)
    lines = [table(header, rows), "", f"{result.engine} against reference: {equal:,} of {total:,} integers equal"]
    if result.first_difference is not None:
        lines.append(f"first difference: {result.first_difference}")
    if result.against_qkeras is None:
        lines.append("QKeras: not run (pip install 'mcugen[qkeras]' to compare with it)")
    else:
        total = sum(row.values for row in result.against_qkeras)
        equal = total - sum(row.differing for row in result.against_qkeras)
        lines.append(f"reference against QKeras: {equal:,} of {total:,} values equal, smallest cosine {result.cosine:.9f}")
        if result.first_from_qkeras is not None:
            lines.append(f"first difference from QKeras: {result.first_from_qkeras}")
    lines.append("passed" if result.passed else "FAILED")
    return "\n".join(lines)
