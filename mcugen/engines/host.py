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
from mcugen.numerics.packing import pack_rows, pack_words, unpack_rows, unpack_words
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


_DTYPES = {"float": "<f4", "int8_t": "i1", "uint8_t": "u1", "int16_t": "<i2", "uint16_t": "<u2", "int32_t": "<i4"}


def to_bytes(codes: Array, kind: TensorType) -> Array:
    """Codes (N, ...) as the bytes (N, bytes) that lie in the device's memory."""
    count = codes.shape[0]
    if kind.layout == "words":
        return np.ascontiguousarray(pack_words(codes)).view(np.uint8).reshape(count, -1)
    if kind.layout == "packed":
        return pack_rows(codes.reshape(-1, kind.channels).astype(np.int64), kind.bits).reshape(count, -1)
    return np.ascontiguousarray(codes.astype(_DTYPES[kind.c_type])).view(np.uint8).reshape(count, -1)


def from_bytes(data: Array, kind: TensorType) -> Array:
    """Inverse of `to_bytes`: codes int64 or floats (N, ...)."""
    data = np.ascontiguousarray(data)
    if kind.layout == "words":
        words = data.view("<u4").reshape(data.shape[0], *kind.shape[:-1], -1)
        return unpack_words(words, kind.channels)
    if kind.layout == "packed":
        codes = unpack_rows(data.reshape(-1, kind.stride), kind.bits, kind.channels, kind.signed)
        return codes.reshape(data.shape[0], *kind.shape)
    values = data.view(_DTYPES[kind.c_type]).reshape(data.shape[0], *kind.shape)
    return values if kind.kind == "float" else values.astype(np.int64)
