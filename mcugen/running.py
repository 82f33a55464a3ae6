"""Engines by name: codes in, codes out, whichever machine computes."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from mcugen.boards import load_board
from mcugen.build import link
from mcugen.engines.host import HostEngine, from_bytes, to_bytes
from mcugen.interpret import interpret
from mcugen.ir import Array, Graph
from mcugen.pipeline import compile_graph
from mcugen.protocol import Device

ENGINES = ("reference", "host", "unicorn", "qemu", "renode")
BOARDS = {"qemu": "mps2-an500"}


class Runner(Protocol):
    """What every engine offers."""

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Codes of the inputs (N, ...) to codes, or float32 values, of the outputs (N, ...)."""

    def trace(self, inputs: Sequence[Array], expected: dict[str, Array]) -> dict[str, Array]:
        """Every step's tensor by node name. `expected` spares transfers: only what differs from it is fetched."""


class ReferenceRunner:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        found = interpret(self.graph, inputs)
        return [found[name] for name in self.graph.outputs]

    def trace(self, inputs: Sequence[Array], expected: dict[str, Array]) -> dict[str, Array]:
        return interpret(self.graph, inputs, keep=True)


class HostRunner:
    def __init__(self, graph: Graph, engine: HostEngine) -> None:
        self.engine = engine

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        return self.engine.run(inputs)

    def trace(self, inputs: Sequence[Array], expected: dict[str, Array]) -> dict[str, Array]:
        return self.engine.trace(inputs)


class DeviceRunner:
    """A device behind the protocol. Its digest was compared with the graph's when it was opened."""

    def __init__(self, graph: Graph, device: Device) -> None:
        self.graph, self.device = graph, device
        self.cycles: list[int] = []
        self.stack_bytes = 0

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        types = [self.graph[name].type for name in self.graph.outputs]
        outputs: list[list[Array]] = [[] for _ in types]
        for i in range(inputs[0].shape[0]):
            result = self.device.infer(self._bytes(inputs, i))
            self.cycles.append(result.cycles)
            self.stack_bytes = max(self.stack_bytes, result.stack_bytes)
            for made, data, kind in zip(outputs, result.outputs, types, strict=True):
                made.append(from_bytes(np.frombuffer(data, np.uint8).reshape(1, -1), kind))
        return [np.concatenate(made) for made in outputs]

    def trace(self, inputs: Sequence[Array], expected: dict[str, Array]) -> dict[str, Array]:
        found: dict[str, list[Array]] = {}
        for i in range(inputs[0].shape[0]):
            data = self._bytes(inputs, i)
            _, records = self.device.trace(data)
            for step, record in enumerate(records):
                kind, want = self.graph[record.name].type, expected[record.name][i : i + 1]
                if zlib.crc32(to_bytes(want, kind).tobytes()) != record.crc:
                    got = self.device.step_output(data, step)
                    want = from_bytes(np.frombuffer(got, np.uint8).reshape(1, -1), kind)
                found.setdefault(record.name, []).append(want)
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _bytes(self, inputs: Sequence[Array], i: int) -> list[bytes]:
        types = [self.graph[name].type for name in self.graph.inputs]
        return [to_bytes(x[i : i + 1], kind).tobytes() for x, kind in zip(inputs, types, strict=True)]


def open_runner(graph: Graph, engine: str, board: str = "nucleo-h743zi", toolchain: str = "auto", goal: str = "time") -> Runner:
    """A runner for an engine's name, or for a serial port that already runs this model.

    Raises:
        McugenError: the engine's tools are missing, the port is silent, or the device runs another model.
    """
    if engine == "reference":
        return ReferenceRunner(graph)
    if engine in ENGINES:
        compiled = compile_graph(graph, load_board(BOARDS.get(engine, board)), goal)
        if engine == "host":
            return HostRunner(graph, HostEngine(graph, compiled.sources))
        folder = tempfile.TemporaryDirectory(prefix="mcugen-image-")
        image = link(compiled, Path(folder.name), toolchain)
        runner = DeviceRunner(graph, open_simulated(engine, image.elf, compiled.board.name, compiled.sources.digest))
        runner._folder = folder  # type: ignore[attr-defined]
        return runner
    return DeviceRunner(graph, open_port(engine, graph_digest_bytes(graph)))


def graph_digest_bytes(graph: Graph) -> bytes:
    from mcugen.emit import graph_digest

    return bytes.fromhex(graph_digest(graph)[:32])


def open_simulated(engine: str, elf: Path, board: str, digest: str) -> Device:
    """A simulator that has booted the image and answered with the right digest."""
    from mcugen.engines import open_engine

    device = open_engine(engine, elf, load_board(board), digest=bytes.fromhex(digest[:32]))
    device.hello()
    return device


def open_port(port: str, digest: bytes) -> Device:
    from mcugen.engines import open_engine

    device = open_engine(port, None, None, digest=digest)
    device.hello()
    return device

