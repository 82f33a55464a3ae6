"""Runs specs through everything and counts: QKeras's answers, the reference, batches of compiled C, the simulator."""

from __future__ import annotations

import functools
import json
import operator
import os
import re
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

import numpy as np

from mcugen import reference
from mcugen.errors import McugenError
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Array, Float, Graph
from mcugen.load import hdf5
from mcugen.pipeline import Compiled, integer_graph
from tests.fuzzing.batch import HostBatch, compiled
from tests.fuzzing.compare import Row, compare
from tests.fuzzing.maker import Json
from tests.fuzzing.sound import contents_here
from tests.fuzzing.specs import draw

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Failure:
    seed: int
    reason: str
    spec: Json


@dataclass
class Totals:
    """Counts over all graphs; `refused` by message without its names and numbers."""

    graphs: int = 0
    layers: int = 0
    values: int = 0
    promised_values: int = 0
    off_by_one: int = 0
    exact_graphs: int = 0
    host: int = 0
    simulated: int = 0
    operators: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)
    keras: Counter[str] = field(default_factory=Counter)

    def count(self, rows: list[Row]) -> None:
        self.graphs += 1
        self.layers += len(rows)
        self.values += sum(row.values for row in rows)
        self.promised_values += sum(row.values for row in rows if row.promised)
        self.off_by_one += sum(row.off for row in rows if not row.promised)
        self.exact_graphs += all(row.promised for row in rows)
        self.operators.update(row.op for row in rows)

    def text(self, verbose: bool = False) -> str:
        refused, keras = sum(self.refused.values()), sum(self.keras.values())
        lines = [
            f"{self.graphs} graphs accepted, {refused} refused, {keras} failed in Keras itself",
            f"{self.layers} layers, {self.values:,} values compared with QKeras",
            f"{self.promised_values:,} values in promised layers, equal unless FAILED below; {self.exact_graphs} whole graphs",
            f"{self.off_by_one:,} values elsewhere off by one level, given equal inputs",
            f"host equals reference: {self.host} graphs; simulator equals reference: {self.simulated} graphs",
            "layers by operator: " + ", ".join(f"{name} {count}" for name, count in self.operators.most_common()),
            *(f"  refused {count}: {text}" for text, count in self.refused.most_common()),
            *(f"  Keras {count}: {text}" for text, count in self.keras.most_common()),
            *(self.refusals if verbose else ()),
        ]
        return "\n".join(lines)


def together(parts: Sequence[Totals]) -> Totals:
    """The totals of several campaigns."""
    names = [each.name for each in fields(Totals)]
    return Totals(**{name: functools.reduce(operator.add, [getattr(part, name) for part in parts]) for name in names})


class Worker:
    """The TensorFlow process."""

    def __init__(self) -> None:
        environment = {**os.environ, **reference.ENVIRONMENT, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzzing.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def send(self, spec: Json, path: Path) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"spec": spec, "path": str(path)}) + "\n")
        self.process.stdin.flush()

    def receive(self) -> Json:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the TensorFlow process ended with code {self.process.wait()}")
        reply: Json = json.loads(line)
        return reply


@dataclass(frozen=True)
class Case:
    """A model that was accepted and agreed with QKeras, waiting to be compiled."""

    spec: Json
    made: Compiled
    inputs: list[Array]
    reference: dict[str, Array]


