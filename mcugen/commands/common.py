"""What several commands share."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mcugen.errors import McugenError
from mcugen.ir import Graph
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
