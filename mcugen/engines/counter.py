"""Exact instruction counts and a deadline for a Unicorn engine: by speed.c, else in Python."""

from __future__ import annotations

import ctypes
from typing import Any

import unicorn

from mcugen.engines.plugin import add_native_hook, unicorn_function


class _Counter(ctypes.Structure):
    """Head of `counter` in speed.c."""

    _fields_ = [
        ("instructions", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("stop", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
    ]


class Counter:
    """Counts what `uc` executes and stops it before the first block after `deadline`.

    Args:
        library: speed.c; without it a hook in Python counts, if `count`, else nothing does and no deadline holds.
    """

    def __init__(self, uc: Any, library: ctypes.CDLL | None, count: bool) -> None:
        self.active = library is not None or count
        if library is not None:
            library.counter_bytes.restype = ctypes.c_uint64
            self._memory = ctypes.create_string_buffer(library.counter_bytes())
            self._c = _Counter.from_buffer(self._memory)
            self._c.stop, self._c.read = unicorn_function("uc_emu_stop"), unicorn_function("uc_mem_read")
            add_native_hook(uc, unicorn.UC_HOOK_BLOCK, library.count_block, self._memory)
        else:
            self._c = _Counter()
            if count:
                uc.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)

    @property
    def instructions(self) -> int:
        return int(self._c.instructions)

    def stop_at(self, deadline: int) -> None:
        """Stop when this many instructions have been executed since power-on."""
        self._c.deadline = deadline

    def _on_block(self, uc: Any, address: int, size: int, data: Any) -> None:
        if self._c.instructions >= self._c.deadline:
            uc.emu_stop()  # leaves before this block runs
            return
        code = uc.mem_read(address & ~1, size)
        at = 0
        while at + 1 < size:
            at += 4 if code[at + 1] >= 0xE8 else 2
            self._c.instructions += 1
