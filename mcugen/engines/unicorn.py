"""The flashable image on a simulated STM32H743: Unicorn's Cortex-M7 with the memories and peripherals of h743.py.

What it counts are instructions, not cycles: no dual issue, caches or wait states. `Simulator.uc` is the Unicorn engine
for other modules to hook (before `run`, or call `uc.ctl_flush_tb()` after adding a hook to code that ran already).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import unicorn
from unicorn import arm_const as arm

from mcugen.elf import load_segments, load_symbols
from mcugen.engines import h743
from mcugen.engines.counter import Counter
from mcugen.engines.exceptions import BUS_FAULT, MEM_MANAGE, USAGE_FAULT, Exceptions
from mcugen.engines.plugin import load_plugin, sources_beside
from mcugen.engines.simulated_port import SimulatedPort
from mcugen.engines.wire import NativeWire, PythonWire
from mcugen.errors import McugenError
from mcugen.ir import Board, Region

MAX_INSTRUCTIONS = 20_000_000_000
_NEVER = 0xFFFFFFFE
_WFI = b"\x30\xbf"
_PATIENCE = 1000  # instructions
_UNCOUNTED_US = 120_000_000  # limit in time where instructions are not counted; it costs a thread at each start
_PAGE = 0x1000
_CLOCKED = range(0x30000000, 0x30048000)  # SRAM1 to 3: memories without a clock after reset
_FAULTS = {  # what it does, exception that the chip raises, bits in CFSR
    unicorn.UC_ERR_READ_UNMAPPED: ("reads memory that is not there", BUS_FAULT, 0x8200),
    unicorn.UC_ERR_WRITE_UNMAPPED: ("writes memory that is not there", BUS_FAULT, 0x8200),
    unicorn.UC_ERR_FETCH_UNMAPPED: ("jumps to memory that is not there", BUS_FAULT, 0x0100),
    unicorn.UC_ERR_WRITE_PROT: ("writes flash", MEM_MANAGE, 0x0082),
    unicorn.UC_ERR_FETCH_PROT: ("jumps to data", MEM_MANAGE, 0x0001),
    unicorn.UC_ERR_INSN_INVALID: ("meets an invalid instruction", USAGE_FAULT, 0x10000),
}


class Simulator:
    """One chip after power-on.

    Args:
        elf_path: what would be flashed.
        board: a board whose [firmware] is the STM32H743's.
        count: insist on instruction counts; without a C compiler they come from a slower hook in Python.
        faults: "raise" ends the simulation with an error that names the place; "deliver" lets the firmware handle it.
        max_instructions: limit between two sleeps of the firmware.
        watchdog_scale: times the watchdog's 8 seconds of 400 million instructions each.

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
        watchdog_scale: float = 1.0,
    ) -> None:
        if "board_h743.c" not in board.firmware.get("sources", ()):
            raise McugenError("unicorn", f"board {board.name} is no STM32H743", "use board nucleo-h743zi")
        self.elf_path, self.board, self.symbols = elf_path, board, load_symbols(elf_path)
        self._deliver, self._max = faults == "deliver", max_instructions
        self.uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        self.uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M7)
        library = load_plugin(sources_beside(__file__, "speed.c"))
        self._counter = Counter(self.uc, library, count)
        self.wire = NativeWire(library) if library else PythonWire()
        self.peripherals = h743.Peripherals(
            board, self.wire, lambda: self._counter.instructions, self._ask_reset, self._clock_memories
        )
        self.peripherals.watchdog_scale = watchdog_scale
        self._map()
        self._exceptions = Exceptions(self.uc)
        self._error: McugenError | None = None
        self._clocked = self._reset_asked = self._returned = False
        self._bad_address = 0
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_bad_access)
        self.reset(h743.RESET_POWER)

    @property
    def instructions(self) -> int:
        """Executed since power-on; blocks that are interrupted by a fault count whole."""
        return self._counter.instructions

    def reset(self, cause: int) -> None:
        """Reset the chip; RAM keeps its contents. `cause`: one of h743.RESET_*."""
        self.peripherals.reset(cause)
        self._exceptions.reset()
        self._reset_asked = self._returned = False
        stack, self._pc = struct.unpack("<II", self.uc.mem_read(self.board.home("code").start, 8))
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
            tick, watchdog = self.peripherals.tick_deadline(), self.peripherals.watchdog_deadline()
            masked = self.instructions + _PATIENCE  # when an interrupt waits that cannot be taken now
            self._counter.stop_at(min(limit, watchdog, tick if self._exceptions.possible else max(tick, masked)))
            self._execute()
            if self._reset_asked:
                self.reset(h743.RESET_SOFTWARE)
            elif self.instructions >= self.peripherals.watchdog_deadline():
                if not self._deliver:
                    raise self._fault("is reset by the watchdog: nothing fed it for 8 seconds")
                self.reset(h743.RESET_WATCHDOG)
            elif self.instructions >= limit:
                raise self._fault(f"did not come to rest within {self._max} instructions")
            elif self._sleeps() and not self.wire.waiting:
                return

    def reset_soon(self) -> None:
        """Reset from within a callback of `on_function`, before the next instructions run."""
        self._ask_reset()

    def _take_interrupt(self) -> None:
        exception = self.peripherals.pending() if self._exceptions.possible else None
        if exception is not None:
            self.peripherals.acknowledge(exception)
            self._pc, _ = self._exceptions.enter(exception, self._pc, self._vectors())

    def transport(self) -> SimulatedPort:
        """The virtual COM port; the chip runs only while its client reads."""
        return SimulatedPort(self.run, self.wire)

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
            if region.start not in _CLOCKED:
                self._map_region(region)
        self.uc.mem_write(code.start, b"\xff" * code.size)
        for address, data in load_segments(self.elf_path):
            if not code.start <= address < code.start + code.size:
                raise McugenError(str(self.elf_path), f"loads to {address:#x}, not flash", f"build it for {self.board.name}")
            self.uc.mem_write(address, data)
        for page in h743.PAGES:
            read, write = self._reader(page), self._writer(page)
            if page == h743.USART3 // _PAGE * _PAGE and isinstance(self.wire, NativeWire):
                self.wire.map(self.uc, page, read, write)
            else:
                self.uc.mmio_map(page, _PAGE, _mmio_read, read, _mmio_write, write)

    def _clock_memories(self) -> None:
        for region in self.board.regions if not self._clocked else ():
            if region.start in _CLOCKED:
                self._map_region(region)
        self._clocked = True

    def _map_region(self, region: Region) -> None:
        code = region is self.board.home("code")
        flags = unicorn.UC_PROT_READ | (0 if code else unicorn.UC_PROT_WRITE)
        flags |= unicorn.UC_PROT_EXEC if code or "hot_code" in region.use else 0
        start = region.start // _PAGE * _PAGE
        self.uc.mem_map(start, -(-(region.start + region.size - start) // _PAGE) * _PAGE, flags)

    def _reader(self, page: int) -> Callable[[int], int]:
        read = self.peripherals.read

        def on_read(offset: int) -> int:
            try:
                return read(page + offset)
            except McugenError as error:
                self._stop(error)
                return 0

        return on_read

    def _writer(self, page: int) -> Callable[[int, int], None]:
        write = self.peripherals.write

        def on_write(offset: int, value: int) -> None:
            try:
                write(page + offset, value)
            except McugenError as error:
                self._stop(error)

        return on_write

    # Running

    def _execute(self) -> None:
        """Run from self._pc until something stops the CPU; faults are raised or delivered."""
        try:
            self.uc.emu_start(self._pc | 1, _NEVER, timeout=0 if self._counter.active else _UNCOUNTED_US)
        except unicorn.UcError as error:
            self._pc = self.uc.reg_read(arm.UC_ARM_REG_PC)
            what, exception, status = _FAULTS.get(error.errno, (f"stops Unicorn ({error})", USAGE_FAULT, 0))
            if not self._deliver:
                raise self._fault(f"{what}, address {self._bad_address:#010x},") from error
            self._deliver_fault(exception, status)
            return
        self._pc = self.uc.reg_read(arm.UC_ARM_REG_PC)
        if self._error is not None:
            raise self._error
        if self._returned:
            self._returned = False
            self._pc = self._exceptions.leave()

    def _deliver_fault(self, exception: int, status: int) -> None:
        registers = self.peripherals.registers
        self._pc, stacked = self._exceptions.enter(exception, self._pc, self._vectors())
        registers[h743.SCB_CFSR] = registers.get(h743.SCB_CFSR, 0) | status | (0 if stacked else 0x10)
        registers[h743.SCB_BFAR] = registers[h743.SCB_MMFAR] = self._bad_address

    def _vectors(self) -> int:
        return self.peripherals.registers.get(h743.SCB_VTOR, 0) or self.board.home("code").start

    def _sleeps(self) -> bool:
        return bool(self.uc.mem_read(self._pc - 2, 2) == _WFI)

    def _on_interrupt(self, uc: Any, number: int, data: Any) -> None:
        """Exception return arrives as a prefetch abort (3) at its magic address; anything else is a fault."""
        pc = uc.reg_read(arm.UC_ARM_REG_PC)
        if number == 3 and pc >= 0xFFFFFFE0:
            self._returned = True
            uc.emu_stop()
        elif number == 3:
            self._stop(self._fault(f"jumps to {pc:#010x}, where no code is,", uc.reg_read(arm.UC_ARM_REG_LR)))
        else:
            self._stop(self._fault(f"meets exception {number}", pc))

    def _on_bad_access(self, uc: Any, access: int, address: int, size: int, value: int, data: Any) -> bool:
        self._bad_address = address
        return False

    def _ask_reset(self) -> None:
        self._reset_asked = True
        self.uc.emu_stop()

    def _stop(self, error: McugenError) -> None:
        self._error = error
        self.uc.emu_stop()

    def _fault(self, fact: str, pc: int | None = None) -> McugenError:
        place = self.symbols.describe(self._pc if pc is None else pc)
        return McugenError("unicorn", f"the firmware {fact} at {place}", "report this as a bug with the model")


def _mmio_read(uc: Any, offset: int, size: int, read: Callable[[int], int]) -> int:
    return read(offset)


def _mmio_write(uc: Any, offset: int, size: int, value: int, write: Callable[[int, int], None]) -> None:
    write(offset, value)
