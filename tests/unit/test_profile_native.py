"""Building the compiled scoreboard, and doing without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import unicorn
from profile_code import assemble, function
from unicorn import arm_const

from mcugen.errors import McugenError
from mcugen.profile import native
from mcugen.profile.bare import BareMachine, build_bare, measure_function
from mcugen.profile.model import ALL_HITS, CoreRules
from mcugen.profile.scoreboard import PythonScoreboard


def engine() -> unicorn.Uc:
    return unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB, arm_const.UC_CPU_ARM_CORTEX_M7)


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "load_library", lambda: None)
    with pytest.warns(UserWarning, match="in Python"):
        scoreboard = native.open_scoreboard(engine(), CoreRules(), ALL_HITS)
    assert isinstance(scoreboard, PythonScoreboard)
    with pytest.raises(McugenError, match="no C compiler"):
        native.open_scoreboard(engine(), CoreRules(), ALL_HITS, native=True)


def test_function_with_many_arguments(tmp_path: Path) -> None:
    stacked = "ldr r12, [sp] \n ldr r1, [sp, #4] \n add r0, r12 \n sub r0, r1"
    stored = "movw r1, #:lower16:data \n movt r1, #:upper16:data \n ldr r1, [r1] \n add r0, r1"
    elf = assemble(tmp_path, function("sum", f"{stacked} \n {stored} \n bx lr"))
    cost = measure_function(elf, "sum", [-1, 0, 0, 0, 10, 3], {"data": b"\x05\0\0\0"})
    assert (cost.result, cost.counts.instructions) == (11, 9)


def test_failures_are_explained(tmp_path: Path) -> None:
    elf = assemble(tmp_path, function("wild", "mvn r0, #0 \n ldr r0, [r0] \n bx lr"))
    with pytest.raises(McugenError, match="wild: stopped at"):
        measure_function(elf, "wild")
    with pytest.raises(McugenError, match="no symbol 'nothing'"):
        BareMachine(elf).read("nothing", 4)
    with pytest.raises(McugenError, match="no function 'nothing'"):
        measure_function(elf, "nothing")
    broken = tmp_path / "broken.c"
    broken.write_text("int f(")
    with pytest.raises(McugenError, match="building broken"):
        build_bare([broken], tmp_path / "broken.elf")
