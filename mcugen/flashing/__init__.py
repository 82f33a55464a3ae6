"""Writing a built firmware to a board, with whatever flash tool is installed."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from mcugen.boards import list_boards, load_board
from mcugen.errors import CheckFailed, McugenError
from mcugen.flashing.bundle import Bundle, read_bundle
from mcugen.flashing.failures import explain, last_line
from mcugen.flashing.probes import Probe, list_probes
from mcugen.flashing.process import run
from mcugen.flashing.tools import Tool, board_tools
from mcugen.flashing.volume import copy_to_volume, find_volumes

__all__ = ["Bundle", "Probe", "describe_tools", "flash_folder", "list_probes", "read_bundle"]
LOG = "flash.log"
_BASE_S, _BYTES_PER_S = 60.0, 8192
_SERIAL = re.compile(r"[0-9A-Za-z_.:-]+")


def flash_folder(
    folder: Path,
    tool: str | None = None,
    serial_number: str | None = None,
    *,
    board: str | Path | None = None,
    timeout: float | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> str:
    """Writes the firmware in a build folder to a board, has the tool compare it, and says what was done.

    Args:
        tool: name or executable of the tool; by default the first of the board file that is installed.
        serial_number: the probe to use where several are connected.
        board: the board file the folder was built with, where that does not come with mcugen.
        timeout: seconds the tool may take; by default a minute and what a slow probe needs for the image.
        tell: takes progress.

    Raises:
        McugenError: no build folder, damaged files, no such tool, none installed, several probes and none chosen.
        CheckFailed: the firmware was not written, or not verified.
    """
    if serial_number is not None and not _SERIAL.fullmatch(serial_number):
        raise McugenError("--serial", f"{serial_number!r} is no serial number", "take one that `mcugen flash --list` shows")
    bundle = read_bundle(folder, board)
    chosen = choose_tool(board_tools(bundle.board), tool, serial_number)
    limit = timeout or _BASE_S + bundle.size / _BYTES_PER_S
    if chosen.volume:
        tell(f"copying {bundle.size:,} bytes to the board's volume ...")
        return f"{chosen.name}: {copy_to_volume(chosen, bundle, limit)}; `mcugen test` proves it"
    probes = list_probes()
    if serial_number is None and len(probes) > 1:
        found = ", ".join(map(str, probes))
        raise McugenError(chosen.name, f"{len(probes)} probes are connected: {found}", "choose one with --serial")
    tell(f"writing {bundle.size:,} bytes with {chosen.name} (at most {limit:.0f} s) ...")
    started = time.monotonic()
    _run(chosen, bundle, serial_number, probes, limit)
    took = time.monotonic() - started
    return f"{chosen.name}: wrote {bundle.size:,} bytes at {bundle.address:#x} and compared them in {took:.1f} s"


def choose_tool(tools: list[Tool], name: str | None, serial: str | None) -> Tool:
    """The tool of that name, or the first that is installed (a volume: that is mounted).

    Raises:
        McugenError: unknown, not installed, or the mass storage was to find a probe by its serial number.
    """
    if name is None:
        for tool in tools:
            if tool.path() if tool.needs else serial is None and find_volumes(tool.volume):
                return tool
        hints = "; ".join(f"{tool.name}: {tool.install}" for tool in tools if tool.install)
        raise McugenError("flash", "no flash tool is on the PATH and no board's volume is mounted", f"install one ({hints})")
    found = next((tool for tool in tools if name in (tool.name, tool.needs)), None)
    if found is None:
        raise McugenError(f"--tool {name}", "is not known for this board", f"use one of {', '.join(tool.name for tool in tools)}")
    if found.needs and found.path() is None:
        raise McugenError(found.name, f"{found.needs} is not on the PATH", found.install or "install it")
    if found.volume and serial:
        raise McugenError(found.name, "cannot choose by serial number", "unplug all boards but one, or use another tool")
    return found


def describe_tools(board: str | Path | None = None) -> str:
    """The probes on the USB, and for each board its tools and where they are, as text."""
    probes = list_probes()
    lines = ["probes:", *(f"  {probe}" for probe in probes)] if probes else ["probes: none found"]
    boards = [load_board(board)] if board else [item for item in map(load_board, list_boards()) if item.flash_tools]
    for item in boards:
        lines.append(f"tools for {item.name}, in order of preference:")
        for tool in board_tools(item):
            if tool.volume:
                where = ", ".join(map(str, find_volumes(tool.volume))) or f"no volume {tool.volume} is mounted"
            else:
                where = tool.path() or f"not installed: {tool.install}"
            lines.append(f"  {tool.name:15s} {where}")
    return "\n".join(lines)


def _run(tool: Tool, bundle: Bundle, serial: str | None, probes: list[Probe], limit: float) -> None:
    end, output = time.monotonic() + limit, ""
    for command in tool.commands(bundle, serial):
        outcome = run(command, bundle.folder, max(1.0, end - time.monotonic()))
        output += outcome.output
        log = _keep(bundle.folder / LOG, f"$ {shlex.join(command)}\n{output}[exit code {outcome.code}]\n")
        if outcome.code is None:
            said = last_line(output)
            fact = f"was stopped after {limit:.0f} s" + (f"; the last it said is `{said.strip()[:200]}`" if said else "")
            raise CheckFailed(tool.name, fact, "unplug the board, plug it in and flash again; the flash may be half written")
        if outcome.code:
            raise explain(tool.name, outcome.code, output, log, serial, probes)
    if not re.search(tool.verified, output):
        raise explain(tool.name, 0, output, log, serial, probes)
    if tool.chip and not re.search(tool.chip, output):
        fact = f"wrote and compared the flash, but does not say that it met the board's chip (`{tool.chip}`)"
        raise CheckFailed(tool.name, fact, f"check which board is connected; all it said is in {log or 'its output'}")


def _keep(path: Path, content: str) -> str:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError:
        return ""
    return str(path)
