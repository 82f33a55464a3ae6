"""mcugen run."""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np

from mcugen.commands.common import make_grid, progress, read_graph, say
from mcugen.errors import McugenError
from mcugen.inputs import read_inputs, write_array
from mcugen.interpret import decode, encode_inputs
from mcugen.running import open_runner

_BATCH = {"reference": 16, "host": 64}


def run(
    model: Path, inputs: tuple[Path, ...], engine: str, output: Path | None, board: str, toolchain: str, goal: str,
    input_scale: float, input_offset: int,
) -> int:  # fmt: skip
    if output is not None and not output.resolve().parent.is_dir():
        raise McugenError(str(output), "its folder does not exist", "make the folder first")
    grid = make_grid(input_scale, input_offset)
    values = read_inputs(inputs, grid)
    graph = read_graph(model, grid)
    codes = encode_inputs(graph, values)
    runner = open_runner(graph, engine, board, toolchain, goal)
    count, size = codes[0].shape[0], _BATCH.get(engine, 1)
    started, parts = time.monotonic(), []
    for start in range(0, count, size):
        parts.append(runner.run([x[start : start + size] for x in codes]))
        progress(min(start + size, count), count)
    results = [np.concatenate([part[i] for part in parts]) for i in range(len(graph.outputs))]
    say(f"{count} samples on {engine} in {time.monotonic() - started:.2f} s")
    for i, (name, result) in enumerate(zip(graph.outputs, results, strict=True)):
        dequantized = decode(result, graph[name].type)
        if output is None:
            click.echo(f"{name}: {dequantized.shape}\n{dequantized}")
        else:
            path = output if len(results) == 1 else output.with_name(f"{output.stem}_{i}{output.suffix or '.npy'}")
            write_array(path, dequantized)
            say(f"wrote {path}: float32 {dequantized.shape}")
    return 0
