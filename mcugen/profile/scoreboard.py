"""The in-order dual-issue scoreboard in Python: the definition of the model, and what runs where no C compiler is.

Two instructions a cycle, in order. An instruction issues once its sources are ready (see `Need`); it goes first in a
new cycle where the present one already holds two, or where it would share an execution unit, exceed the loads or the
one store a cycle, or must go first. A conditional branch mispredicted by its two-bit counter, a call or a return lose
cycles; the target of a taken branch starts a new cycle. Condition-failed instructions of an IT block issue like others.
scoreboard.c is its twin, hundreds of times faster, tested to give equal numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import unicorn
from unicorn import arm_const

from mcugen.errors import McugenError
from mcugen.profile.decode import Decoder
from mcugen.profile.instruction import REGISTERS, Branch, Instruction, Need
from mcugen.profile.model import Call, CoreRules, Counts, MemoryRules

Decode = Callable[[int, int], dict[int, Instruction]]  # (address, size) -> instructions by address
MAX_CALLS = 65536
MAX_DEPTH = 8
_IT_STATE = 0x0600FC00  # bits of the CPSR
_LONG_READY = -16  # cycle of results made before the start


class Scoreboard(Protocol):
    """What both scoreboards offer."""

    def watch(self, address: int, watch: int) -> None:
        """Records each call of the function at an address under a number above 0."""

    def counts(self) -> Counts:
        """Counts since the start."""

    def calls(self) -> list[Call]:
        """Finished calls of watched functions, in order of their beginning."""

    def detach(self) -> None:
        """Removes the hooks, while the engine is at rest; counts and calls stay."""


class Cache:
    """Set-associative, least recently used line goes first."""

    def __init__(self, sets: int, ways: int, line_bytes: int) -> None:
        self.sets, self.ways, self.line_shift = sets, ways, line_bytes.bit_length() - 1
        self.lines: list[list[int]] = [[] for _ in range(sets)]

    def touch(self, line: int) -> bool:
        """Looks a line up and makes it the most recent of its set; returns whether it missed."""
        lines = self.lines[line % self.sets]
        missed = line not in lines
        if not missed:
            lines.remove(line)
        lines.insert(0, line)
        del lines[self.ways :]
        return missed


class IssueModel:
    """The rules, fed with blocks of code and memory accesses; knows nothing of any simulator."""

    def __init__(self, core: CoreRules, memory: MemoryRules, decode: Decode) -> None:
        self.core, self.memory, self._decode = core, memory, decode
        self.code: dict[int, Instruction] = {}
        self.undecoded = 0
        self.instructions = self.cycle = self.memory_cycles = self.mispredicts = 0
        self.misses = {"icache": 0, "dcache": 0}
        self.caches = {
            name: Cache(memory.sets(name), ways, memory.line_bytes)
            for name, ways in (("icache", memory.icache_ways), ("dcache", memory.dcache_ways))
        }
        self._ready, self._loaded = [_LONG_READY] * REGISTERS, [0] * REGISTERS
        self._slot = self._units = self._loads = self._stores = 0
        self._last, self._last_address, self._next_address = Instruction(0), 0, 0
        self._predictor: dict[int, int] = {}

    def counts(self) -> Counts:
        return Counts(
            self.instructions,
            self.cycle,
            self.memory_cycles,
            self.mispredicts,
            self.misses["icache"],
            self.misses["dcache"],
        )

    def block(self, address: int, size: int) -> None:
        """A straight run of code is about to execute."""
        if self._last.size:
            self._follow_branch(address)
        self.access("icache", address, size)
        at = address
        while at < address + size:
            if at not in self.code:
                self.code.update(self._decode(address, size))
            if at not in self.code:
                self.undecoded += 1
                break
            self._last, self._last_address = self.code[at], at
            self.instructions += 1
            self._issue(self._last)
            at += self._last.size
        self._next_address = address + size

    def access(self, cache: str, address: int, size: int, stalls: bool = True) -> None:
        """Touches the lines of [address, address + size), where they are of a cached region."""
        fill = next((r.fill_cycles for r in self.memory.regions if r.start <= address < r.end), 0)
        if not fill or not size:
            return
        used = self.caches[cache]
        lines = range(address >> used.line_shift, (address + size - 1 >> used.line_shift) + 1)
        misses = sum(used.touch(line) for line in lines)
        self.misses[cache] += misses
        self.memory_cycles += misses * fill if stalls else 0

    def _new_cycle(self, cycle: int) -> None:
        self.cycle = cycle
        self._slot = self._units = self._loads = self._stores = 0

    def _issue(self, i: Instruction) -> None:
        for register, need in i.sources:
            ahead = -self._loaded[register] if need == Need.EARLY_IF_LOADED else need
            if self._ready[register] - ahead > self.cycle:
                self._new_cycle(self._ready[register] - ahead)
        if self._slot == 1 and not self._fits_second(i):
            self._new_cycle(self.cycle + 1)
        cycle = self.cycle
        for register, latency in i.results:
            extra = self.core.load_extra_cycles if i.loads and register < 16 and latency else 0
            self._ready[register] = cycle + latency + extra
            self._loaded[register] = int(i.loads > 0)
        self._slot += 1
        self._units |= i.units
        self._loads += i.loads
        self._stores += i.stores
        if i.alone:
            self._new_cycle(cycle + i.cycles)
        elif self._slot == 2:
            self._new_cycle(cycle + 1)

    def _fits_second(self, i: Instruction) -> bool:
        if i.first_slot or i.alone or self._units & i.units:
            return False
        return self._loads + i.loads <= self.core.max_loads and self._stores + i.stores <= 1

    def _follow_branch(self, address: int) -> None:
        """What the end of the last block costs, now that the address of the next is known."""
        taken = address != self._next_address
        if self._last.branch == Branch.CONDITIONAL:
            counter = self._predictor.get(self._last_address, 0)
            if (counter >= 2) != taken:
                self._new_cycle(self.cycle + self.core.mispredict_cycles)
                self.mispredicts += 1
            self._predictor[self._last_address] = min(counter + 1, 3) if taken else max(counter - 1, 0)
        elif self._last.branch == Branch.INDIRECT:
            self._new_cycle(self.cycle + self.core.indirect_cycles)
        if taken and self._slot:
            self._new_cycle(self.cycle + 1)
        if taken and self.core.taken_cycles:
            self._new_cycle(self.cycle + self.core.taken_cycles)


class PythonScoreboard:
    """`IssueModel` behind Unicorn's Python hooks (about 0.1 million instructions a second)."""

    def __init__(self, uc: Any, core: CoreRules, memory: MemoryRules) -> None:
        self._uc, self._decoder = uc, Decoder()
        self.model = IssueModel(core, memory, self._decode)
        self._watches: dict[int, int] = {}
        self._begun: list[tuple[int, int, Counts]] = []  # (watch, depth, begin)
        self._ended: dict[int, Counts] = {}  # index into _begun -> end
        self._open: list[tuple[int, int]] = []  # (index into _begun, return address)
        self._hooks = [uc.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)]
        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        self._hooks += [uc.hook_add(kinds, self._on_access, begin=r.start, end=r.end - 1) for r in memory.regions]
        uc.ctl_flush_tb()  # code that ran already calls no hooks

    def watch(self, address: int, watch: int) -> None:
        """See `Scoreboard.watch`."""
        self._watches[address & ~1] = watch

    def counts(self) -> Counts:
        """See `Scoreboard.counts`."""
        refuse_undecoded(self.model.undecoded)
        return self.model.counts()

    def calls(self) -> list[Call]:
        """See `Scoreboard.calls`."""
        return [Call(*begun, self._ended[k]) for k, begun in enumerate(self._begun) if k in self._ended]

    def detach(self) -> None:
        """See `Scoreboard.detach`."""
        for hook in self._hooks:
            self._uc.hook_del(hook)
        self._hooks = []

    def _decode(self, address: int, size: int) -> dict[int, Instruction]:
        return dict(self._decoder.block(bytes(self._uc.mem_read(address, size)), address))

    def _on_block(self, uc: Any, address: int, size: int, _user: object) -> None:
        address &= ~1
        while self._open and self._open[-1][1] == address:
            self._ended[self._open.pop()[0]] = self.model.counts()
        if address in self._watches:
            self._begin(self._watches[address], uc.reg_read(arm_const.UC_ARM_REG_LR) & ~1)
        self.model.block(address, size)

    def _begin(self, watch: int, back: int) -> None:
        if self._open and self._open[-1][1] == back and self._begun[self._open[-1][0]][0] == watch:
            return  # a loop back to the first instruction, not a call
        if len(self._open) == MAX_DEPTH or len(self._begun) == MAX_CALLS:
            raise lost_calls()
        self._begun.append((watch, len(self._open), self.model.counts()))
        self._open.append((len(self._begun) - 1, back))

    def _on_access(self, uc: Any, kind: int, address: int, size: int, _value: int, _user: object) -> None:
        status = uc.reg_read(arm_const.UC_ARM_REG_CPSR)
        if status & _IT_STATE:  # see mend_it_state in scoreboard.c
            uc.reg_write(arm_const.UC_ARM_REG_CPSR, status & ~_IT_STATE)
        stalls = kind != unicorn.UC_MEM_WRITE or self.model.memory.write_miss_stalls
        self.model.access("dcache", address, size, stalls)


def refuse_undecoded(blocks: int) -> None:
    """Raises where blocks held something that is no instruction of this core."""
    if blocks:
        fact = f"{blocks} executed blocks hold instructions the model does not know"
        raise McugenError("profile", fact, "build for cortex-m7 with its own FPU")


def lost_calls() -> McugenError:
    """More watched calls than are kept."""
    fact = f"watched functions were called over {MAX_CALLS} times, or nested over {MAX_DEPTH} deep"
    return McugenError("profile", fact, "watch the run function and its steps only")
