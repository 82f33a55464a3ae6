"""mcugen run."""

from __future__ import annotations

import time
from pathlib import Path

import click

from mcugen.commands.common import progress, read_graph, say, warn_of_rounding
from mcugen.commands.partial import Partial, partial_path, run_key
from mcugen.errors import McugenError
from mcugen.inputs import read_inputs, write_array
from mcugen.interpret import decode, encode_inputs
from mcugen.ir import Array
from mcugen.quantise import InputGrid
from mcugen.running import DeviceRunner, Runner, open_runner

_BATCH = {"reference": 16, "host": 64}
_MANY = 256  # samples for which a slower compilation pays


def run(
    model: Path, inputs: tuple[Path, ...], engine: str, output: Path | None, board: str, toolchain: str, goal: str,
    grid: InputGrid,
) -> int:  # fmt: skip
    values = read_inputs(inputs, grid)
    graph = read_graph(model, grid)
    codes = encode_inputs(graph, values)
    warn_of_rounding(graph, values, codes)
    runner = open_runner(graph, engine, board, toolchain, goal, many=len(codes[0]) >= _MANY)
    on_device = isinstance(runner, DeviceRunner)
    kept = Partial(partial_path(output) if on_device else None, run_key(graph, engine, codes) if on_device else "")
    results = _results(runner, codes, kept, engine)
    for i, (name, result) in enumerate(zip(graph.outputs, results, strict=True)):
        dequantized = decode(result, graph[name].type)
        if output is None:
            click.echo(f"{name}: {dequantized.shape}\n{dequantized}")
        else:
            path = output if len(results) == 1 else output.with_name(f"{output.stem}_{i}{output.suffix or '.npy'}")
            write_array(path, dequantized)
            say(f"wrote {path}: float32 {dequantized.shape}")
    kept.remove()
    return 0


def _results(runner: Runner, codes: list[Array], kept: Partial, engine: str) -> list[Array]:
    """All outputs; what came before an error or Ctrl-C is kept for the next run of the same command."""
    count, size, before = codes[0].shape[0], _BATCH.get(engine, 1), kept.done
    if before:
        say(f"{before} of {count} samples are in {kept.path}: going on from there")
    started = time.monotonic()
    try:
        for start in range(before, count, size):
            kept.add(runner.run([x[start : start + size] for x in codes]))
            progress(kept.done, count, time.monotonic() - started, kept.done - before)
    except (KeyboardInterrupt, McugenError):
        kept.save()
        if kept.path is not None and kept.done:
            say(f"{kept.done} of {count} samples are kept in {kept.path}: run the same command again to go on")
        raise
    finally:
        if isinstance(runner, DeviceRunner):
            runner.device.close()
    say(f"{count - before} samples on {engine} in {time.monotonic() - started:.2f} s")
    return kept.results()
