"""Bare kernels: C or assembly built into an ELF without a firmware around it, its functions called and measured."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import unicorn
from unicorn import arm_const

from mcugen.boards import load_board
from mcugen.elf import load_segments, load_symbols
from mcugen.errors import McugenError
from mcugen.profile.model import CoreRules, Counts, MemoryRules
from mcugen.profile.native import open_scoreboard
from mcugen.profile.symbols import find_address, find_function
from mcugen.toolchain import find_toolchain, run

_BOARD = "nucleo-h743zi"
_LINK_FLAGS = ("-nostartfiles", "-Wl,-e,0", "-Wl,--no-gc-sections")
_LINK_SCRIPT = """\
MEMORY
{
    FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 16M
    RAM (rwx) : ORIGIN = 0x24000000, LENGTH = 16M
}
SECTIONS
{
    .text : { *(.text*) *(.rodata*) . = ALIGN(8); } > FLASH
    .ARM.extab : { *(.ARM.extab*) } > FLASH
    .ARM.exidx : { *(.ARM.exidx*) } > FLASH
    .data : { *(.data*) . = ALIGN(8); } > RAM
    .bss : { *(.bss*) *(COMMON) . = ALIGN(8); end = .; } > RAM
}
"""
# The chip's memories, flash and AXI SRAM longer than they are so that large benchmarks fit.
_MEMORY = ((0x00000000, 0x10000), (0x08000000, 16 << 20), (0x20000000, 0x20000), (0x24000000, 16 << 20))
_STACK_TOP = 0x20020000  # in DTCM
_RETURN = 0x100  # in ITCM: where the called function comes back to


def build_bare(
    sources: Sequence[Path | str],
    out: Path | str,
    toolchain: str = "auto",
    flags: Sequence[str] = ("-O3",),
    include: Sequence[Path | str] = (),
) -> Path:
    """Compiles and links C or assembly: code and constants in flash, data in AXI SRAM, nothing started; returns `out`.

    Args:
        toolchain: "gcc", "zig" or "auto".
        flags: further compiler flags, the optimisation level among them.

    Raises:
        McugenError: no such toolchain, or it refused; its message is in the error.
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    script = out.with_suffix(".ld")
    script.write_text(_LINK_SCRIPT, encoding="utf-8")
    kind, command = find_toolchain(toolchain)
    flags = [*load_board(_BOARD).cpu_flags[kind], *(("--specs=nosys.specs",) if kind == "gcc" else ()), "-g", *flags]
    paths = [*(f"-I{folder}" for folder in include), *map(str, sources), "-o", str(out)]
    run([*command, *flags, *paths, "-T", str(script), *_LINK_FLAGS], f"building {out.name}")
    return out


@dataclass(frozen=True)
class FunctionCost:
    """One call: what it returned in r0 (unsigned), and its counts from its first instruction to its return."""

    result: int
    counts: Counts


class BareMachine:
    """An emulated Cortex-M7 with one ELF in it, whose functions can be called one after another on the same memory."""

    def __init__(
        self,
        elf: Path | str,
        core: CoreRules | None = None,
        memory: MemoryRules | None = None,
        native: bool | None = None,
    ) -> None:
        self.elf, self._symbols = Path(elf), load_symbols(Path(elf))
        self._core, self._memory, self._native = core or CoreRules(), memory or MemoryRules(), native
        self.uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, unicorn.arm_const.UC_CPU_ARM_CORTEX_M7)
        for start, size in _MEMORY:
            self.uc.mem_map(start, size)
        for address, data in load_segments(self.elf):
            self.uc.mem_write(address, data)
        self.uc.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)

    def write(self, where: str | int, data: bytes) -> None:
        """Writes bytes at a symbol or an address."""
        self.uc.mem_write(self._locate(where), bytes(data))

    def read(self, where: str | int, size: int) -> bytes:
        """Reads bytes at a symbol or an address."""
        return bytes(self.uc.mem_read(self._locate(where), size))

    def address(self, symbol: str) -> int:
        """Address of a symbol, to be handed in as an argument."""
        return find_address(self._symbols, symbol, self.elf)

    def call(self, symbol: str, args: Sequence[int] = ()) -> FunctionCost:
        """Calls a function with 32-bit integer arguments, with cold caches and predictor.

        Raises:
            McugenError: no such function, or it ran into memory that is not there or an instruction that is none.
        """
        entry = find_function(self._symbols, symbol, self.elf)
        stack = _STACK_TOP - (4 * max(0, len(args) - 4) + 7 & ~7)
        words = [value & 0xFFFFFFFF for value in args]
        for k, value in enumerate(words[:4]):
            self.uc.reg_write(arm_const.UC_ARM_REG_R0 + k, value)
        self.uc.mem_write(stack, struct.pack(f"<{len(words[4:])}I", *words[4:]))
        self.uc.reg_write(arm_const.UC_ARM_REG_SP, stack)
        self.uc.reg_write(arm_const.UC_ARM_REG_LR, _RETURN | 1)
        scoreboard = open_scoreboard(self.uc, self._core, self._memory, self._native)
        try:
            self.uc.emu_start(entry | 1, _RETURN)
        except unicorn.UcError as error:
            at = self.uc.reg_read(arm_const.UC_ARM_REG_PC)
            raise McugenError(symbol, f"stopped at 0x{at:08x}: {error}", "check its arguments and memory") from error
        finally:
            scoreboard.detach()
        return FunctionCost(int(self.uc.reg_read(arm_const.UC_ARM_REG_R0)), scoreboard.counts())

    def _locate(self, where: str | int) -> int:
        return self.address(where) if isinstance(where, str) else where


def measure_function(
    elf: Path | str,
    symbol: str,
    args: Sequence[int] = (),
    contents: Mapping[str | int, bytes] | None = None,
    core: CoreRules | None = None,
    memory: MemoryRules | None = None,
) -> FunctionCost:
    """Loads an ELF, writes `contents` at symbols or addresses, calls one function: see `BareMachine`."""
    machine = BareMachine(elf, core, memory)
    for where, data in (contents or {}).items():
        machine.write(where, data)
    return machine.call(symbol, args)
