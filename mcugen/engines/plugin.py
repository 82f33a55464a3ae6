"""Small C libraries that Unicorn calls without Python in between: built at first use, kept in the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import unicorn
from unicorn.unicorn_py3.unicorn import uclib

from mcugen.errors import McugenError
from mcugen.toolchain import compile_native


@cache
def load_plugin(sources: tuple[Path, ...]) -> ctypes.CDLL | None:
    """The library built from `sources` (C files, and headers beside them); None where no compiler works."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    path = _cache_folder() / f"{sources[0].stem}-{digest}-{sys.platform}-{platform.machine()}.so"
    if not path.exists():
        try:
            compile_native([source for source in sources if source.suffix == ".c"], [sources[0].parent], path, shared=True)
        except McugenError:
            return None
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        return None

def add_native_hook(uc: Any, kind: int, function: Any, context: Any, begin: int = 1, end: int = 0) -> ctypes.c_size_t:
    """Have Unicorn call a C function (a ctypes function or its address) with a context pointer; the hook's handle."""
    handle = ctypes.c_size_t()
    status = uclib.uc_hook_add(
        uc._uch,
        ctypes.byref(handle),
        kind,
        ctypes.cast(function, ctypes.c_void_p),
        ctypes.cast(context, ctypes.c_void_p),
        ctypes.c_uint64(begin),
        ctypes.c_uint64(end),
    )
    if status:
        raise unicorn.UcError(status)
    return handle

def unicorn_function(name: str) -> ctypes.c_void_p:
    """Address of a function of the Unicorn library, for C code to call."""
    return ctypes.cast(getattr(uclib, name), ctypes.c_void_p)

def _cache_folder() -> Path:
    """$XDG_CACHE_HOME/mcugen or ~/.cache/mcugen; a private temporary folder where that cannot be written."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcugen"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):
        pass
    return Path(tempfile.mkdtemp(prefix="mcugen-"))

def sources_beside(module_file: str, *names: str) -> tuple[Path, ...]:
    """Paths of C sources that lie beside a module."""
    return tuple(Path(module_file).parent / name for name in names)

__all__: Sequence[str] = ("add_native_hook", "load_plugin", "sources_beside", "unicorn_function")
