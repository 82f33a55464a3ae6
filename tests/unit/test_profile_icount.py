"""Counted instructions against QEMU's, which advances its clock by 64 ns an instruction (-icount shift=6)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from profile_code import compile_c

from mcugen.profile.bare import BareMachine
from tests.tools import need


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    need("qemu-system-arm")
    need("arm-none-eabi-gcc")


CALLS = 8
TICKS = 1.6  # of the 25 MHz timer in one instruction

KERNELS = """
#include <stdint.h>
#define KERNEL __attribute__((used, noinline, aligned(8)))
int8_t data[4096];
KERNEL int empty(int n) { return n; }
KERNEL int clamp(int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) { int v = data[i] + i - 100; v = v > 127 ? 127 : v < -128 ? -128 : v; sum += v; }
    return sum;
}
KERNEL int collatz(int n) {
    int steps = 0;
    for (int i = 1; i < n; i++) for (unsigned v = i; v != 1; v = v & 1 ? 3 * v + 1 : v / 2) steps++;
    return steps;
}
KERNEL int floats(int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) { float v = (float)data[i] * 0.5f + 1.0f; sum += v < 0 ? 0 : v; }
    return (int)sum;
}
KERNEL int wide(int n) {
    int64_t sum = 0;
    for (int i = 0; i < n; i++) sum += (int64_t)i * n / (i + 1);
    return (int)sum;
}
KERNEL int skipped(int n) {
    int a;
    __asm volatile("cmp %1, #0 \\n ittt eq \\n addeq %0, %1, #1 \\n moveq %0, #2 \\n ldreq %0, [%1]"
                   : "=&r"(a) : "r"(n) : "cc");
    return n;
}
"""
NAMES = ("clamp", "collatz", "floats", "wide", "skipped")

GUEST = """
#include <stdint.h>
#define TIMER ((volatile uint32_t *)0x40000000)
int %(prototypes)s;
static int (*const functions[])(int) = {%(names)s};
static void semihost(int operation, const void *argument) {
    register int r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}
static void reset(void) {
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    for (unsigned k = 0; k < sizeof functions / sizeof *functions; k++) {
        TIMER[2] = TIMER[1] = 0xFFFFFFFF;
        TIMER[0] = 1;
        uint32_t before = TIMER[1];
        for (int i = 0; i < %(calls)d; i++) functions[k](%(argument)d);
        uint32_t ticks = before - TIMER[1];
        TIMER[0] = 0;
        char text[] = "00000000\\n";
        for (int i = 0; i < 8; i++) text[i] = "0123456789abcdef"[ticks >> (28 - 4 * i) & 15];
        semihost(4, text);
    }
    semihost(0x18, (void *)0x20026);
    for (;;) {}
}
__attribute__((used, section(".vectors"))) static const void *const vectors[] = {(void *)0x20400000, (void *)reset};
"""
LINK = """
SECTIONS
{
    .text 0x0 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
    .ARM.exidx : { *(.ARM.exidx*) }
    .bss 0x20000000 : { *(.data*) *(.bss*) *(COMMON) end = .; }
}
"""
BUILD = "arm-none-eabi-gcc -mcpu=cortex-m7 -mthumb -mfpu=fpv5-d16 -mfloat-abi=hard -O2"
QEMU = "qemu-system-arm -M mps2-an500 -nographic -icount shift=6 -semihosting-config enable=on,target=native -kernel"


def qemu_ticks(folder: Path, argument: int) -> dict[str, int]:
    """Timer ticks of CALLS calls of each function."""
    names = ("empty", *NAMES)
    parts = {"prototypes": "(int), ".join(names) + "(int)", "names": ", ".join(names)}
    (folder / "guest.c").write_text(GUEST % {**parts, "calls": CALLS, "argument": argument})
    (folder / "guest.ld").write_text(LINK)
    files = [folder / "guest.c", folder / "code.c", "-T", folder / "guest.ld", "-o", folder / "guest.elf"]
    subprocess.run([*BUILD.split(), "-nostartfiles", "--specs=nosys.specs", *map(str, files)], check=True)
    command = [*QEMU.split(), str(folder / "guest.elf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return dict(zip(names, (int(line, 16) for line in (done.stdout + done.stderr).split()), strict=True))


def test_equals_qemu(tmp_path: Path) -> None:
    machine = BareMachine(compile_c(tmp_path, KERNELS))
    counted = {name: machine.call(name, [300]).counts.instructions for name in ("empty", *NAMES)}
    ticks = qemu_ticks(tmp_path, 300)
    for name in NAMES:
        beyond_empty = (ticks[name] - ticks["empty"]) / TICKS / CALLS
        assert abs(beyond_empty - (counted[name] - counted["empty"])) < 0.5, name
        assert counted[name] > 5
