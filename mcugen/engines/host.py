"""The generated C on this machine: compiled natively, fed through standard input and output."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mcugen.codegen.emit import Sources
from mcugen.errors import CheckFailed
from mcugen.ir import Array, Graph, TensorType
from mcugen.numerics.packing import from_bytes, to_bytes
from mcugen.resources import data_dir
from mcugen.toolchain import compile_native

TIMEOUT_PER_IMAGE = 20.0
_PLAIN = ("-O2",)
_FASTEST = ("-O3",)  # without -march=native: GCC 12.2 then computes some sums of signed bytes wrong, by the VNNI instructions


class HostEngine:
    """One compiled model; `run` and `trace` are pure functions of codes, computed by one process a core.

    many: thousands of samples will come, for which slower compilation pays.
    """

    def __init__(self, graph: Graph, sources: Sources, sanitize: bool = False, many: bool = False) -> None:
        self.graph, self.sources = graph, sources
        self._folder = tempfile.TemporaryDirectory(prefix="mcugen-host-")
        folder = Path(self._folder.name)
        for name, text in sources.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        firmware = data_dir("firmware")
        self.program = folder / "model"
        compile_native(
            [folder / "model.c", firmware / "host" / "host.c"],
            [folder, firmware],
            self.program,
            sanitize=sanitize,
            opt=_FASTEST if many else _PLAIN,
            defines=(f"MCU_APP={sources.model}_model",),
        )

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Codes of the inputs (N, ...) to codes or floats of the outputs (N, ...)."""
        return self._call(inputs, [], [self.graph[name].type for name in self.graph.outputs])

    def trace(self, inputs: Sequence[Array]) -> dict[str, Array]:
        """Every step's tensor by node name."""
        names = list(self.sources.steps)
        arrays = self._call(inputs, ["trace"], [self.graph[name].type for name in names])
        return dict(zip(names, arrays, strict=True))

    def _call(self, inputs: Sequence[Array], arguments: list[str], types: list[TensorType]) -> list[Array]:
        kinds = [self.graph[name].type for name in self.graph.inputs]
        count = inputs[0].shape[0]
        encoded = [to_bytes(x, kind).reshape(count, -1) for x, kind in zip(inputs, kinds, strict=True)]
        rows = np.array_split(np.concatenate(encoded, axis=1), min(count, os.cpu_count() or 1))
        sizes = np.cumsum([0, *(kind.bytes for kind in types)])
        with ThreadPoolExecutor(len(rows)) as pool:
            data = np.concatenate(list(pool.map(lambda part: self._process(part, arguments, int(sizes[-1])), rows)))
        return [from_bytes(data[:, a:b], kind) for a, b, kind in zip(sizes, sizes[1:], types, strict=False)]

    def _process(self, rows: Array, arguments: list[str], size: int) -> Array:
        """Bytes of the inputs (N, bytes) to those of the results (N, size)."""
        limit = 10 + TIMEOUT_PER_IMAGE * len(rows)
        command = [str(self.program), *arguments]
        done = subprocess.run(command, input=rows.tobytes(), capture_output=True, timeout=limit, check=False)
        if done.returncode or len(done.stdout) != len(rows) * size:
            fact = f"the compiled model ended with code {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
            raise CheckFailed("host", fact, "report this as a bug with the model")
        return np.frombuffer(done.stdout, np.uint8).reshape(len(rows), size)
