"""The flashable image on a simulated STM32H743: Unicorn's Cortex-M7 with the memories and peripherals of h743.py.

What it counts are instructions, not cycles: no dual issue, caches or wait states. `Simulator.uc` is the Unicorn engine
for other modules to hook (before `run`, or call `uc.ctl_flush_tb()` after adding a hook to code that ran already).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import unicorn
from unicorn import arm_const as arm

from mcugen.elf import load_segments, load_symbols
from mcugen.engines import h743
from mcugen.errors import McugenError
from mcugen.ir import Board
from mcugen.plugin import add_native_hook, load_plugin, sources_beside, unicorn_function

MAX_INSTRUCTIONS = 20_000_000_000
_NEVER = 0xFFFFFFFE
_WFI = 0xBF30
_PAGE = 0x1000
_CLOCKED = ("sram1", "sram2", "sram3")  # memories without a clock after reset
_S_REGISTERS = tuple(arm.UC_ARM_REG_S0 + n for n in range(16))
_FAULTS = {
    unicorn.UC_ERR_READ_UNMAPPED: "reads unmapped memory",
    unicorn.UC_ERR_WRITE_UNMAPPED: "writes unmapped memory",
    unicorn.UC_ERR_FETCH_UNMAPPED: "jumps to unmapped memory",
    unicorn.UC_ERR_WRITE_PROT: "writes flash",
    unicorn.UC_ERR_FETCH_PROT: "jumps to data",
    unicorn.UC_ERR_INSN_INVALID: "meets an invalid instruction",
}


class _Counter(ctypes.Structure):
    """Head of `counter` in blocks.c."""

    _fields_ = [  # noqa: RUF012
        ("instructions", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("stop", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
    ]


class Simulator:
    """One chip after power-on.

    Args:
        elf_path: what would be flashed.
        board: a board whose [firmware] is the STM32H743's.
        count: insist on instruction counts; without a C compiler they come from a slower hook in Python.
        faults: "raise" ends the simulation with an error that names the place; "deliver" lets the firmware handle it.
        max_instructions: limit between two sleeps of the firmware.

    Raises:
        McugenError: no ELF file, or it is not for this chip.
    """

    def __init__(
        self,
        elf_path: Path,
        board: Board,
        *,
        count: bool = True,
        faults: str = "raise",
        max_instructions: int = MAX_INSTRUCTIONS,
    ) -> None:
        if "board_h743.c" not in board.firmware.get("sources", ()):
            raise McugenError("unicorn", f"board {board.name} is no STM32H743", "use board nucleo-h743zi")
        self.elf_path, self.board, self.symbols = elf_path, board, load_symbols(elf_path)
        self._deliver, self._max = faults == "deliver", max_instructions
        self.uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M7)
        self._count_hook(count)
        self.peripherals = h743.Peripherals(board, lambda: self.instructions, self._ask_reset, self._clock_memories)
        self._map()
        self._error: McugenError | None = None
        self._reset_asked = self._returned = False
        self._fault_address = 0
        self._saved: list[list[int]] = []
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_bad_access)
        self.reset(h743.RESET_POWER)

    @property
    def instructions(self) -> int:
        """Executed since power-on; blocks that are interrupted by a fault count whole."""
        return int(self._counter.instructions)

    def reset(self, cause: int) -> None:
        """Reset the chip; RAM keeps its contents. `cause`: one of h743.RESET_*."""
        self.peripherals.reset(cause)
        self._saved.clear()
        self._reset_asked = self._returned = False
        vectors = self.board.home("code").start
        stack, self._pc = struct.unpack("<II", self.uc.mem_read(vectors, 8))
        for name in ("PRIMASK", "IPSR", "CONTROL"):
            self.uc.reg_write(getattr(arm, f"UC_ARM_REG_{name}"), 0)
        self.uc.reg_write(arm.UC_ARM_REG_SP, stack)
        self.uc.reg_write(arm.UC_ARM_REG_LR, 0xFFFFFFFF)

    def run(self) -> None:
        """Go on until the firmware sleeps with no input left.

        Raises:
            McugenError: a fault, or the firmware did not sleep within the limit.
        """
        limit = self.instructions + self._max
        while True:
            self._take_interrupt()
            deadlines = (limit, self.peripherals.tick_deadline(), self.peripherals.watchdog_deadline())
            self._counter.deadline = min(deadlines)
            self._step()
            if self._reset_asked:
                self.reset(h743.RESET_SOFTWARE)
            elif self._returned:
                self._exception_return()
            elif self.instructions >= self.peripherals.watchdog_deadline():
                self._watchdog()
            elif self.instructions >= limit:
                raise self._fault(f"does not come to rest within {self._max} instructions")
            elif self._sleeps() and not self.peripherals.received:
                return

    def transport(self) -> SimulatedPort:
        """The virtual COM port."""
        return SimulatedPort(self)

    def on_function(self, name: str, callback: Callable[[int], None]) -> None:
        """Call `callback` with r1 whenever the function `name` is entered.

        `after_step` of protocol.c is entered after each step with r1 = the step's index, a model's run function before
        the first. Raises McugenError if the ELF has no such function.
        """
        symbol = self.symbols.by_name.get(name)
        if symbol is None or not symbol.function:
            raise McugenError(str(self.elf_path), f"has no function {name}", "check the name, and that it was linked")

        def on_code(uc: Any, address: int, size: int, data: Any) -> None:
            callback(int(uc.reg_read(arm.UC_ARM_REG_R1)))

        self.uc.hook_add(unicorn.UC_HOOK_CODE, on_code, begin=symbol.address, end=symbol.address)
        self.uc.ctl_flush_tb()

    # Set-up

    def _map(self) -> None:
        code = self.board.home("code")
        for region in self.board.regions:
            flags = unicorn.UC_PROT_READ
            flags |= 0 if region is code else unicorn.UC_PROT_WRITE
            flags |= unicorn.UC_PROT_EXEC if region is code or "hot_code" in region.use else 0
            start = region.start // _PAGE * _PAGE
            end = -(-(region.start + region.size) // _PAGE) * _PAGE
            if region.name not in _CLOCKED:
                self.uc.mem_map(start, end - start, flags)
        self.uc.mem_write(code.start, b"\xff" * code.size)
        for address, data in load_segments(self.elf_path):
            if not code.start <= address < code.start + code.size:
                raise McugenError(str(self.elf_path), f"loads to {address:#x}, not flash", f"build it for {self.board.name}")
            self.uc.mem_write(address, data)
        for page in h743.PAGES:
            self.uc.mmio_map(page, _PAGE, self._reader(page), None, self._writer(page), None)

    def _clock_memories(self) -> None:
        if self.uc.mem_regions and not self._clocked:
            self._clocked = True

    def _reader(self, page: int) -> Callable[[Any, int, int, Any], int]:
        read = self.peripherals.read

        def on_read(uc: Any, offset: int, size: int, data: Any) -> int:
            try:
                return read(page + offset)
            except McugenError as error:
                self._stop(error)
                return 0

        return on_read

    def _writer(self, page: int) -> Callable[[Any, int, int, int, Any], None]:
        write = self.peripherals.write

        def on_write(uc: Any, offset: int, size: int, value: int, data: Any) -> None:
            try:
                write(page + offset, value)
            except McugenError as error:
                self._stop(error)

        return on_write

    def _count_hook(self, count: bool) -> None:
        library = load_plugin(sources_beside(__file__, "blocks.c"))
        if library is None:
            self._counter = _Counter()
            if count:
                self.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
            return
        library.counter_bytes.restype = ctypes.c_uint64
        self._memory = ctypes.create_string_buffer(library.counter_bytes())
        self._counter = _Counter.from_buffer(self._memory)
        self._counter.stop, self._counter.read = unicorn_function("uc_emu_stop"), unicorn_function("uc_mem_read")
        add_native_hook(self.uc, unicorn.UC_HOOK_BLOCK, library.count_block, self._memory)

    def _on_block(self, uc: Any, address: int, size: int, data: Any) -> None:
        code = uc.mem_read(address & ~1, size)
        at = 0
        while at + 1 < size:
            at += 4 if code[at + 1] >= 0xE8 else 2
            self._counter.instructions += 1
        if self._counter.instructions >= self._counter.deadline:
            uc.emu_stop()
