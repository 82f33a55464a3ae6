"""mcugen profile."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from mcugen.boards import load_board
from mcugen.budget import Limits
from mcugen.build import link, random_codes
from mcugen.commands.common import read_graph
from mcugen.errors import McugenError
from mcugen.inputs import write_text
from mcugen.numerics.packing import to_bytes
from mcugen.pipeline import Compiled, compile_graph
from mcugen.profile import on_device, report
from mcugen.profiling import profile_image
from mcugen.quantise import InputGrid
from mcugen.running import open_port, open_simulated
from mcugen.toolchain import Image

_SIMULATORS = ("unicorn", "renode")
_NO_DEVICE = ("reference", "host", "qemu")


def profile(
    model: Path, board: str, toolchain: str, goal: str, ram_limit: int | None, grid: InputGrid, json_path: Path | None,
    compare: Path | None, picture: Path | None, engine: str | None,
) -> int:  # fmt: skip
    if engine in _NO_DEVICE:
        remedy = f"use {', '.join(_SIMULATORS)} or a serial port"
        raise McugenError(f"--on {engine}", "counts nothing that could stand beside this board's model", remedy)
    old = report.load(compare) if compare is not None else None
    graph = read_graph(model, grid)
    compiled = compile_graph(graph, load_board(board), goal, ram_limit=ram_limit)
    with tempfile.TemporaryDirectory(prefix="mcugen-profile-") as folder:
        image = link(compiled, Path(folder), toolchain, Limits(ram=ram_limit))
        found = profile_image(compiled, image)
        device = _on_device(compiled, image, engine) if engine is not None else None
    click.echo(report.table(found))
    if device is not None:
        click.echo("\n" + on_device.table(found, device))
    if old is not None:
        click.echo("\n" + report.comparison_table(report.compare(old, found)))
    if json_path is not None:
        data = report.to_json(found)
        data = data if device is None else on_device.add_to_json(data, device)
        write_text(json_path, json.dumps(data, indent=1) + "\n")
    if picture is not None:
        try:
            report.draw(found, picture)
        except OSError as error:
            raise McugenError(str(picture), f"cannot be written ({error.strerror})", "name another file") from error
    return 0


def _on_device(compiled: Compiled, image: Image, engine: str) -> on_device.OnDevice:
    """The counts that the device behind `engine`, a simulator or a serial port, gives of its own steps."""
    graph, digest = compiled.graph, compiled.sources.digest
    simulated = engine in _SIMULATORS
    opened = open_simulated(engine, image, digest) if simulated else open_port(engine, compiled.board, bytes.fromhex(digest[:32]))
    codes = random_codes(graph, 1)
    data = [to_bytes(x, graph[name].type).tobytes() for x, name in zip(codes, graph.inputs, strict=True)]
    with opened as device:
        return on_device.measure(device, engine, data)
