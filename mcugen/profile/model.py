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
    """Part of the address map as the bus sees it: AXI clocks to wait for the first beat, beats to fill a line."""

    name: str
    start: int
    end: int
    wait_states: int
    beats: int


# Tightly coupled memories (0x00000000, 0x20000000) answer without waiting and are no part of this table. Read from ST's
# manual: bus widths, flash wait states. Assumed: wait states of the bridges to the D2 and D3 domains.
STM32H7_WINDOWS = (
    Window("flash", 0x08000000, 0x10000000, 4, 4),
    Window("axi_sram", 0x24000000, 0x30000000, 0, 4),
    Window("d2_sram", 0x30000000, 0x38000000, 4, 8),
    Window("d3_sram", 0x38000000, 0x40000000, 8, 8),
)
BUS_DIVIDER = 2  # CPU clocks in one AXI clock
BUS_LATENCY = 5  # AXI clocks between a miss and the first beat of a memory without wait states; assumed
_TIMING_KEYS = ("bus_divider", "bus_latency", "wait_states")


def _default_regions() -> tuple[CachedRegion, ...]:
    return regions_of({})


@dataclass(frozen=True)
class MemoryRules:
    """Caches, and what a miss costs; `write_miss_stalls` charges write misses too, as if no store buffer hid them."""

    regions: tuple[CachedRegion, ...] = field(default_factory=_default_regions)
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
        """Waiting times from the board file's table [timing]; what it leaves out has the defaults of this file.

        Keys: `bus_divider` (CPU clocks in one AXI clock), `bus_latency` (AXI clocks), and the table `wait_states` with
        AXI clocks for any of flash, axi_sram, d2_sram, d3_sram.
        """
        return cls(regions=regions_of(board.options.get("timing", {}), f"board {board.name}"))


ALL_HITS = MemoryRules(regions=())


def regions_of(timing: Mapping[str, Any], where: str = "timing") -> tuple[CachedRegion, ...]:
    """Cached regions of an STM32H7 from a [timing] table.

    Raises:
        McugenError: an unknown key, or a value that is no non-negative integer.
    """
    waits = timing.get("wait_states", {})
    names = [window.name for window in STM32H7_WINDOWS]
    for key in (*timing, *waits):
        if key not in (*_TIMING_KEYS, *names):
            raise McugenError(where, f"[timing] does not know '{key}'", f"use {', '.join((*_TIMING_KEYS, *names))}")
    divider, latency = timing.get("bus_divider", BUS_DIVIDER), timing.get("bus_latency", BUS_LATENCY)
    for value in (divider, latency, *waits.values()):
        if not isinstance(value, int) or value < 0:
            raise McugenError(where, f"[timing] holds {value!r}", "write non-negative integers, in clocks")
    return tuple(
        CachedRegion(w.start, w.end, divider * (latency + waits.get(w.name, w.wait_states) + w.beats))
        for w in STM32H7_WINDOWS
    )


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
