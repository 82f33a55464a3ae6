"""Run as a script in a process of its own: the weights of an HDF5 file as .npz, because libhdf5 can hang on damaged files.

    python hdf5_dump.py SOURCE TARGET.npz GROUP CPU_SECONDS MEMORY_BYTES

Follows hard links only, below GROUP, and never leaves the file. TARGET holds the arrays a0, a1, ... and `index`, JSON as
bytes: {"config": text or null, "arrays": {path: number}, "problems": {path: text}, "names": {group: [weight names]},
"listed": whether Keras listed the group's layers, as it does in `.h5` files but not in `.weights.h5`}. An empty GROUP takes
the group of the weights in a file of weights alone, whichever of the two formats it has.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import h5py
import numpy as np

MAX_OBJECTS = 200_000
MAX_DEPTH = 30
MAX_VALUES = 1 << 26


def limit(cpu_seconds: int, memory_bytes: int) -> None:
    """Let the operating system end this process when it runs away (Unix only)."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as file:
            in_use = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + memory_bytes, in_use + memory_bytes))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))


def names_of(group: Any) -> list[str]:
    """The attribute weight_names, which Keras splits into weight_names0, ... when it is long."""
    keys = ["weight_names"] if "weight_names" in group.attrs else []
    while f"weight_names{len(keys)}" in group.attrs and keys[:1] != ["weight_names"]:
        keys.append(f"weight_names{len(keys)}")
    items = [item for key in keys for item in np.asarray(group.attrs[key]).ravel()]
    return [item.decode() if isinstance(item, bytes) else str(item) for item in items]


def listed(group: Any) -> bool:
    return isinstance(group, h5py.Group) and ("layer_names" in group.attrs or "layer_names0" in group.attrs)


def problem_of(data: Any, room: int) -> str | None:
    """Why a data set is not read, or None."""
    if data.dtype.kind != "f" or data.dtype.itemsize != 4:
        return f"are of type {data.dtype}, not float32"
    size = math.prod(data.shape or (0,) if data.shape != () else ())
    large_chunks = data.chunks is not None and math.prod(data.chunks) > 4 * max(size, 1024)
    if data.is_virtual or data.external or large_chunks or data.compression not in (None, "gzip") or size > room:
        return "are stored in an unusual way or too large"
    return None


class Dump:
    def __init__(self) -> None:
        self.arrays: list[Any] = []
        self.index: dict[str, Any] = {"config": None, "arrays": {}, "problems": {}, "names": {}, "listed": False}
        self.room, self.objects = MAX_VALUES, 0

    def walk(self, group: Any, path: str, depth: int) -> None:
        if "weight_names" in group.attrs or "weight_names0" in group.attrs:
            self.index["names"][path] = names_of(group)
        for key in group:
            here = f"{path}/{key}" if path else key
            self.objects += 1
            if self.objects > MAX_OBJECTS or depth > MAX_DEPTH:
                raise ValueError("the file has too many objects")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                self.index["problems"][here] = "are a link to somewhere else"
                continue
            item = group[key]
            if isinstance(item, h5py.Group):
                self.walk(item, here, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self.read(item, here)

    def read(self, data: Any, path: str) -> None:
        problem = problem_of(data, self.room)
        if problem:
            self.index["problems"][path] = problem
            return
        value = np.asarray(data[()], np.float32)
        self.room -= value.size
        self.index["arrays"][path] = len(self.arrays)
        self.arrays.append(value)


def dump(source: str, target: str, group: str) -> None:
    """Write what the file `source` holds below `group` to the .npz file `target`."""
    found = Dump()
    with h5py.File(source, "r") as file:
        config = file.attrs.get("model_config")
        found.index["config"] = config.decode() if isinstance(config, bytes) else config
        group = group or ("model_weights" if listed(file.get("model_weights")) else "/" if listed(file) else "layers")
        if group in file:
            found.index["listed"] = listed(file[group])
            found.walk(file[group], "", 0)
    text = np.frombuffer(json.dumps(found.index).encode(), np.uint8)
    named: dict[str, Any] = {f"a{number}": value for number, value in enumerate(found.arrays)}
    np.savez(target, index=text, **named)


if __name__ == "__main__":
    limit(int(sys.argv[4]), int(sys.argv[5]))
    try:
        dump(*sys.argv[1:4])
    except Exception as error:  # h5py raises many kinds on damaged files
        print(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", file=sys.stderr)
        sys.exit(1)