class Campaign:
    def __init__(self, simulator: int = 0, batch: int = 25, sanitize_every: int = 3) -> None:
        self.totals, self.failures = Totals(), list[Failure]()
        self.simulator, self.batch, self.sanitize_every = simulator, batch, sanitize_every
        self._folder = tempfile.TemporaryDirectory(prefix="mcugen-fuzz-")
        self.folder, self.worker = Path(self._folder.name), Worker()
        self._reader = mock.patch.object(hdf5, "contents", contents_here)
        self._waiting: list[tuple[Json, Path]] = []
        self._cases: list[Case] = []
        self._batches = 0

    def __enter__(self) -> Campaign:
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._reader.stop()
        self.worker.process.kill()
        self.worker.process.wait()
        self._folder.cleanup()

    def add(self, seed: int) -> None:
        """Draws a model; TensorFlow works on it while the one before is compared."""
        self.add_spec(draw(seed))

    def add_spec(self, spec: Json) -> None:
        path = self.folder / f"m{len(self._waiting)}_{spec['seed']}.{spec['format']}"
        self.worker.send(spec, path)
        self._waiting.append((spec, path))
        if len(self._waiting) > 2:
            self._take()

    def finish(self) -> None:
        while self._waiting:
            self._take()
        self._compile()

    def _take(self) -> None:
        spec, path = self._waiting.pop(0)
        reply = self.worker.receive()
        if reply["kind"] == "refused":
            self._refuse(spec, reply["error"])
        elif reply["error"]:
            self.totals.keras[general(reply["error"])] += 1
        else:
            self._compare(spec, path)
        path.unlink(missing_ok=True)
        path.with_suffix(path.suffix + ".npz").unlink(missing_ok=True)
        if len(self._cases) >= self.batch:
            self._compile()

    def _refuse(self, spec: Json, text: str) -> None:
        self.totals.refused[general(text)] += 1
        self.totals.refusals.append(f"seed {spec['seed']}: {text}")

    def _compare(self, spec: Json, path: Path) -> None:
        try:
            case = examine(spec, path, self.totals)
        except McugenError as error:
            self._refuse(spec, str(error))
        except Exception as error:
            where = traceback.format_exc().strip().splitlines()[-3].strip()
            self.failures.append(Failure(spec["seed"], f"{type(error).__name__}: {error} @ {where}"[:600], spec))
        else:
            self._cases.append(case)

    def _compile(self) -> None:
        cases, self._cases = self._cases, []
        if not cases:
            return
        self._batches += 1
        sanitize = self._batches % self.sanitize_every == 0
        try:
            batch = HostBatch([case.made for case in cases], sanitize)
        except McugenError as error:
            if len(cases) == 1:
                self.failures.append(Failure(cases[0].spec["seed"], f"C does not compile: {error}"[:600], cases[0].spec))
                return
            for case in cases:
                self._cases = [case]
                self._compile()
            return
        for number, case in enumerate(cases):
            try:
                equal(case.reference, batch.trace(number, case.inputs))
                self.totals.host += 1
                if self.totals.simulated < self.simulator:
                    simulate(case)
                    self.totals.simulated += 1
            except Exception as error:
                self.failures.append(Failure(case.spec["seed"], f"host or simulator: {error}"[:600], case.spec))


def load_golden(path: Path) -> tuple[list[Float], dict[str, Float]]:
    """Inputs, and outputs by layer name, as the worker wrote them."""
    with np.load(path.with_suffix(path.suffix + ".npz")) as file:
        names = [str(name) for name in file["names"]]
        inputs = [file[f"input{i}"] for i in range(sum(key.startswith("input") for key in file.files))]
        return inputs, {name: file[f"output{i}"] for i, name in enumerate(names)}


def examine(spec: Json, path: Path, totals: Totals | None = None) -> Case:
    """Compiles the file and compares its reference with QKeras; raises AssertionError where they differ."""
    graph = integer_graph(path)
    graph = replace(graph, name=f"f{spec['seed']}")
    values, golden = load_golden(path)
    inputs = encode_inputs(graph, values)
    made = compiled(graph)
    rows = compare(graph, inputs, golden)
    bad = [row for row in rows if row.bad]
    if totals is not None:
        totals.count(rows)
    assert not bad, f"differs from QKeras: {bad[0]}"
    check_names(graph, golden)
    return Case(spec, made, inputs, interpret(graph, inputs, keep=True))


def check_names(graph: Graph, golden: dict[str, Float]) -> None:
    """Every output of the graph must be a layer that QKeras answers for."""
    missing = [name for name in graph.outputs if name not in golden]
    assert not missing, f"no layer of the file is called {missing}"


def equal(expected: dict[str, Array], actual: dict[str, Array]) -> None:
    for name, got in actual.items():
        unequal = expected[name].reshape(got.shape) != got
        if unequal.any():
            at = tuple(int(i) for i in np.argwhere(unequal)[0])
            want = expected[name].reshape(got.shape)[at]
            raise AssertionError(f"{name}{at}: reference {want}, compiled {got[at]}; {int(unequal.sum())} differ")


def simulate(case: Case) -> None:
    from mcugen.running import open_runner

    runner: Any = open_runner(case.made.graph, "unicorn")
    equal(case.reference, runner.trace(case.inputs, case.reference))


def general(text: str) -> str:
    """A message without names and numbers, for counting."""
    text = re.sub(r"^[^:]*: ", "", text)
    return re.sub(r"-?\d[\d,.e+-]*", "#", re.sub(r"\bl\d+\b|\bin\d+\b", "L", text))[:160]
