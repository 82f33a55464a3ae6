"""What several commands share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from mcugen.errors import McugenError
from mcugen.findings import GRID_REMEDY
from mcugen.ir import Array, Float, Graph
from mcugen.pipeline import integer_graph
from mcugen.quantise import InputGrid
from mcugen.quantizers import parse


def make_grid(input_scale: float, input_offset: int, plain_weights: str | None = None) -> InputGrid:
    """What stands in for quantizers that the model lacks; refuses scales that make no sense."""
    if not 0 < input_scale < 1e6:
        raise McugenError("--input-scale", f"{input_scale} is no positive number", "give a number such as 0.0078125")
    return InputGrid(input_scale, input_offset, parse(plain_weights, "--plain-weights"))


def read_graph(model: Path, grid: InputGrid) -> Graph:
    """The model's integer graph."""
    return integer_graph(model, grid)


def warn_of_rounding(graph: Graph, inputs: Sequence[Float], codes: Sequence[Array]) -> None:
    """Says which inputs without a quantizer of their own were not on the grid that stands in for it."""
    for name, values, code in zip(graph.inputs, inputs, codes, strict=True):
        grid = graph[name].attrs["quantizer"]
        if isinstance(grid, InputGrid):
            error = np.abs(values - code * grid.scale) / grid.scale
            moved, outside = int((error > 0.01).sum()), int((error > 0.51).sum())
            if moved:
                fact = f"{moved:,} of {values.size:,} values were rounded to {grid}, {outside:,} of them from outside"
                say(f"warning: input {name}: {fact}; {GRID_REMEDY}")


def say(text: str) -> None:
    """Progress, to standard error."""
    click.echo(text, err=True)


def progress(done: int, total: int, seconds: float | None = None, fresh: int | None = None) -> None:
    """One line of progress that overwrites itself on a terminal and keeps quiet in files.

    Args:
        seconds: how long `fresh` of the done ones (default: all) took, for the rate and the time left.
    """
    if sys.stderr.isatty():
        click.echo(f"\r{progress_text(done, total, seconds, fresh):60}" + ("\n" if done == total else ""), err=True, nl=False)


def progress_text(done: int, total: int, seconds: float | None = None, fresh: int | None = None) -> str:
    """See `progress`."""
    fresh = done if fresh is None else fresh
    if not seconds or not fresh:
        return f"{done} of {total}"
    return f"{done} of {total}, {fresh / seconds:.3g} a second, {(total - done) * seconds / fresh:.0f} s left"
