"""Caches and waiting times against misses counted by hand; the board file's part in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from profile_code import assemble, function, straight

from mcugen.boards import load_board
from mcugen.errors import McugenError
from mcugen.profile.bare import BareMachine, FunctionCost
from mcugen.profile.model import Counts, MemoryRules

BOTH = pytest.mark.parametrize("native", [True, False], ids=["native", "python"])
AXI, DTCM, FLASH = 0x24000000, 0x20000000, 0x08000000
AXI_FILL, FLASH_FILL = 18, 22  # (5 + 4) and (5 + 2 + 4) AXI clocks of two CPU clocks

# touch(address, stride, count, passes): goes over the same addresses several times.
TOUCH = """
    push {{r4, r5, lr}}
2:  mov r4, r0
    mov r5, r2
1:  {access} r12, [r4]
    add r4, r4, r1
    subs r5, r5, #1
    bne 1b
    subs r3, r3, #1
    bne 2b
    pop {{r4, r5, pc}}
"""


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    touch = "".join(function(f"touch_{access}", TOUCH.format(access=access)) for access in ("ldr", "str"))
    return assemble(tmp_path_factory.mktemp("memory"), touch + straight("straight", "add.w r0, r0, #1", 1000))


def data_cost(elf: Path, native: bool, *args: int, access: str = "ldr", rules: MemoryRules | None = None) -> Counts:
    """What the data cache adds: without the lines of code, which are the same for every call of one function."""
    machine = BareMachine(elf, memory=rules, native=native)
    costs = [machine.call(f"touch_{access}", a) for a in (args, (DTCM, 0, 1, 1))]
    return costs[0].counts - costs[1].counts


@BOTH
@pytest.mark.parametrize(
    ("args", "misses"),
    [
        ((AXI, 32, 100, 1), 100),
        ((AXI, 4, 100, 1), 13),  # 400 bytes lie in 13 lines
        ((AXI, 32, 512, 3), 512),  # just 16 KiB
        ((AXI, 4096, 4, 10), 4),  # four ways of one set
        ((AXI, 4096, 5, 10), 50),  # five lines in four ways: each is gone before its turn
        ((AXI + 30, 32, 1, 1), 2),  # across two lines
        ((DTCM, 32, 512, 3), 0),
    ],
)
def test_read_misses(elf: Path, args: tuple[int, ...], misses: int, native: bool) -> None:
    cost = data_cost(elf, native, *args)
    assert (cost.dcache_misses, cost.memory_cycles, cost.icache_misses) == (misses, misses * AXI_FILL, 0)


@BOTH
def test_flash_is_slower(elf: Path, native: bool) -> None:
    cost = data_cost(elf, native, FLASH, 32, 10, 1)
    assert cost.memory_cycles == 10 * FLASH_FILL


@BOTH
def test_write_misses_stall_on_demand_only(elf: Path, native: bool) -> None:
    cost = data_cost(elf, native, AXI, 32, 10, 2, access="str")
    assert (cost.dcache_misses, cost.memory_cycles) == (10, 0)
    cost = data_cost(elf, native, AXI, 32, 10, 2, access="str", rules=MemoryRules(write_miss_stalls=True))
    assert (cost.dcache_misses, cost.memory_cycles) == (10, 10 * AXI_FILL)


@BOTH
def test_code_comes_from_flash_once(elf: Path, native: bool) -> None:
    cost: FunctionCost = BareMachine(elf, native=native).call("straight")
    # 1000 instructions of 4 bytes fill 125 lines; what stands before them, aligned to a line, and after them one more.
    assert cost.counts.icache_misses == 126
    assert cost.counts.memory_cycles == 126 * FLASH_FILL


def test_modelled_cycles_leave_memory_out(elf: Path) -> None:
    near, far = (BareMachine(elf).call("touch_ldr", (start, 32, 100, 1)).counts for start in (DTCM, AXI))
    assert near.modelled_cycles == far.modelled_cycles
    assert far.modelled_cycles_with_memory == far.modelled_cycles + far.memory_cycles


def test_board_file_sets_the_times() -> None:
    board = load_board("nucleo-h743zi")
    rules = MemoryRules.from_board(board)
    assert rules == MemoryRules()
    assert [region.fill_cycles for region in rules.regions] == [FLASH_FILL, AXI_FILL, 34, 42]
    clocks = {"core_hz": 480_000_000, "axi_hz": 240_000_000, "flash_wait_states": 4}
    fast = {**board.timing, **clocks, "dcache_bytes": 32768}
    rules = MemoryRules.from_board(replace(board, timing=fast))
    assert (rules.regions[0].fill_cycles, rules.sets("dcache")) == (26, 256)


@pytest.mark.parametrize(
    ("timing", "fact"),
    [
        ({"flash_waits": 2}, "does not know 'flash_waits'"),
        ({"axi_hz": 0}, "axi_hz is 0"),
        ({"icache_bytes": 12000}, "no power of two"),
    ],
)
def test_board_file_refused(timing: dict[str, int], fact: str) -> None:
    with pytest.raises(McugenError, match=fact):
        MemoryRules.from_board(replace(load_board("nucleo-h743zi"), timing=timing))
