"""Finding functions and data of an ELF file by name, with errors that say what to do."""

from __future__ import annotations

from pathlib import Path

from mcugen.elf import Symbols
from mcugen.errors import McugenError


def find_function(symbols: Symbols, name: str, elf: Path | str) -> int:
    """Entry address, without the Thumb bit; finds the one clone "name.constprop.0" that the compiler left of it.

    Raises:
        McugenError: no such function, or several of the name.
    """
    if not symbols.functions:
        raise McugenError(str(elf), "has no function symbols", "profile the ELF as linked, before any strip")
    found = {f.address for f in symbols.functions if f.name == name}
    clones = {f.address for f in symbols.functions if f.name.startswith(name + ".") and ".cold" not in f.name}
    found = found or clones
    if len(found) != 1:
        fact = f"has {len(found)} functions '{name}'" if found else f"has no function '{name}'"
        raise McugenError(str(elf), fact, "give it a name of its own and __attribute__((noinline, noclone))")
    return found.pop()


def find_address(symbols: Symbols, name: str, elf: Path | str) -> int:
    """Address of a function or object, without the Thumb bit.

    Raises:
        McugenError: no such symbol.
    """
    if name not in symbols.by_name:
        raise McugenError(str(elf), f"has no symbol '{name}'", "check the name, and that the linker kept it")
    return symbols.by_name[name].address
