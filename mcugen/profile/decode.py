"""Thumb-2 code -> `Instruction`s, from capstone's operands and the table of rules below (Cortex-M7 with FPU)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import capstone
from capstone import arm, arm_const

from mcugen.profile.instruction import FIRST_FLOAT, FLAGS, Branch, Instruction, Need, Unit

Needs = dict[int, int]  # register -> Need


@dataclass(frozen=True)
class Rule:
    """How a group of mnemonics behaves; `late` and `early` are operand positions whose Need differs from `need`."""

    units: Unit = Unit.NONE
    first_slot: bool = False
    alone: bool = False
    cycles: int = 1
    latency: int = 1
    need: Need = Need.NORMAL
    late: tuple[int, ...] = ()
    early: tuple[int, ...] = ()


_SIMD = Unit.SIMD
_SIMD_SHIFT = Unit.SIMD | Unit.SHIFT

# (regular expression over the whole mnemonic without condition, ".w" and flag-setting "s"; rule). First match wins.
_TABLE: tuple[tuple[str, Rule], ...] = (
    # Multiplier: two cycles, except into the accumulator of a next multiply-accumulate.
    (r"mul|smul[bt][bt]|smulw[bt]|smua?dx?|smusdx?|[su]mull|smmulr?", Rule(Unit.MAC, latency=2)),
    (r"ml[as]|smla[bt][bt]|smlaw[bt]|sml[as]dx?|smml[as]r?", Rule(Unit.MAC, latency=2, late=(3,))),
    (r"[su]mlal|umaal|smlal[bt][bt]|sml[as]ldx?", Rule(Unit.MAC, latency=2, late=(0, 1))),
    (r"[su]div", Rule(alone=True, cycles=7)),
    # SIMD and saturation: first slot only.
    (r"usad8", Rule(_SIMD, first_slot=True, latency=2)),
    (r"usada8", Rule(_SIMD, first_slot=True, latency=2, late=(3,))),
    (r"qd?add|qd?sub|u?qadd(8|16)|u?qsub(8|16)|[su]sat16", Rule(_SIMD, first_slot=True, latency=2)),
    (r"[su]sat", Rule(_SIMD_SHIFT, first_slot=True, latency=2, need=Need.EARLY)),
    (r"[su]h?(add16|add8|asx|sax|sub16|sub8)|sel", Rule(_SIMD, first_slot=True)),
    (r"[su]xt(b|h|b16)", Rule(_SIMD_SHIFT, first_slot=True, early=(1,))),
    (r"[su]xta(b|h|b16)", Rule(_SIMD_SHIFT, first_slot=True, early=(2,))),
    (r"pkh(bt|tb)", Rule(_SIMD_SHIFT, first_slot=True, early=(2,))),
    (r"[su]bfx", Rule(_SIMD_SHIFT, first_slot=True, need=Need.EARLY)),
    (r"rbit|rev(16|sh)?", Rule(_SIMD_SHIFT, first_slot=True, need=Need.EARLY, latency=0)),
    (r"bf[ic]", Rule(_SIMD_SHIFT, first_slot=True)),
    (r"clz", Rule(_SIMD, first_slot=True)),
    # Floating point: one operation a cycle, results after three.
    (r"vdiv|vsqrt", Rule(Unit.FPU | Unit.FPU_PORT, alone=True, cycles=14, latency=3)),
    (r"vmrs", Rule(Unit.FPU | Unit.FPU_PORT)),
    (r"vmov", Rule(Unit.FPU_PORT, latency=3)),
    (r"v.*", Rule(Unit.FPU | Unit.FPU_PORT, latency=3)),
    # No unit at all, and instructions that drain the pipeline.
    (r"it[te]*|nop", Rule()),
    (r"dsb|dmb|isb|cps(ie|id)?|mrs|msr|bkpt|udf|svc|wf[ei]|sev|yield", Rule(alone=True)),
)
_RULES = tuple((re.compile(pattern), rule) for pattern, rule in _TABLE)

_BRANCH = re.compile(r"b|bl|blx|bx|cbn?z|tb[bh]")
_LOAD = re.compile(r"ldr.*|ldm(ia|db)?|pop|vldr|vldm(ia|db)?|vpop")
_STORE = re.compile(r"str.*|stm(ia|db)?|push|vstr|vstm(ia|db)?|vpush")
_BLOCK_TRANSFER = re.compile(r"v?(ldm|stm)(ia|db)?|v?pop|v?push")
_PURE_SHIFT = ("lsl", "lsr", "asr", "ror", "rrx")
_CONDITIONS = {
    getattr(arm_const, f"ARM_CC_{name}"): name.lower()
    for name in ("EQ", "NE", "HS", "LO", "MI", "PL", "VS", "VC", "HI", "LS", "GE", "LT", "GT", "LE")
}
_NAMES = {"sb": 9, "sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15, **{f"r{k}": k for k in range(13)}}
_PC = 15


class Decoder:
    """Decodes straight runs of code; keeps capstone's handle."""

    def __init__(self) -> None:
        self._capstone = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
        self._capstone.detail = True

    def block(self, code: bytes, address: int) -> Iterator[tuple[int, Instruction]]:
        """Yields (address, instruction) up to the end or the first that is none; IT blocks must begin inside `code`."""
        for insn in self._capstone.disasm(code, address):
            yield insn.address, _Facts(insn).instruction()


