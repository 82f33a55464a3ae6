"""Costs handed to the steps of a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import unicorn
from profile_code import assemble, function
from unicorn import arm_const

from mcugen.elf import load_segments, load_symbols
from mcugen.errors import McugenError
from mcugen.profile.measure import Meter

BOTH = pytest.mark.parametrize("native", [True, False], ids=["native", "python"])
RETURN = 0x100

# Each step loops r0 times over two instructions; `tail` is reached by a jump, `helper` from within a step.
LOOP_30, LOOP_40 = (f"movs r0, #{times} \n bl loop" for times in (30, 40))
CODE = (
    function("loop", "1: subs r0, #1 \n bne 1b \n bx lr")
    + function("first", "push {r4, lr} \n movs r0, #10 \n bl helper \n movs r0, #5 \n bl loop \n pop {r4, pc}")
    + function("helper", "1: subs r0, #1 \n bne 1b \n bx lr")
    + function("tail", "movs r0, #20 \n b loop")
    + function("run", f"push {{r4, lr}} \n bl first \n {LOOP_30} \n {LOOP_40} \n pop {{r4, lr}} \n b tail")
    + function("main", "push {r4, lr} \n nop \n bl run \n bl run \n nop \n pop {r4, pc}")
)
FIRST = 3 + 20 + 1 + 2 + 10 + 1 + 1
TAIL = 2 + 40 + 1


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assemble(tmp_path_factory.mktemp("measure"), CODE)


def machine(elf: Path) -> unicorn.Uc:
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, arm_const.UC_CPU_ARM_CORTEX_M7)
    for start, size in ((0, 0x1000), (0x08000000, 0x100000), (0x20000000, 0x20000), (0x24000000, 0x80000)):
        uc.mem_map(start, size)
    for address, data in load_segments(elf):
        uc.mem_write(address, data)
    return uc


def start(uc: unicorn.Uc, elf: Path, name: str = "main") -> None:
    uc.reg_write(arm_const.UC_ARM_REG_SP, 0x20020000)
    uc.reg_write(arm_const.UC_ARM_REG_LR, RETURN | 1)
    uc.emu_start(load_symbols(elf).by_name[name].address | 1, RETURN)


@BOTH
def test_steps_of_an_inference(elf: Path, native: bool) -> None:
    uc = machine(elf)
    steps = [("a", "first"), ("b", "loop"), ("c", "loop"), ("d", "tail")]
    with Meter(uc, elf, steps, "run", native=native) as meter:
        start(uc, elf)
    both = meter.all()
    assert len(both) == 2 and both[1] == meter.last()
    for measurement in both:
        assert [step.name for step in measurement.steps] == ["a", "b", "c", "d"]
        assert [step.counts.instructions for step in measurement.steps] == [FIRST, 61, 81, TAIL]
        assert measurement.between.instructions == 8
        assert measurement.total.instructions == FIRST + 61 + 81 + TAIL + 8
        assert sum(step.counts.modelled_cycles for step in measurement.steps) < measurement.total.modelled_cycles
    cold, warm = both
    assert cold.total.icache_misses > warm.total.icache_misses == 0
    assert meter.counts().instructions == 2 * warm.total.instructions + 6


@BOTH
def test_detached_meter_counts_no_more(elf: Path, native: bool) -> None:
    uc = machine(elf)
    meter = Meter(uc, elf, [], "run", native=native)
    start(uc, elf)
    before = meter.counts()
    meter.detach()
    start(uc, elf)
    assert meter.counts() == before


def test_meters_come_and_go(elf: Path) -> None:
    for _ in range(20):
        uc = machine(elf)
        meters = [Meter(uc, elf, [("a", "first")], "run") for _ in range(2)]
        start(uc, elf)
        assert meters[0].last() == meters[1].last()


@pytest.mark.parametrize(
    ("steps", "run", "fact"),
    [
        ([("a", "second")], "run", "no function 'second'"),
        ([("a", "first")], "runs", "no function 'runs'"),
        ([("a", "first"), ("b", "loop")], "run", "'loop' was called 3 times in one inference, but 1 steps name it"),
        ([("a", "first"), ("b", "main")], "run", "'main' was called 0 times"),
    ],
)
def test_wrong_names_are_refused(elf: Path, steps: list[tuple[str, str]], run: str, fact: str) -> None:
    uc = machine(elf)
    with pytest.raises(McugenError, match=fact):
        meter = Meter(uc, elf, steps, run)
        start(uc, elf)
        meter.last()


def test_no_inference_is_refused(elf: Path) -> None:
    uc = machine(elf)
    meter = Meter(uc, elf, [], "run")
    start(uc, elf, "tail")
    with pytest.raises(McugenError, match="did not run to its end"):
        meter.last()


def test_stripped_elf_is_refused(elf: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.elf"
    broken.write_bytes(b"no elf")
    with pytest.raises(McugenError, match="no readable ELF"):
        Meter(machine(elf), broken, [], "run")
