"""mcugen flash."""

from __future__ import annotations

from pathlib import Path

import click

from mcugen.commands.common import say
from mcugen.errors import McugenError


def flash(
    folder: Path | None, tool: str | None, serial_number: str | None, board: str | None, timeout: float | None, show: bool
) -> int:
    from mcugen.flashing import describe_tools, flash_folder

    if show:
        click.echo(describe_tools(board))
        return 0
    if folder is None:
        raise McugenError("FOLDER", "is missing", "name a folder made by `mcugen build`, or use --list")
    click.echo(flash_folder(folder, tool, serial_number, board=board, timeout=timeout, tell=say))
    return 0