class _Facts:
    """Capstone's view of one instruction, put into this model's terms."""

    def __init__(self, insn: Any) -> None:
        self.insn = insn
        self.condition = _CONDITIONS.get(insn.cc, "")
        self.stem = _stem(insn.mnemonic, self.condition, insn.update_flags)
        self.operands = insn.operands
        read, written = insn.regs_access()
        self.read = [k for reg in read for k in self.numbers(reg) if k != _PC]
        self.written = [k for reg in written for k in self.numbers(reg)]
        if insn.update_flags:
            self.written.append(FLAGS)

    def numbers(self, register: int) -> list[int]:
        """This model's register numbers of a capstone register; doubles are two singles."""
        name = self.insn.reg_name(register) or ""
        if name in _NAMES:
            return [_NAMES[name]]
        if name in ("cpsr", "apsr", "apsr_nzcv"):
            return [FLAGS]
        if name[:1] in ("s", "d") and name[1:].isdigit():
            width = 1 if name[0] == "s" else 2
            first = FIRST_FLOAT + width * int(name[1:])
            return list(range(first, min(first + width, FIRST_FLOAT + 32)))
        return []

    def of_operand(self, position: int) -> list[int]:
        """Registers named by a register operand, without the program counter."""
        operand = self.operands[position]
        return [k for k in self.numbers(operand.reg) if k != _PC] if operand.type == arm.ARM_OP_REG else []

    def address_registers(self) -> list[int]:
        """Base and index registers of a memory access."""
        pairs = ((o.mem.base, o.mem.index) for o in self.operands if o.type == arm.ARM_OP_MEM)
        found = [k for pair in pairs for reg in pair if reg for k in self.numbers(reg)]
        if _BLOCK_TRANSFER.fullmatch(self.stem):
            found += [13] if self.stem.endswith(("pop", "push")) else self.of_operand(0)
        return found

    def listed_registers(self) -> list[int]:
        """Registers that a block transfer moves, the program counter included."""
        first = 0 if self.stem.endswith(("pop", "push")) else 1
        return [k for operand in self.operands[first:] for k in self.numbers(operand.reg)]

    @property
    def is_double(self) -> bool:
        """Whether the access moves double-precision registers."""
        moved = self.operands[-1 if _BLOCK_TRANSFER.fullmatch(self.stem) else 0]
        return self.stem[0] == "v" and (self.insn.reg_name(moved.reg) or "").startswith("d")

    def instruction(self) -> Instruction:
        """The finished description."""
        if _BRANCH.fullmatch(self.stem) or _PC in self.written:
            return self._branch()
        if _LOAD.fullmatch(self.stem):
            return self._load()
        if _STORE.fullmatch(self.stem):
            return self._store()
        for pattern, rule in _RULES:
            if pattern.fullmatch(self.stem):
                return self._by_rule(rule)
        return self._arithmetic()

    def _finish(self, rule: Rule, needs: Needs, latencies: dict[int, int], **more: Any) -> Instruction:
        """Adds what a condition needs, IT itself included: the flags, and the old values, which stay if it fails."""
        if self.condition and "branch" not in more:
            for register in (FLAGS, *(k for k in latencies if k < FLAGS)):
                needs.setdefault(register, Need.NORMAL)
        latencies.pop(_PC, None)
        return Instruction(
            size=self.insn.size,
            units=rule.units,
            first_slot=rule.first_slot,
            alone=rule.alone,
            cycles=rule.cycles,
            conditional=bool(self.condition),
            sources=tuple(sorted((register, int(need)) for register, need in needs.items())),
            results=tuple(sorted(latencies.items())),
            **more,
        )

    def _latencies(self, latency: int) -> dict[int, int]:
        return {register: 1 if register == FLAGS else latency for register in self.written}

    def _branch(self) -> Instruction:
        direct = Branch.CONDITIONAL if self.condition or self.stem in ("cbz", "cbnz") else Branch.DIRECT
        branch = direct if self.stem in ("b", "cbz", "cbnz") else Branch.INDIRECT
        needs: Needs = dict.fromkeys(self.read, Need.NORMAL)
        if self.condition:
            needs[FLAGS] = Need.LATE
        rule = Rule(Unit.BRANCH)
        if self.stem in ("tbb", "tbh"):
            rule = Rule(Unit.BRANCH, alone=True, cycles=2)
        elif _BLOCK_TRANSFER.fullmatch(self.stem):
            rule = Rule(Unit.BRANCH, alone=True, cycles=1 + (len(self.operands) + 1) // 2)
        return self._finish(rule, needs, self._latencies(1), branch=branch, loads=int(self.stem == "ldr"))

    def _transfer_rule(self) -> Rule:
        """Issue rule of a load or store: pairs of words and block transfers go alone, two words a cycle."""
        port = Unit.FPU_PORT if self.stem[0] == "v" else Unit.NONE
        if _BLOCK_TRANSFER.fullmatch(self.stem):
            return Rule(port, alone=True, cycles=max(1, (len(self.listed_registers()) + 1) // 2) + 1)
        return Rule(port, alone=self.stem in ("ldrd", "strd") or self.is_double)

    def _load(self) -> Instruction:
        slow = self.stem in ("ldrb", "ldrh", "ldrsb", "ldrsh") or self.is_double
        latencies = self._latencies(2 if slow else 1)
        if _BLOCK_TRANSFER.fullmatch(self.stem):
            latencies.update((k, 2 if self.is_double else 1) for k in self.listed_registers())
        else:
            loaded = self.of_operand(0) + (self.of_operand(1) if self.stem == "ldrd" else [])
            latencies.update((k, 0) for k in self.address_registers() if k in latencies and k not in loaded)
        needs: Needs = dict.fromkeys(self.read, Need.EARLY)
        return self._finish(self._transfer_rule(), needs, latencies, loads=1)

    def _store(self) -> Instruction:
        needs: Needs = dict.fromkeys(self.read, Need.LATE)
        if _BLOCK_TRANSFER.fullmatch(self.stem):
            needs.update((k, Need.LATE) for k in self.listed_registers())
        needs.update((k, Need.EARLY) for k in self.address_registers() if k != _PC)
        return self._finish(self._transfer_rule(), needs, self._latencies(0), stores=1)

    def _by_rule(self, rule: Rule) -> Instruction:
        needs: Needs = {}
        for position, operand in enumerate(self.operands):
            # Capstone leaves the access of some sources (the operand of SSAT) unset.
            source = operand.access & capstone.CS_AC_READ or (operand.access == 0 and position > 0)
            if source or position in rule.late:
                _require(needs, self.of_operand(position), _need_at(rule, position))
        _require(needs, (k for k in self.read if k not in needs), rule.need)
        return self._finish(rule, needs, self._latencies(rule.latency))

    def _arithmetic(self) -> Instruction:
        """Everything else: one of the two ALUs, with the one shifter where an operand or a wide constant passes it."""
        needs: Needs = dict.fromkeys(self.read, Need.NORMAL)
        registers = [(k, o.shift) for k, o in enumerate(self.operands) if o.type == arm.ARM_OP_REG]
        shifted = [k for k, shift in registers if shift.type and shift.value]
        shifter = bool(shifted) or self.stem in _PURE_SHIFT or self._has_wide_constant()
        if shifted and self.stem not in (*_PURE_SHIFT, "mov"):
            needs = {k: need if k == FLAGS else Need.EARLY_IF_LOADED for k, need in needs.items()}
            needs.update((k, Need.EARLY) for k in self.of_operand(shifted[-1]))
        return self._finish(Rule(Unit.SHIFT if shifter else Unit.NONE), needs, self._latencies(1))

    def _has_wide_constant(self) -> bool:
        """A constant beyond 8 bits in a 32-bit instruction is made by the shifter, but not those of 12 or 16 bits."""
        if self.insn.size != 4 or len(self.operands) < 2 or self.stem in ("mov", "movw", "movt", "addw", "subw"):
            return False
        return any(o.type == arm.ARM_OP_IMM and not 0 <= o.imm <= 255 for o in self.operands)


def _stem(mnemonic: str, condition: str, update_flags: bool) -> str:
    """The mnemonic without width, condition and flag-setting suffix: "addseq.w" -> "add"."""
    stem = mnemonic.split(".")[0]
    if condition and stem.endswith(condition):
        stem = stem[: -len(condition)]
    return stem[:-1] if update_flags and stem.endswith("s") and stem != "vmrs" else stem


def _need_at(rule: Rule, position: int) -> Need:
    if position in rule.late:
        return Need.LATE
    return Need.EARLY if position in rule.early else rule.need


def _require(needs: Needs, registers: Iterable[int], need: Need) -> None:
    """Notes a need; of several for one register the strictest stands."""
    for register in registers:
        needs[register] = min(needs.get(register, need), need)
