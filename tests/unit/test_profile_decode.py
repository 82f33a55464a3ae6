"""Instructions as the cycle model sees them."""

from __future__ import annotations

from pathlib import Path

import pytest
from profile_code import assemble, function

from mcugen.elf import load_segments, load_symbols
from mcugen.profile.decode import Decoder
from mcugen.profile.instruction import FIRST_FLOAT, FLAGS, Branch, Instruction, Need, Unit

SP, LR = 13, 14
EARLY, NORMAL, LATE = int(Need.EARLY), int(Need.NORMAL), int(Need.LATE)
S0 = FIRST_FLOAT

# code: what is expected of its last instruction, or of the last before a bar
EXPECTED: dict[str, dict[str, object]] = {
    "adds r0, r1, r2": {"sources": ((1, NORMAL), (2, NORMAL)), "results": ((0, 1), (FLAGS, 1)), "units": Unit.NONE},
    "add r0, r1, r2, lsl #2": {
        "sources": ((1, int(Need.EARLY_IF_LOADED)), (2, EARLY)),
        "units": Unit.SHIFT,
    },
    "mov r0, r1, lsl #2": {"sources": ((1, NORMAL),), "units": Unit.SHIFT},
    "addw r0, r1, #4000": {"units": Unit.NONE},
    "add r0, r1, #4080": {"units": Unit.SHIFT},
    "adc r0, r1, r2": {"sources": ((1, NORMAL), (2, NORMAL), (FLAGS, NORMAL))},
    "smlad r0, r1, r2, r3": {"sources": ((1, NORMAL), (2, NORMAL), (3, LATE)), "units": Unit.MAC, "results": ((0, 2),)},
    "mla r0, r1, r2, r1": {"sources": ((1, NORMAL), (2, NORMAL))},
    "smlalbt r0, r1, r2, r3": {
        "sources": ((0, LATE), (1, LATE), (2, NORMAL), (3, NORMAL)),
        "results": ((0, 2), (1, 2)),
    },
    "muls r0, r1, r0": {"units": Unit.MAC, "results": ((0, 2), (FLAGS, 1))},
    "usada8 r0, r1, r2, r3": {"sources": ((1, NORMAL), (2, NORMAL), (3, LATE)), "first_slot": True},
    "ssat r0, #8, r1, asr #3": {"sources": ((1, EARLY),), "results": ((0, 2),), "first_slot": True},
    "sxtab16 r0, r1, r2, ror #8": {"sources": ((1, NORMAL), (2, EARLY)), "units": Unit.SIMD | Unit.SHIFT},
    "rev r0, r1": {"sources": ((1, EARLY),), "results": ((0, 0),)},
    "sdiv r0, r1, r2": {"alone": True, "cycles": 7},
    "ldr r0, [r1, r2, lsl #2]": {"sources": ((1, EARLY), (2, EARLY)), "results": ((0, 1),), "loads": 1},
    "ldrsb r0, [r1]": {"results": ((0, 2),), "alone": False},
    "ldr r0, [r1], #4": {"results": ((0, 1), (1, 0))},
    "ldrd r0, r1, [r2], #8": {"results": ((0, 1), (1, 1), (2, 0)), "alone": True, "cycles": 1},
    "ldm r0!, {r1, r2, r3}": {"results": ((0, 1), (1, 1), (2, 1), (3, 1)), "alone": True, "cycles": 3},
    "str r0, [r1, #4]!": {"sources": ((0, LATE), (1, EARLY)), "results": ((1, 0),), "stores": 1},
    "push {r4, r5, lr}": {"sources": ((4, LATE), (5, LATE), (SP, EARLY), (LR, LATE)), "cycles": 3},
    "vldr d1, [r0]": {"results": ((S0 + 2, 2), (S0 + 3, 2)), "alone": True, "units": Unit.FPU_PORT},
    "vldmia r0!, {s2, s3}": {"results": ((0, 1), (S0 + 2, 1), (S0 + 3, 1)), "cycles": 2},
    "vpush {d8}": {"sources": ((SP, EARLY), (S0 + 16, LATE), (S0 + 17, LATE)), "cycles": 2, "stores": 1},
    "vfma.f32 s0, s1, s2": {"sources": ((S0, NORMAL), (S0 + 1, NORMAL), (S0 + 2, NORMAL)), "results": ((S0, 3),)},
    "vdiv.f32 s0, s1, s2": {"alone": True, "cycles": 14},
    "vmov s0, r1": {"units": Unit.FPU_PORT, "sources": ((1, NORMAL),)},
    "vmrs APSR_nzcv, fpscr": {"results": ((FLAGS, 1),), "alone": False},
    "b .": {"branch": Branch.DIRECT, "units": Unit.BRANCH},
    "bne .": {"branch": Branch.CONDITIONAL, "sources": ((FLAGS, LATE),)},
    "cbz r0, 1f | \n nop \n 1:": {"branch": Branch.CONDITIONAL, "sources": ((0, NORMAL),)},
    "bl .": {"branch": Branch.INDIRECT, "results": ((LR, 1),)},
    "bx lr": {"branch": Branch.INDIRECT, "sources": ((LR, NORMAL),)},
    "pop {r4, r5, pc}": {"branch": Branch.INDIRECT, "alone": True, "cycles": 3},
    "ldr pc, [r0]": {"branch": Branch.INDIRECT, "loads": 1},
    "tbb [pc, r0]": {"branch": Branch.INDIRECT, "alone": True, "cycles": 2},
    "it eq \n addeq r0, r1, r2": {"sources": ((0, NORMAL), (1, NORMAL), (2, NORMAL), (FLAGS, NORMAL))},
    "it ne \n bxne lr": {"branch": Branch.INDIRECT, "sources": ((LR, NORMAL), (FLAGS, LATE))},
    "dsb": {"alone": True},
    "nop": {"units": Unit.NONE, "alone": False, "sources": (), "results": ()},
}


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Instruction]:
    names = {code: f"case{k}" for k, code in enumerate(EXPECTED)}
    functions = "".join(function(name, code.replace("|", "")) for code, name in names.items())
    elf = assemble(tmp_path_factory.mktemp("decode"), functions)
    symbols = {symbol.name: symbol for symbol in load_symbols(elf).functions}
    ((base, image),) = load_segments(elf)
    found = {}
    for code, name in names.items():
        start = symbols[name].address - base
        block = Decoder().block(image[start : start + symbols[name].size], symbols[name].address)
        found[code] = [instruction for _, instruction in block][code.partition("|")[0].count("\n")]
    return found


@pytest.mark.parametrize("code", EXPECTED)
def test_decoded(decoded: dict[str, Instruction], code: str) -> None:
    got = {name: getattr(decoded[code], name) for name in EXPECTED[code]}
    assert got == EXPECTED[code]


def test_stops_at_what_is_no_instruction() -> None:
    nop, undefined = b"\x00\xbf", b"\xff\xff\xff\xff"
    assert [address for address, _ in Decoder().block(nop + nop + undefined + nop, 0x100)] == [0x100, 0x102]


def test_sizes_and_addresses(decoded: dict[str, Instruction], tmp_path: Path) -> None:
    assert (decoded["nop"].size, decoded["bl ."].size) == (2, 4)
