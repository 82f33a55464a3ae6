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
from mcugen.codegen.emit import graph_digest
from mcugen.engines import open_engine
from mcugen.engines.host import HostEngine
from mcugen.engines.serial import SerialPort
from mcugen.errors import McugenError
from mcugen.interpret import interpret
from mcugen.ir import Array, Board, Graph
from mcugen.numerics.packing import from_bytes, to_bytes
from mcugen.pipeline import compile_graph
from mcugen.protocol.client import Device
from mcugen.toolchain import Image

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

    def __init__(self, graph: Graph, device: Device, keep: object = None) -> None:
        self.graph, self.device, self._keep = graph, device, keep
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


def open_runner(
    graph: Graph, engine: str, board: str = "nucleo-h743zi", toolchain: str = "auto", goal: str = "time",
    ram_limit: int | None = None, many: bool = False,
) -> Runner:  # fmt: skip
    """A runner for an engine's name, or for a serial port that already runs this model.

    ram_limit: see `compile_graph`. many: see `HostEngine`.

    Raises:
        McugenError: the engine's tools are missing, the port is silent, or the device runs another model.
    """
    if engine == "reference":
        return ReferenceRunner(graph)
    if engine in ENGINES:
        compiled = compile_graph(graph, load_board(BOARDS.get(engine, board)), goal, ram_limit=ram_limit)
        if engine == "host":
            return HostRunner(graph, HostEngine(graph, compiled.sources, many=many))
        folder = tempfile.TemporaryDirectory(prefix="mcugen-image-")
        image = link(compiled, Path(folder.name), toolchain)
        device = open_simulated(engine, image, compiled.sources.digest)
        return DeviceRunner(graph, device, keep=folder)
    return DeviceRunner(graph, open_port(engine, load_board(board), bytes.fromhex(graph_digest(graph)[:32])))


def open_simulated(engine: str, image: Image, digest: str) -> Device:
    """A simulator that has booted the image and answered with the right digest (hex)."""
    device = open_engine(engine, image, digest=bytes.fromhex(digest[:32]), timeout=600.0)
    device.hello()
    return device


def open_port(port: str, board: Board, digest: bytes) -> Device:
    """A device behind a serial port (any pyserial URL) that runs the model with this digest."""
    if not ("/" in port or port.upper().startswith("COM")):
        known = f"{', '.join(ENGINES[1:])} or a serial port such as /dev/ttyACM0"
        raise McugenError(repr(port), "is neither an engine that this command takes nor a serial port", f"use {known}")
    device = Device(SerialPort(port, int(board.uart["baud"])), digest=digest)
    device.hello()
    return device
