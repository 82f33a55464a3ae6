"""Assembly and C that the profiler's tests measure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mcugen.profile.bare import build_bare

FUNCTION = """
    .global {name}
    .type {name}, %function
    .thumb_func
    .balign 32
{name}:
{body}
    .size {name}, . - {name}
"""

# Registers hold small numbers, but r2, which points to a word that points to itself.
PROLOGUE = """
    push {r4-r11, lr}
    movw r2, #:lower16:data
    movt r2, #:upper16:data
    str r2, [r2]
    movs r0, #0
    movs r1, #1
    movs r3, #3
    mov r4, r0
    mov r5, r0
    mov r6, r0
    mov r7, r0
"""
EPILOGUE = """
    pop {r4-r11, pc}
"""


def function(name: str, body: str) -> str:
    """One assembly function, bare: `body` has to return."""
    return FUNCTION.format(name=name, body=body)


def straight(name: str, body: str, times: int) -> str:
    """A function that executes `body` that many times, without a loop, registers prepared by PROLOGUE."""
    return function(name, f"{PROLOGUE}\n.rept {times}\n{body}\n.endr\n{EPILOGUE}")


def assemble(folder: Path, functions: str, name: str = "code") -> Path:
    """An ELF of assembly functions, with 64 KiB of zeroed memory at `data`."""
    source = folder / f"{name}.S"
    data = ".bss\n.balign 4096\n.global data\n.type data, %object\ndata: .space 65536\n"
    source.write_text(f".syntax unified\n.thumb\n.text\n{functions}\n{data}")
    return build_bare([source], folder / f"{name}.elf")


def compile_c(folder: Path, text: str, name: str = "code", flags: tuple[str, ...] = ("-O2",)) -> Path:
    """An ELF of C functions."""
    source = folder / f"{name}.c"
    source.write_text(text)
    return build_bare([source], folder / f"{name}.elf", flags=flags)


def per_repetition(bodies: Mapping[str, str]) -> str:
    """For each body the functions NAME_100 and NAME_200, which execute it so many times."""
    return "".join(straight(f"{name}_{times}", body, times) for name, body in bodies.items() for times in (100, 200))
