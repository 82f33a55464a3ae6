"""Flash tools as the board file describes them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcugen.errors import McugenError
from mcugen.flashing.bundle import BINARY, ELF, Bundle
from mcugen.ir import Board


@dataclass(frozen=True)
class Tool:
    """One [flash_tools.NAME] table; `volume` only of mass storage, everything else only of programs."""

    name: str
    needs: str = ""
    command: tuple[str, ...] = ()
    verify_command: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    chip: str = ""
    verified: str = ""
    install: str = ""
    volume: str = ""
    fail_file: str = ""

    def path(self) -> str | None:
        """The executable, or None where it is not installed."""
        found = shutil.which(self.needs) if self.needs else None
        return os.path.abspath(found) if found else None

    def commands(self, bundle: Bundle, serial: str | None) -> list[list[str]]:
        """What to run in the build folder, one after the other."""
        return [self._filled(command, bundle, serial) for command in (self.command, self.verify_command) if command]

    def _filled(self, command: tuple[str, ...], bundle: Bundle, serial: str | None) -> list[str]:
        values = {"{elf}": ELF, "{bin}": BINARY, "{address}": f"{bundle.address:#x}", "{serial}": serial or ""}
        words: list[str] = [self.path() or self.needs]
        for word in command[1:]:
            words += (self.select if serial else ()) if word == "{select}" else (word,)
        return [_replace(word, values) for word in words]


def _replace(word: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        word = word.replace(key, value)
    return word


def board_tools(board: Board) -> list[Tool]:
    """The board's tools, in the order of its file.

    Raises:
        McugenError: the board has none (a simulated one), or a table lacks what it must have.
    """
    if not board.flash_tools:
        raise McugenError(f"board {board.name}", "has no flash tools: it exists only in a simulator", "build for another board")
    return [_tool(name, table, f"board {board.name} [flash_tools.{name}]") for name, table in board.flash_tools.items()]


_LISTS = ("command", "verify_command", "select")
_STRINGS = ("needs", "chip", "verified", "install", "volume", "fail_file")


def _tool(name: str, table: Any, where: str) -> Tool:
    if not isinstance(table, Mapping):
        raise McugenError(where, "is no table", "correct the board file")
    for key, value in table.items():
        kind = list if key in _LISTS else str if key in _STRINGS else None
        if kind is None or not isinstance(value, kind) or (kind is list and not all(isinstance(word, str) for word in value)):
            expected = {list: "a list of strings", str: "a string", None: "a known key"}[kind]
            raise McugenError(where, f"`{key}` is not {expected}", "correct the board file")
    for key in ("chip", "verified"):
        try:
            re.compile(table.get(key, ""))
        except re.error as error:
            raise McugenError(where, f"`{key}` is no regular expression ({error})", "correct the board file") from error
    if not table.get("volume") and not (table.get("needs") and table.get("command") and table.get("verified")):
        raise McugenError(where, "lacks `needs`, `command` or `verified`, or `volume`", "add them")
    fields: dict[str, Any] = {key: tuple(value) if key in _LISTS else value for key, value in table.items()}
    return Tool(name, **fields)
