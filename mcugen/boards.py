"""Board files: boards/NAME.toml -> `Board`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from mcugen.errors import McugenError
from mcugen.ir import Board, Region
from mcugen.resources import data_dir

USES = frozenset({"code", "hot_code", "hot_data", "data", "stack", "buffers", "arena", "no_io"})
_REQUIRED_USES = ("code", "hot_code", "hot_data", "data", "stack", "buffers", "arena")
_OPTIONAL_TABLES = ("uart", "firmware", "limits", "timing", "flash_tools", "options")


def list_boards() -> list[str]:
    """Names of the boards that come with mcugen, sorted."""
    return sorted(path.stem for path in data_dir("boards").glob("*.toml"))


def load_board(name_or_path: str | Path) -> Board:
    """Read a board by its name or, when the argument ends in `.toml`, from that file.

    Raises:
        McugenError: no such board or file, not TOML, or a field is missing or of the wrong type.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        if str(name_or_path) not in list_boards():
            known = ", ".join(list_boards())
            raise McugenError(f"board {name_or_path}", "no such board", f"use one of {known}, or a path to a .toml file")
        path = data_dir("boards") / f"{name_or_path}.toml"
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise McugenError(str(path), f"cannot be read ({error.strerror})", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise McugenError(str(path), f"is not TOML ({error})", "correct the board file") from error
    return replace(_board(table, str(path)), text=text)


def _board(table: Mapping[str, Any], where: str) -> Board:
    flags = _field(table, "cpu_flags", dict, where)
    cpu_flags = {tool: tuple(_strings(flags, tool, f"{where} [cpu_flags]")) for tool in flags}
    regions = tuple(_region(entry, where) for entry in _field(table, "region", list, where))
    if not cpu_flags:
        raise McugenError(where, "[cpu_flags] is empty", "give the flags of at least one of gcc and zig")
    _check_regions(regions, where)
    rest = {name: _field(table, name, dict, where) for name in _OPTIONAL_TABLES if name in table}
    return Board(
        name=_field(table, "name", str, where),
        title=_field(table, "title", str, where),
        cpu_flags=cpu_flags,
        clock_hz=_positive(table, "clock_hz", where),
        regions=regions,
        **rest,
    )


def _region(entry: Any, where: str) -> Region:
    if not isinstance(entry, dict):
        raise McugenError(where, "`region` is not a table", "write each region as a [[region]] table")
    name = _field(entry, "name", str, where)
    where = f"{where} region {name}"
    use = tuple(_strings(entry, "use", where))
    unknown = sorted(set(use) - USES)
    if unknown:
        raise McugenError(where, f"unknown use {', '.join(unknown)}", f"use some of {', '.join(sorted(USES))}")
    start = _field(entry, "start", int, where)
    size = _positive(entry, "size", where)
    if start < 0 or start % 32 or start + size > 1 << 32:
        raise McugenError(where, f"start {start:#x}, size {size:#x} is no 32-byte aligned range", "correct the range")
    return Region(name, start, size, use)


def _check_regions(regions: tuple[Region, ...], where: str) -> None:
    names = [region.name for region in regions]
    if len(set(names)) != len(names):
        raise McugenError(where, "two regions have one name", "give every region its own name")
    ordered = sorted(regions, key=lambda region: region.start)
    for low, high in pairwise(ordered):
        if low.start + low.size > high.start:
            raise McugenError(where, f"regions {low.name} and {high.name} overlap", "correct their start or size")
    for use in _REQUIRED_USES:
        homes = [region.name for region in regions if use in region.use]
        if not homes or (use != "arena" and len(homes) > 1):
            raise McugenError(where, f"use `{use}` has {len(homes)} regions", "name it in the `use` of one region")


def _field(table: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    value = table.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        fact = f"`{key}` is missing" if key not in table else f"`{key}` is {value!r}, not {kind.__name__}"
        raise McugenError(where, fact, f"give `{key}` as {kind.__name__}")
    return value


def _positive(table: Mapping[str, Any], key: str, where: str) -> int:
    value = int(_field(table, key, int, where))
    if value <= 0:
        raise McugenError(where, f"`{key}` is {value}", f"give a positive `{key}`")
    return value


def _strings(table: Mapping[str, Any], key: str, where: str) -> list[str]:
    values = _field(table, key, list, where)
    if not all(isinstance(value, str) for value in values):
        raise McugenError(where, f"`{key}` holds something other than strings", "write a list of strings")
    return [str(value) for value in values]
