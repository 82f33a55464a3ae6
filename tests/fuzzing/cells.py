"""Runs many branches as one Keras model and tells for each whether it is exact, one level off at most, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mcugen.errors import McugenError
from mcugen.findings import MOST_REFUSALS
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Graph, Network
from mcugen.load import load
from mcugen.pipeline import lower
from tests.fuzzing.batch import HostBatch, compiled
from tests.fuzzing.campaign import Campaign, Totals, equal, examine, load_golden
from tests.fuzzing.compare import compare
from tests.fuzzing.coverage import Branch
from tests.fuzzing.maker import Json, layer_shape

SHAPES = {2: (8, 3), 3: (6, 5, 3)}


class Cells(Campaign):
    """`run` gives one text a branch; refusals are numbered in `messages`."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, int] = {}

    def run(self, branches: Sequence[Branch]) -> list[str]:
        texts: list[str] = [""] * len(branches)
        for rank in SHAPES:
            chosen = [i for i, branch in enumerate(branches) if branch.rank == rank]
            for i, text in zip(chosen, self.together([branches[i] for i in chosen], rank), strict=True):
                texts[i] = text
        return texts

    def together(self, branches: list[Branch], rank: int) -> list[str]:
        """All branches from one input, each with its own output."""
        texts: dict[int, str] = {}
        spec = self.spec(branches, rank, texts)
        if spec["outputs"]:
            path = self.folder / "cells.h5"
            self.worker.send(spec, path)
            reply = self.worker.receive()
            assert not reply["error"], reply["error"]
            graph = self.accepted(load(path), texts)
            if graph is not None:
                self.judge(graph, path, texts)
        return [texts[number] for number in range(len(branches))]

    def spec(self, branches: list[Branch], rank: int, texts: dict[int, str]) -> Json:
        layers: list[Json] = []
        outputs = []
        for number, branch in enumerate(branches):
            shapes, made = {"in0": SHAPES[rank]}, ["in0"]
            own: list[Json] = []
            try:
                for place, (class_name, config, merges) in enumerate(branch.layers):
                    name = f"b{number}_{place}"
                    sources = [made[-1], made[-1 - merges]] if merges else [made[-1]]
                    if "PReLU" in class_name and rank == 2:
                        config = {**config, "shared_axes": [1]}
                    settings = {**config, "name": name}
                    shapes[name] = layer_shape(class_name, settings, [shapes[source] for source in sources])
                    own.append({"class": class_name, "name": name, "inputs": sources, "config": settings})
                    made.append(name)
            except McugenError as error:
                texts[number] = self.refusal(error)
                continue
            layers += own
            outputs.append(made[-1])
        return {"seed": 1, "extreme": False, "inputs": {"in0": list(SHAPES[rank])}, "layers": layers, "outputs": outputs,
                "format": "h5", "images": 4}  # fmt: skip

    def whole(self, spec: Json) -> str:
        """What becomes of one whole model."""
        path = self.folder / f"whole.{spec['format']}"
        self.worker.send(spec, path)
        reply = self.worker.receive()
        assert not reply["error"], reply["error"]
        totals = Totals()
        case = examine(spec, path, totals)
        equal(case.reference, HostBatch([case.made]).trace(0, case.inputs))
        return "exact" if totals.exact_graphs else f"1 LSB ({totals.off_by_one} of {totals.values})"

    def refusal(self, error: McugenError) -> str:
        text = f"{error.fact}; {error.remedy}"
        return f"refused {self.messages.setdefault(text, len(self.messages) + 1)}"

    def accepted(self, network: Network, texts: dict[int, str]) -> Graph | None:
        """The graph of those branches that are not refused."""
        for _ in range(4 * MOST_REFUSALS):
            try:
                return lower(replace(network, name=f"cells{len(self.messages)}"))
            except McugenError as error:
                number = int(error.node.split("_")[0][1:])
                texts[number] = self.refusal(error)
                prefix = f"b{number}_"
                layers = tuple(layer for layer in network.layers if not layer.name.startswith(prefix))
                outputs = tuple(name for name in network.outputs if not name.startswith(prefix))
                if not outputs:
                    return None
                network = replace(network, layers=layers, outputs=outputs)
        raise AssertionError("too many refusals")

    def judge(self, graph: Graph, path: Path, texts: dict[int, str]) -> None:
        values, golden = load_golden(path)
        inputs = encode_inputs(graph, values)
        made = compiled(graph)
        equal(interpret(graph, inputs, keep=True), HostBatch([made]).trace(0, inputs))
        off: dict[int, list[int]] = {}
        for row in compare(graph, inputs, golden):
            assert not row.bad, row
            own = off.setdefault(int(row.layer.split("_")[0][1:]), [0, 0, 0])
            own[0] += not row.promised
            own[1] += row.off
            own[2] += row.values
        for number, (inexact, count, total) in off.items():
            texts[number] = f"1 LSB ({count} of {total})" if inexact else "exact"
