"""What a built ELF file holds: the flash image, bytes by region, function and object symbols."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from mcugen.errors import McugenError
from mcugen.ir import Board, Region

_ALLOC = 2


@dataclass(frozen=True)
class Symbol:
    """A function or object; `address` without the Thumb bit, `size` in bytes."""

    name: str
    address: int
    size: int
    function: bool


@dataclass(frozen=True)
class Symbols:
    """All functions and objects of an ELF file, by address."""

    all: tuple[Symbol, ...]

    @cached_property
    def by_name(self) -> dict[str, Symbol]:
        return {symbol.name: symbol for symbol in self.all}

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        return tuple(symbol for symbol in self.all if symbol.function)

    @cached_property
    def _starts(self) -> list[int]:
        return [symbol.address for symbol in self.functions]

    def function_at(self, address: int) -> Symbol | None:
        """The function that holds `address`."""
        index = bisect.bisect_right(self._starts, address & ~1) - 1
        if index < 0:
            return None
        symbol = self.functions[index]
        return symbol if (address & ~1) - symbol.address < max(symbol.size, 2) else None

    def describe(self, address: int) -> str:
        """`0x08001234 (conv1+0x12)`, or the bare address outside all functions."""
        symbol = self.function_at(address)
        return f"{address:#010x}" + (f" ({symbol.name}+{(address & ~1) - symbol.address:#x})" if symbol else "")


def _open(path: Path) -> ELFFile:
    try:
        return ELFFile.load_from_path(str(path))
    except (OSError, ELFError) as error:
        raise McugenError(str(path), f"is no readable ELF file ({error})", "build the firmware again") from error


def load_segments(path: Path) -> list[tuple[int, bytes]]:
    """(load address, bytes) of what a flash tool would write.

    Raises:
        McugenError: not an ELF file.
    """
    with _open(path) as elf:
        segments = (segment for segment in elf.iter_segments("PT_LOAD") if segment["p_filesz"])
        return [(int(segment["p_paddr"]), bytes(segment.data())) for segment in segments]


def binary_image(path: Path, code: Region) -> bytes:
    """The flash from the start of `code` to the last byte used; gaps read 0xFF.

    Raises:
        McugenError: something is loaded elsewhere.
    """
    segments = load_segments(path)
    end = max((address + len(data) for address, data in segments), default=code.start)
    image = bytearray(b"\xff" * (end - code.start))
    for address, data in segments:
        if not code.start <= address <= address + len(data) <= code.start + code.size:
            raise McugenError(str(path), f"loads {address:#x}, outside {code.name}", "report this as a bug")
        image[address - code.start : address - code.start + len(data)] = data
    return bytes(image)


def region_bytes(path: Path, board: Board) -> dict[str, int]:
    """Bytes used in each region of the board: sections where they run, and copied sections once more in flash."""
    used = {region.name: 0 for region in board.regions}
    with _open(path) as elf:
        for section in elf.iter_sections():
            if section["sh_flags"] & _ALLOC and section["sh_size"]:
                for region in board.regions:
                    if region.start <= section["sh_addr"] < region.start + region.size:
                        used[region.name] += int(section["sh_size"])
    used[board.home("code").name] = len(binary_image(path, board.home("code")))
    return used


def load_symbols(path: Path) -> Symbols:
    """Functions and objects, by address.

    Raises:
        McugenError: not an ELF file.
    """
    found = {}
    with _open(path) as elf:
        table = elf.get_section_by_name(".symtab")
        for entry in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
            kind = entry["st_info"]["type"]
            if entry.name and kind in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE") and not entry.name.startswith("$"):
                function = kind == "STT_FUNC"
                address = int(entry["st_value"]) & (~1 if function else ~0)
                found[entry.name, address] = Symbol(entry.name, address, int(entry["st_size"]), function)
    return Symbols(tuple(sorted(found.values(), key=lambda symbol: symbol.address)))
