"""The generated C on this machine: compiled natively, fed through standard input and output."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcugen.codegen.emit import Sources
from mcugen.errors import CheckFailed
from mcugen.ir import Array, Graph, TensorType
from mcugen.numerics.packing import from_bytes, to_bytes
from mcugen.resources import data_dir
from mcugen.toolchain import compile_native

TIMEOUT_PER_IMAGE = 20.0


class HostEngine:
    """One compiled model; `run` and `trace` are pure functions of codes."""

    def __init__(self, graph: Graph, sources: Sources, sanitize: bool = False) -> None:
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
        stdin = np.concatenate(encoded, axis=1).tobytes()
        limit = 10 + TIMEOUT_PER_IMAGE * count
        done = subprocess.run([str(self.program), *arguments], input=stdin, capture_output=True, timeout=limit, check=False)
        sizes = np.cumsum([0, *(kind.bytes for kind in types)])
        if done.returncode or len(done.stdout) != count * int(sizes[-1]):
            fact = f"the compiled model ended with code {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
            raise CheckFailed("host", fact, "report this as a bug with the model")
        data = np.frombuffer(done.stdout, np.uint8).reshape(count, -1)
        return [from_bytes(data[:, a:b], kind) for a, b, kind in zip(sizes, sizes[1:], types, strict=False)]
