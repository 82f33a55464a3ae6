"""Both scoreboards against loops counted by hand, and against each other."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from profile_code import assemble, compile_c, function, per_repetition, straight

from mcugen.profile.bare import BareMachine
from mcugen.profile.model import ALL_HITS, PESSIMISTIC, CoreRules

BOTH = pytest.mark.parametrize("native", [True, False], ids=["native", "python"])

# name: (instructions executed in one repetition, cycles that 100 repetitions take, code)
CASES: dict[str, tuple[int, int, str]] = {
    "dependent_adds": (2, 200, "add r0, r0, #1 \n add r0, r0, #1"),
    "independent_adds": (2, 100, "add r0, r0, #1 \n add r1, r1, #1"),
    "address_from_load": (1, 200, "ldr r2, [r2]"),
    "use_of_load": (2, 100, "ldr r0, [r2] \n add r1, r1, r0"),
    "use_of_byte_load": (2, 200, "ldrb r0, [r2] \n add r1, r1, r0"),
    "shift_of_load": (2, 200, "ldr r0, [r2] \n add r1, r1, r0, lsl #2"),
    "two_loads": (2, 100, "ldr r0, [r2] \n ldr r1, [r2, #4]"),
    "two_stores": (2, 200, "str r0, [r2, #4] \n str r1, [r2, #8]"),
    "load_and_store": (2, 100, "ldr r0, [r2] \n str r1, [r2, #8]"),
    "store_of_new_value": (2, 100, "add r0, r0, #1 \n str r0, [r2, #4]"),
    "load_pair": (1, 100, "ldrd r0, r1, [r2]"),
    "load_four": (1, 300, "ldm r2, {r4-r7}"),
    "accumulate": (1, 100, "smlad r0, r1, r3, r0"),
    "accumulate_as_factor": (1, 200, "smlad r0, r0, r3, r1"),
    "accumulate_64": (1, 100, "smlal r0, r1, r3, r3"),
    "multiply": (1, 200, "mul r0, r0, r1"),
    "one_multiplier": (2, 200, "smlad r0, r1, r3, r0 \n smlad r4, r1, r3, r4"),
    "one_shifter": (2, 200, "lsl r0, r0, #1 \n lsl r4, r4, #1"),
    "shift_and_add": (2, 100, "lsl r0, r0, #1 \n add r4, r4, #1"),
    "wide_constants": (2, 200, "and r0, r0, #0xff00 \n and r4, r4, #0xff00"),
    "simd_goes_first": (2, 200, "sxtb16 r0, r1 \n sxtb16 r4, r1"),
    "simd_beside_accumulate": (2, 100, "sxtb16 r0, r1 \n smlad r4, r1, r3, r4"),
    "extension_early": (2, 300, "add r0, r0, #1 \n sxtb16 r0, r0"),
    "saturation": (2, 500, "smmulr r0, r0, r1 \n ssat r0, #8, r0"),
    "division": (1, 700, "udiv r0, r0, r1"),
    "if_then_skipped": (3, 200, "cmp r1, #0 \n it eq \n moveq r0, #1"),
    "if_then_taken": (3, 200, "cmp r1, #1 \n it eq \n moveq r0, #1"),
    "float_chain": (1, 300, "vadd.f32 s0, s0, s1"),
    "one_float_unit": (3, 300, "vadd.f32 s0, s0, s1 \n vadd.f32 s2, s2, s1 \n vadd.f32 s3, s3, s1"),
    "call_and_return": (2, 400, "bl leaf"),
    # The int8 kernel's inner step, 16 multiply-accumulates.
    "sixteen_macs": (
        18,
        900,
        """
        sxtb16 r8, r0            \n ldr r1, [r2, #4]
        sxtb16 r0, r0, ror #8    \n smlad r4, r8, r3, r4
        sxtb16 r9, r1            \n smlad r5, r8, r10, r5
        sxtb16 r1, r1, ror #8    \n smlad r6, r9, r3, r6
        smlad r7, r9, r10, r7    \n ldr r8, [r2, #8]
        smlad r4, r0, r8, r4     \n ldr r9, [r2, #12]
        smlad r6, r1, r8, r6     \n ldr r3, [r2, #16]
        smlad r5, r0, r9, r5     \n ldr r0, [r2, #20]
        smlad r7, r1, r9, r7     \n ldr r10, [r2, #24]
        """,
    ),
}

LOOPS = (
    function("leaf", "bx lr")
    + function("count_down", "1: subs r0, #1 \n bne 1b \n bx lr")
    # The branch at label 2 is taken every second time: its counter swings between 0 and 1, each taken one is missed.
    + function("alternate", "1: tst r0, #1 \n beq 2f \n nop \n 2: subs r0, #1 \n bne 1b \n bx lr")
)


@pytest.fixture(scope="module")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = per_repetition({name: code for name, (_, _, code) in CASES.items()})
    return assemble(tmp_path_factory.mktemp("scoreboard"), LOOPS + text)


@BOTH
@pytest.mark.parametrize("name", CASES)
def test_counted_by_hand(elf: Path, name: str, native: bool) -> None:
    machine = BareMachine(elf, memory=ALL_HITS, native=native)
    instructions, cycles, _ = CASES[name]
    once, twice = (machine.call(f"{name}_{times}").counts for times in (100, 200))
    difference = twice - once
    assert (difference.instructions, difference.modelled_cycles) == (100 * instructions, cycles)
    assert difference.memory_cycles == 0


@BOTH
def test_loop(elf: Path, native: bool) -> None:
    machine = BareMachine(elf, memory=ALL_HITS, native=native)
    once, twice = (machine.call("count_down", [times]).counts for times in (100, 200))
    assert once.instructions == 2 * 100 + 1
    assert (twice - once).modelled_cycles == 100
    # The two-bit counter starts at "never taken": two misses until it is warm, and one at the exit, six cycles each.
    # What the return costs would fall on the caller.
    assert once.mispredicts == 3
    assert once.modelled_cycles == 100 + 3 * 6


@BOTH
def test_alternating_branch_is_missed(elf: Path, native: bool) -> None:
    counts = BareMachine(elf, memory=ALL_HITS, native=native).call("alternate", [100]).counts
    assert counts.instructions == 100 * 4 + 50 + 1
    assert counts.mispredicts == 50 + 3


@BOTH
def test_rules_can_be_varied(elf: Path, native: bool) -> None:
    def cycles(name: str, core: CoreRules) -> int:
        machine = BareMachine(elf, core, ALL_HITS, native)
        return machine.call(f"{name}_200").counts.modelled_cycles - machine.call(f"{name}_100").counts.modelled_cycles

    assert cycles("two_loads", CoreRules(max_loads=1)) == 200
    assert cycles("use_of_load", CoreRules(load_extra_cycles=1)) == 200
    assert cycles("address_from_load", PESSIMISTIC) == 300
    assert cycles("call_and_return", CoreRules(indirect_cycles=5)) == 1000
    assert cycles("call_and_return", CoreRules(taken_cycles=1)) == 600


MIXED = """
add {a}, {b}, {c}            | adds {a}, {b}, {c}         | sub {a}, {b}, {c}, lsl #3   | mul {a}, {b}, {c}
smlad {a}, {b}, {c}, {d}     | smlabb {a}, {b}, {c}, {d}  | mls {a}, {b}, {c}, {d}      | umull {a}, {d}, {b}, {c}
umlal {p}, {q}, {b}, {c}     | ldr {a}, [r2, #12]         | ldrsb {a}, [r2, #5]         | ldrh {a}, [r2, #6]
str {a}, [r2, #16]           | strb {a}, [r2, #17]        | sxtb16 {a}, {b}, ror #8     | sxtab16 {a}, {b}, {c}
pkhbt {a}, {b}, {c}, lsl #16 | usada8 {a}, {b}, {c}, {d}  | uadd8 {a}, {b}, {c}         | sel {a}, {b}, {c}
ubfx {a}, {b}, #3, #5        | bfi {a}, {b}, #3, #5       | clz {a}, {b}                | rbit {a}, {b}
rev {a}, {b}                 | qadd {a}, {b}, {c}         | ssat {a}, #9, {b}, asr #2   | usat {a}, #7, {b}
smmulr {a}, {b}, {c}         | sdiv {a}, {b}, {c}         | ldm r2, {{r4, r5, r6}}      | ldrd r6, r7, [r2, #8]
push {{r4, r5}}; pop {{r5, r6}} | movw {a}, #4660         | mvn {a}, {b}                | eor {a}, {b}, #0xff00ff
cmp {a}, {b}; it lt; movlt {a}, {c} | cmp {a}, {b}; ite hi; addhi {a}, {c}, {d}; strls {a}, [r2, #40]
vmov s0, {a}                 | vcvt.f32.s32 s1, s0        | vmla.f32 s1, s0, s2         | vmov {a}, s1
vadd.f32 s3, s1, s2          | vldr s4, [r2, #20]         | vldr d5, [r2, #24]          | vstr s1, [r2, #32]
vadd.f64 d4, d5, d6          | vcmp.f32 s0, s1; vmrs APSR_nzcv, fpscr; it gt; vmovgt.f32 s2, s1
bl leaf                      | cbz {a}, 1f; nop; 1:       | cmp {a}, {b}; bne 1f; nop; 1: | add {a}, {a}, #1
"""


def mixed_code(seed: int, length: int) -> str:
    """A random straight walk over instructions of every rule."""
    choose = random.Random(seed)
    kinds = [kind.strip() for kind in MIXED.replace("\n", "|").split("|") if kind.strip()]
    registers = ["r0", "r1", "r3", "r4", "r5", "r6", "r7", "r8", "r9"]
    lines = []
    for _ in range(length):
        p, q = choose.sample(registers, 2)
        a, d = choose.sample(registers, 2)
        b, c = (choose.choice(registers) for _ in range(2))
        if kind_low(kind := choose.choice(kinds)):
            a = choose.choice(registers[:7])  # CBZ takes low registers only
        lines.append(kind.format(a=a, b=b, c=c, d=d, p=p, q=q).replace(";", "\n"))
    return "\n".join(lines)


def kind_low(kind: str) -> bool:
    return kind.startswith("cbz")


# Unicorn, calling a memory hook inside an IT block, would skip instructions of a later block.
IT_ACCESS = """
    push {{r4, lr}}
    movs r4, #0
    b 1f
    {place}
1:  cmp r0, r0
    ittt eq
    {access} r3, [r0]
    addeq r4, r4, #1
    addeq r4, r4, #1
    bl leaf
    cmp r0, #0
    adr r2, 2f
    adds r2, #1
    bx r2
    .balign 4
2:  add r4, r4, #100
    mov r0, r4
    pop {{r4, pc}}
"""


@BOTH
def test_hooks_do_not_disturb_conditional_accesses(tmp_path: Path, native: bool) -> None:
    places = {"whole": "", "cut": ".balign 1024 \n .skip 1020"}  # Unicorn's blocks end where its pages of 1 KB do
    code = "".join(
        function(f"{access}_{place}", IT_ACCESS.format(access=access, place=text))
        for access in ("ldreq", "streq")
        for place, text in places.items()
    )
    elf = assemble(tmp_path, function("leaf", "cmp r0, #1 \n bx lr") + code)
    machine = BareMachine(elf, native=native)
    for access, start in (("ldreq", 0x20000100), ("ldreq", 0x24000100), ("ldreq", 0x08000000), ("streq", 0x24000100)):
        for place in places:
            assert machine.call(f"{access}_{place}", [start]).result == 102


def test_twins_agree_on_random_code(tmp_path: Path) -> None:
    names = [f"mixed{seed}" for seed in range(6)]
    code = "".join(straight(name, mixed_code(seed, 150), 1) for seed, name in enumerate(names))
    elf = assemble(tmp_path, function("leaf", "bx lr") + code)
    for core in (CoreRules(), PESSIMISTIC):
        machines = [BareMachine(elf, core, native=native) for native in (True, False)]
        for name in names:
            native, python = (machine.call(name) for machine in machines)
            assert native == python
            assert native.result == BareMachine(elf, core, ALL_HITS).call(name).result
            assert native.counts.instructions > 150 and native.counts.memory_cycles > 0


KERNELS = """
#include <stdint.h>
__attribute__((used)) int8_t data[8192];
__attribute__((used, noinline)) int dot(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += data[i] * data[4096 + i];
    return sum;
}
__attribute__((used, noinline)) int collatz(int n) {
    int steps = 0;
    for (int i = 1; i < n; i++)
        for (unsigned v = i; v != 1; v = v & 1 ? 3 * v + 1 : v / 2) steps++;
    return steps;
}
__attribute__((used, noinline)) int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
"""


def test_twins_agree_on_compiled_loops(tmp_path: Path) -> None:
    elf = compile_c(tmp_path, KERNELS)
    native, python = (BareMachine(elf, native=native) for native in (True, False))
    for name, argument, result in (("dot", 4096, 4096 * 6), ("collatz", 30, 534), ("fibonacci", 12, 144)):
        for machine in (native, python):
            machine.write("data", bytes([2] * 4096 + [3] * 4096))
        cost = native.call(name, [argument])
        assert cost == python.call(name, [argument])
        if name != "collatz":
            assert cost.result == result
