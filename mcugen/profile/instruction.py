"""One Thumb-2 instruction as the cycle model sees it: the vocabulary of `decode` and of both scoreboards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

FLAGS = 16  # register numbers: 0 to 15 core registers, 16 condition flags, 17 to 48 single-precision s0 to s31
FIRST_FLOAT = 17
REGISTERS = FIRST_FLOAT + 32


class Unit(IntFlag):
    """Execution resources of which the core has one: two instructions of one cycle cannot share any."""

    NONE = 0
    MAC = 1
    SHIFT = 2
    SIMD = 4
    BRANCH = 8
    FPU = 16
    FPU_PORT = 32


class Need(IntEnum):
    """When a source must be ready, in cycles relative to the ordinary first execute stage."""

    LATE = 1  # an accumulator, the data of a store, the flags of a branch
    NORMAL = 0
    EARLY = -1  # an address, a shifted or extended operand
    EARLY_IF_LOADED = -2  # the other operand beside a shifted one: early only where a load made it


class Branch(IntEnum):
    """How the flow of control leaves an instruction."""

    NONE = 0
    DIRECT = 1
    CONDITIONAL = 2  # goes through the branch predictor
    INDIRECT = 3  # calls, returns, tables


@dataclass(frozen=True)
class Instruction:
    """What issue rules ask of an instruction.

    Attributes:
        size: bytes of code.
        first_slot: may only issue as the first of its cycle.
        alone: issues first and lets no other instruction share its `cycles` cycles.
        conditional: in an IT block, so it may do nothing; it issues all the same.
        sources: (register, Need) pairs.
        results: (register, cycles from issue until an ordinary reader may issue) pairs.
    """

    size: int
    units: Unit = Unit.NONE
    first_slot: bool = False
    alone: bool = False
    cycles: int = 1
    loads: int = 0
    stores: int = 0
    branch: Branch = Branch.NONE
    conditional: bool = False
    sources: tuple[tuple[int, int], ...] = ()
    results: tuple[tuple[int, int], ...] = ()
