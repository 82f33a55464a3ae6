"""What the profiler reads of an ELF file: symbols and loadable bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from mcugen.errors import McugenError


class Image:
    """One ELF file, read at once.

    Args:
        path: the file; its symbol table must not be stripped.

    Raises:
        McugenError: no file, no ELF, or no symbols in it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                elf = ELFFile(file)
                table = elf.get_section_by_name(".symtab")
                symbols = list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []
                loads = [segment for segment in elf.iter_segments() if segment["p_type"] == "PT_LOAD"]
                self.segments = [(int(s["p_vaddr"]), bytes(s.data())) for s in loads if s["p_filesz"]]
        except (OSError, ELFError) as error:
            raise McugenError(str(path), f"is no readable ELF file ({error})", "build the firmware first") from error
        if not symbols:
            raise McugenError(str(path), "has no symbol table", "profile the ELF as linked, before any strip")
        self.symbols = {s.name: int(s["st_value"]) for s in symbols if s.name and s["st_shndx"] != "SHN_UNDEF"}
        self.functions = {s.name: int(s["st_value"]) & ~1 for s in symbols if s["st_info"]["type"] == "STT_FUNC"}

    def address(self, name: str) -> int:
        """Address of a symbol of any kind (bit 0 set for functions).

        Raises:
            McugenError: no such symbol.
        """
        if name not in self.symbols:
            raise McugenError(str(self.path), f"has no symbol '{name}'", "check the name, and that the linker kept it")
        return self.symbols[name]

    def function(self, name: str) -> int:
        """Entry address, without the Thumb bit; finds the one clone "name.constprop.0" that the compiler left of it.

        Raises:
            McugenError: no such function, or several clones.
        """
        found = [name] if name in self.functions else list(self._clones(name))
        if len(found) != 1:
            fact = f"has {len(found)} clones of '{name}'" if found else f"has no function '{name}'"
            raise McugenError(str(self.path), fact, "keep the function whole: __attribute__((noinline, noclone))")
        return self.functions[found[0]]

    def _clones(self, name: str) -> Iterator[str]:
        return (other for other in self.functions if other.startswith(name + ".") and ".cold" not in other)
