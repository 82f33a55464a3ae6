"""Exception entry and return of the ARMv7-M, by hand: Unicorn has no interrupt controller."""

from __future__ import annotations

import struct
from typing import Any

import unicorn
from unicorn import arm_const as arm

RETURN_TO_THREAD = 0xFFFFFFF9
MEM_MANAGE, BUS_FAULT, USAGE_FAULT = 4, 5, 6

_FRAME = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12, arm.UC_ARM_REG_LR)
_FLOATS = (*(arm.UC_ARM_REG_D0 + n for n in range(8)), arm.UC_ARM_REG_FPSCR)
_THUMB = 1 << 24


class Exceptions:
    """One level of exceptions: no nesting, main stack only. Floating-point registers are kept here, not on the stack."""

    def __init__(self, uc: Any) -> None:
        self._uc = uc
        self._floats: list[int] | None = None

    def reset(self) -> None:
        self._floats = None
        for register in (arm.UC_ARM_REG_PRIMASK, arm.UC_ARM_REG_IPSR, arm.UC_ARM_REG_CONTROL):
            self._uc.reg_write(register, 0)

    @property
    def possible(self) -> bool:
        """An interrupt could be taken now."""
        return self._floats is None and not self._uc.reg_read(arm.UC_ARM_REG_PRIMASK) & 1

    def enter(self, number: int, pc: int, vectors: int) -> tuple[int, bool]:
        """(the handler's address, whether the stack could take the frame); `pc` is where to return to."""
        uc = self._uc
        sp = uc.reg_read(arm.UC_ARM_REG_SP)
        padding = sp & 4
        psr = uc.reg_read(arm.UC_ARM_REG_XPSR) & ~0x1FF | _THUMB | padding << 7
        frame = struct.pack("<8I", *(uc.reg_read(register) for register in _FRAME), pc, psr)
        self._floats = [uc.reg_read(register) for register in _FLOATS]
        sp -= 32 + padding
        stacked = True
        try:
            uc.mem_write(sp, frame)
        except unicorn.UcError:
            stacked = False
        uc.reg_write(arm.UC_ARM_REG_SP, sp)
        uc.reg_write(arm.UC_ARM_REG_LR, RETURN_TO_THREAD)
        uc.reg_write(arm.UC_ARM_REG_IPSR, number)
        return struct.unpack("<I", uc.mem_read(vectors + 4 * number, 4))[0], stacked

    def leave(self) -> int:
        """Undo `enter`; the address to go on at."""
        uc = self._uc
        sp = uc.reg_read(arm.UC_ARM_REG_SP)
        *registers, pc, psr = struct.unpack("<8I", uc.mem_read(sp, 32))
        for register, value in zip(_FRAME, registers, strict=True):
            uc.reg_write(register, value)
        for register, value in zip(_FLOATS, self._floats or (), strict=True):
            uc.reg_write(register, value)
        uc.reg_write(arm.UC_ARM_REG_XPSR, psr & ~0x3FF)
        uc.reg_write(arm.UC_ARM_REG_IPSR, 0)
        uc.reg_write(arm.UC_ARM_REG_SP, sp + 32 + (psr >> 7 & 4))
        self._floats = None
        return int(pc)
