"""What the cycle model assumes (rules of issue, caches, waiting times) and what it counts; all in CPU cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcugen.errors import McugenError
from mcugen.ir import Board

MAX_REGIONS = 16  # as in scoreboard.h


@dataclass(frozen=True)
class CoreRules:
    """Issue rules that can be varied to see how much a result leans on them.

    Attributes:
        max_loads: loads a cycle.
        mispredict_cycles: lost where the two-bit predictor of a conditional branch was wrong.
        indirect_cycles: from a call, return or table branch to the first instruction behind it.
        taken_cycles: lost at every taken branch although predicted.
        load_extra_cycles: added to the latency of loads into core registers.
    """

    max_loads: int = 2
    mispredict_cycles: int = 6
    indirect_cycles: int = 2
    taken_cycles: int = 0
    load_extra_cycles: int = 0


PESSIMISTIC = CoreRules(max_loads=1, taken_cycles=1, load_extra_cycles=1)


@dataclass(frozen=True)
class CachedRegion:
    """Memory [start, end) behind the caches; `fill_cycles` CPU cycles to fetch one line of it."""

    start: int
    end: int
    fill_cycles: int


@dataclass(frozen=True)
class Window:
    """Part of the address map as a cache miss sees it.

    Attributes:
        wait_states: AXI clocks until the first beat beyond the latency of the bus; the flash has the board's.
        bus_bytes: width of the narrowest bus on the way; 0 stands for the AXI bus.
    """

    start: int
    end: int
    wait_states: int = 0
    bus_bytes: int = 0


# The STM32H7's memories behind the caches. Tightly coupled ones (0x00000000, 0x20000000) never wait and are not here.
# Bus widths are ST's; the wait states of the bridges to domains D2 (SRAM1 to 3) and D3 (SRAM4) are assumed.
FLASH = Window(0x08000000, 0x10000000)
AXI_SRAM = Window(0x24000000, 0x30000000)
D2_SRAM = Window(0x30000000, 0x38000000, wait_states=4, bus_bytes=4)
D3_SRAM = Window(0x38000000, 0x40000000, wait_states=8, bus_bytes=4)
BUS_LATENCY = 5  # AXI clocks from a miss to the first beat out of a memory without wait states; assumed

# What a board file's [timing] may say, with the defaults; the other two keys are there for the reader.
_TIMING = {
    "core_hz": 400_000_000,
    "axi_hz": 200_000_000,
    "axi_bytes": 8,
    "flash_wait_states": 2,
    "cache_line_bytes": 32,
    "icache_bytes": 16384,
    "icache_ways": 2,
    "dcache_bytes": 16384,
    "dcache_ways": 4,
    "flash_word_bytes": 32,
    "itcm_wait_states": 0,
    "dtcm_wait_states": 0,
}


def line_fill_cycles(window: Window, timing: Mapping[str, int]) -> int:
    """CPU cycles to fetch one cache line: bus latency, wait states, and one AXI clock for every beat."""
    waits = timing["flash_wait_states"] if window == FLASH else window.wait_states
    beats = timing["cache_line_bytes"] // (window.bus_bytes or timing["axi_bytes"])
    return (BUS_LATENCY + waits + beats) * timing["core_hz"] // timing["axi_hz"]


def _regions(timing: Mapping[str, int]) -> tuple[CachedRegion, ...]:
    windows = (FLASH, AXI_SRAM, D2_SRAM, D3_SRAM)
    return tuple(CachedRegion(w.start, w.end, line_fill_cycles(w, timing)) for w in windows)


@dataclass(frozen=True)
class MemoryRules:
    """Caches, and what a miss costs; `write_miss_stalls` charges write misses too, as if no store buffer hid them."""

    regions: tuple[CachedRegion, ...] = field(default_factory=lambda: _regions(_TIMING))
    line_bytes: int = 32
    icache_bytes: int = 16384
    icache_ways: int = 2
    dcache_bytes: int = 16384
    dcache_ways: int = 4
    write_miss_stalls: bool = False

    def sets(self, cache: str) -> int:
        """Sets of the "icache" or the "dcache"."""
        size, ways = (getattr(self, f"{cache}_{what}") for what in ("bytes", "ways"))
        return int(size // (ways * self.line_bytes))

    @classmethod
    def from_board(cls, board: Board) -> MemoryRules:
        """Clocks, flash wait states and caches from the board file's [timing]; what it leaves out is as on 400 MHz.

        Raises:
            McugenError: an unknown key, a value that is no positive integer (wait states may be 0), or a cache whose
                size is no power of two times its ways.
        """
        where = f"board {board.name}"
        _check_timing(board.timing, where)
        timing = {**_TIMING, **board.timing}
        shape: dict[str, Any] = {key: timing[key] for key in timing if key.startswith(("icache_", "dcache_"))}
        rules = cls(_regions(timing), timing["cache_line_bytes"], **shape)
        for size in (rules.line_bytes, rules.sets("icache"), rules.sets("dcache")):
            if size.bit_count() != 1:
                raise McugenError(where, "[timing] describes a cache that no power of two divides", "correct its shape")
        return rules


ALL_HITS = MemoryRules(regions=())


def _check_timing(timing: Mapping[str, Any], where: str) -> None:
    for key, value in timing.items():
        if key not in _TIMING:
            raise McugenError(where, f"[timing] does not know '{key}'", f"use {', '.join(_TIMING)}")
        if not isinstance(value, int) or value < (0 if key.endswith("wait_states") else 1):
            raise McugenError(where, f"[timing] {key} is {value!r}", "write a positive integer")


@dataclass(frozen=True)
class Counts:
    """Counted (instructions, misses) or modelled (cycles) over a stretch of execution.

    `modelled_cycles` takes every memory access for a hit without waiting; `memory_cycles` are the further cycles that
    cache misses stall.
    """

    instructions: int = 0
    modelled_cycles: int = 0
    memory_cycles: int = 0
    mispredicts: int = 0
    icache_misses: int = 0
    dcache_misses: int = 0

    @property
    def modelled_cycles_with_memory(self) -> int:
        return self.modelled_cycles + self.memory_cycles

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(a - b for a, b in zip(self.as_tuple(), other.as_tuple(), strict=True)))

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self.as_tuple(), other.as_tuple(), strict=True)))

    def as_tuple(self) -> tuple[int, ...]:
        """All fields in order of declaration."""
        return (
            self.instructions,
            self.modelled_cycles,
            self.memory_cycles,
            self.mispredicts,
            self.icache_misses,
            self.dcache_misses,
        )


@dataclass(frozen=True)
class Call:
    """One finished call of a watched function; `depth` counts the watched calls it ran inside of."""

    watch: int
    depth: int
    begin: Counts
    end: Counts

    @property
    def counts(self) -> Counts:
        return self.end - self.begin
