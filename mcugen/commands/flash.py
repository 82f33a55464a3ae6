"""mcugen flash."""

from __future__ import annotations

from pathlib import Path

import click


def flash(folder: Path, tool: str | None, serial_number: str | None) -> int:
    from mcugen.flashing import flash_folder

    click.echo(flash_folder(folder, tool, serial_number))
    return 0

