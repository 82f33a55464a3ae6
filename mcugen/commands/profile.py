"""mcugen profile."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from mcugen.boards import load_board
from mcugen.build import link
from mcugen.commands.common import make_grid, read_graph
from mcugen.errors import McugenError
from mcugen.inputs import write_text
from mcugen.pipeline import compile_graph
from mcugen.profile import report
from mcugen.profiling import profile_image


def profile(
    model: Path, board: str, toolchain: str, goal: str, input_scale: float, input_offset: int, json_path: Path | None,
    compare: Path | None, picture: Path | None,
) -> int:  # fmt: skip
    old = report.load(compare) if compare is not None else None
    graph = read_graph(model, make_grid(input_scale, input_offset))
    compiled = compile_graph(graph, load_board(board), goal)
    with tempfile.TemporaryDirectory(prefix="mcugen-profile-") as folder:
        image = link(compiled, Path(folder), toolchain)
        found = profile_image(compiled, image)
    click.echo(report.table(found))
    if old is not None:
        click.echo("\n" + report.comparison_table(report.compare(old, found)))
    if json_path is not None:
        import json

        write_text(json_path, json.dumps(report.to_json(found), indent=1) + "\n")
    if picture is not None:
        try:
            report.draw(found, picture)
        except OSError as error:
            raise McugenError(str(picture), f"cannot be written ({error.strerror})", "name another file") from error
    return 0
