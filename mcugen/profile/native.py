"""scoreboard.c built as a shared library at first use, and hooked into Unicorn without Python in between."""

from __future__ import annotations

import ctypes
import warnings
import weakref
from functools import cache
from typing import Any

import unicorn
from unicorn import arm_const
from unicorn.unicorn_py3.unicorn import uclib

from mcugen.engines.plugin import add_native_hook, load_plugin, sources_beside, unicorn_function
from mcugen.errors import McugenError
from mcugen.profile.decode import Decoder
from mcugen.profile.instruction import Instruction
from mcugen.profile.model import MAX_REGIONS, Call, CoreRules, Counts, MemoryRules
from mcugen.profile.scoreboard import MAX_CALLS, PythonScoreboard, Scoreboard, lost_calls, refuse_undecoded

_MAX_OPERANDS = 40
_DECODE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)


def _bytes(*names: str) -> list[tuple[str, Any]]:
    return [(name, ctypes.c_uint8) for name in names]


class _Instruction(ctypes.Structure):
    _fields_ = [
        *_bytes("size", "units", "first_slot", "alone", "cycles", "loads", "stores", "branch"),
        *_bytes("conditional", "n_sources", "n_results"),
        ("source", ctypes.c_uint8 * _MAX_OPERANDS),
        ("need", ctypes.c_int8 * _MAX_OPERANDS),
        ("result", ctypes.c_uint8 * _MAX_OPERANDS),
        ("latency", ctypes.c_uint8 * _MAX_OPERANDS),
    ]


class _Region(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("start", "end", "fill_cycles")]


_CORE = ("max_loads", "mispredict_cycles", "indirect_cycles", "taken_cycles", "load_extra_cycles")
_MEMORY = ("line_bytes", "icache_sets", "icache_ways", "dcache_sets", "dcache_ways", "write_miss_stalls")


class _Settings(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in (*_CORE, *_MEMORY, "n_regions")),
        ("regions", _Region * MAX_REGIONS),
    ]


class _Host(ctypes.Structure):
    _fields_ = [
        ("decode", _DECODE),
        *((name, ctypes.c_void_p) for name in ("read_register", "write_register")),
        *((name, ctypes.c_int32) for name in ("link_register", "status_register")),
    ]


_COUNTS = ("instructions", "cycles", "memory_cycles", "mispredicts", "icache_misses", "dcache_misses")


class _Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in _COUNTS]

    def frozen(self) -> Counts:
        return Counts(*(int(getattr(self, name)) for name in _COUNTS))


class _Record(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("watch", "depth", "done", "return_address")),
        ("begin", _Counts),
        ("end", _Counts),
    ]


def open_scoreboard(uc: Any, core: CoreRules, memory: MemoryRules, native: bool | None = None) -> Scoreboard:
    """Hooks a scoreboard into a Unicorn engine (Cortex-M7, Thumb).

    Args:
        native: True insists on the compiled one, False on the one in Python; None takes what there is.
    """
    if native is not False:
        library = load_library()
        if library is not None:
            return NativeScoreboard(library, uc, core, memory)
        if native:
            raise McugenError("profile", "no C compiler built the cycle model", "install gcc, clang or ziglang")
        warnings.warn("no C compiler found: the cycle model runs in Python, hundreds of times slower", stacklevel=2)
    return PythonScoreboard(uc, core, memory)


class _BlockDecoder:
    """Serves the library's calls for instructions not seen before; must not keep the engine alive."""

    def __init__(self, library: ctypes.CDLL, uc: Any) -> None:
        self.library, self.uc, self.decoder = library, weakref.proxy(uc), Decoder()
        self.scoreboard = ctypes.c_void_p()
        self.kinds: dict[Instruction, int] = {}
        registers = (unicorn_function("uc_reg_read"), unicorn_function("uc_reg_write"))
        self.host = _Host(_DECODE(self._decode), *registers, arm_const.UC_ARM_REG_LR, arm_const.UC_ARM_REG_CPSR)

    def _decode(self, address: int, size: int) -> None:
        code = bytes(self.uc.mem_read(address, size))
        for at, instruction in self.decoder.block(code, address):
            kind = self.kinds.get(instruction)
            if kind is None:
                kind = self.kinds[instruction] = len(self.kinds) + 1
                self.library.scoreboard_define(self.scoreboard, kind, ctypes.byref(_flat(instruction)))
            self.library.scoreboard_place(self.scoreboard, at, kind)


class NativeScoreboard:
    """scoreboard.c behind native hooks (see `Scoreboard` for the methods)."""

    def __init__(self, library: ctypes.CDLL, uc: Any, core: CoreRules, memory: MemoryRules) -> None:
        self._library, self._uc = library, uc
        decoder = _BlockDecoder(library, uc)
        settings, host = _settings(core, memory), decoder.host
        self._self = ctypes.c_void_p(library.scoreboard_new(ctypes.byref(settings), ctypes.byref(host), MAX_CALLS))
        decoder.scoreboard = self._self
        # Hooks may outlive this object, but not the engine.
        self._release = weakref.finalize(uc, _release, library, self._self, decoder)
        self._release.atexit = False
        self._kept: tuple[Counts, int, list[Call]] | None = None
        self._hooks = [add_native_hook(uc, unicorn.UC_HOOK_BLOCK, library.on_block, self._self)]
        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        for region in memory.regions:
            self._hooks.append(add_native_hook(uc, kinds, library.on_access, self._self, region.start, region.end - 1))
        uc.ctl_flush_tb()  # code that ran already calls no hooks

    def watch(self, address: int, watch: int) -> None:
        """See `Scoreboard.watch`."""
        self._library.scoreboard_watch(self._self, address & ~1, watch)

    def counts(self) -> Counts:
        """See `Scoreboard.counts`."""
        counts, undecoded = self._kept[:2] if self._kept else self._read_counts()
        refuse_undecoded(undecoded)
        return counts

    def calls(self) -> list[Call]:
        """See `Scoreboard.calls`."""
        return self._kept[2] if self._kept else self._read_calls()

    def detach(self) -> None:
        """See `Scoreboard.detach`."""
        if self._kept is None:
            self._kept = (*self._read_counts(), self._read_calls())
            for hook in self._hooks:
                uclib.uc_hook_del(self._uc._uch, hook)
            self._uc.ctl_flush_tb()  # translated code may hold the address of a hook
            self._release()

    def _read_counts(self) -> tuple[Counts, int]:
        counts = _Counts()
        self._library.scoreboard_counts(self._self, ctypes.byref(counts))
        return counts.frozen(), int(self._library.scoreboard_undecoded(self._self))

    def _read_calls(self) -> list[Call]:
        number = int(self._library.scoreboard_records(self._self, None, 0))
        if number > MAX_CALLS:
            raise lost_calls()
        records = (_Record * number)()
        self._library.scoreboard_records(self._self, records, number)
        return [Call(r.watch, r.depth, r.begin.frozen(), r.end.frozen()) for r in records if r.done]


def _release(library: ctypes.CDLL, scoreboard: ctypes.c_void_p, _kept_alive: _BlockDecoder) -> None:
    library.scoreboard_free(scoreboard)


def _flat(i: Instruction) -> _Instruction:
    """The C form of an instruction."""
    scalars = (i.size, i.units, i.first_slot, i.alone, i.cycles, i.loads, i.stores, i.branch, i.conditional)
    flat = _Instruction(*map(int, scalars), len(i.sources), len(i.results))
    for k, (register, need) in enumerate(i.sources):
        flat.source[k], flat.need[k] = register, need
    for k, (register, latency) in enumerate(i.results):
        flat.result[k], flat.latency[k] = register, latency
    return flat


def _settings(core: CoreRules, memory: MemoryRules) -> _Settings:
    settings = _Settings(*(getattr(core, name) for name in _CORE))
    settings.line_bytes = memory.line_bytes
    settings.icache_sets, settings.icache_ways = memory.sets("icache"), memory.icache_ways
    settings.dcache_sets, settings.dcache_ways = memory.sets("dcache"), memory.dcache_ways
    settings.write_miss_stalls, settings.n_regions = memory.write_miss_stalls, len(memory.regions)
    for k, region in enumerate(memory.regions):
        settings.regions[k] = _Region(region.start, region.end, region.fill_cycles)
    return settings


@cache
def load_library() -> ctypes.CDLL | None:
    """The compiled scoreboard, from the cache directory or built into it; None where no compiler works."""
    library = load_plugin(sources_beside(__file__, "scoreboard.c", "scoreboard.h"))
    if library is None:
        return None
    sizes = (ctypes.c_uint32 * 5)()
    library.scoreboard_sizes(sizes)
    expected = [ctypes.sizeof(kind) for kind in (_Instruction, _Settings, _Host, _Counts, _Record)]
    if list(sizes) != expected:
        raise AssertionError(f"scoreboard.h and native.py disagree: {list(sizes)} != {expected}")
    library.scoreboard_new.restype = ctypes.c_void_p
    return library
