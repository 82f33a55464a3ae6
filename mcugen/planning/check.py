"""Checks a plan by playing it through: who owns each byte of every bank, call by call. Knows nothing of buffers or lifetimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from mcugen.ir import Array, Graph
from mcugen.ops.base import Call


class Spot(Protocol):
    """Where a tensor lies."""

    @property
    def bank(self) -> str: ...

    @property
    def offset(self) -> int: ...


def check_places(
    graph: Graph, calls: Sequence[Call], places: Mapping[str, Spot], bank_bytes: Mapping[str, int], keep_inputs: bool = False
) -> None:
    """Every call finds its inputs whole, its scratch apart, its output only where the kernel allows it.

    Raises:
        AssertionError: names the call and the tensor.
    """
    memory = Memory(places, bank_bytes)
    for name in graph.inputs:
        memory.write(name, graph[name].type.bytes)
    for call in calls:
        node = call.node
        for name, kind in zip(node.inputs, call.sources, strict=True):
            memory.read(name, kind.bytes, node.name)
        if not call.kernel.template:
            memory.alias(node.name, node.inputs[0])
            continue
        if call.scratch_bytes:
            _check_scratch(memory, call)
            memory.write(f"{node.name}/scratch", call.scratch_bytes)
            for name, kind in zip(node.inputs, call.sources, strict=True):
                memory.read(name, kind.bytes, node.name)
        _check_output(memory, call)
        memory.write(node.name, node.type.bytes)
    for name in (*graph.outputs, *(graph.inputs if keep_inputs else ())):
        memory.read(name, graph[name].type.bytes, "the end")


class Memory:
    """The tensor that owns each byte of every bank."""

    def __init__(self, places: Mapping[str, Spot], bank_bytes: Mapping[str, int]) -> None:
        self.places = places
        self.owners: dict[str, Array] = {bank: np.full(size, -1, np.int32) for bank, size in bank_bytes.items()}
        self.numbers: dict[str, int] = {}

    def span(self, name: str, size: int) -> Array:
        spot = self.places[name]
        span = self.owners[spot.bank][spot.offset : spot.offset + size]
        assert spot.offset >= 0 and spot.offset % 8 == 0 and len(span) == size, f"{name} leaves {spot.bank} or is misaligned"
        return span

    def write(self, name: str, size: int) -> None:
        self.numbers[name] = len(self.numbers)
        self.span(name, size)[:] = self.numbers[name]

    def read(self, name: str, size: int, reader: str) -> None:
        assert (self.span(name, size) == self.numbers[name]).all(), f"{reader} finds {name} overwritten"

    def alias(self, name: str, source: str) -> None:
        a, b = self.places[name], self.places[source]
        assert (a.bank, a.offset) == (b.bank, b.offset), f"{name} is a view of {source} but lies elsewhere"
        self.numbers[name] = self.numbers[source]

    def overlap(self, a: str, a_bytes: int, b: str, b_bytes: int) -> bool:
        first, second = self.places[a], self.places[b]
        apart = first.offset + a_bytes <= second.offset or second.offset + b_bytes <= first.offset
        return first.bank == second.bank and not apart


def _check_scratch(memory: Memory, call: Call) -> None:
    name = f"{call.node.name}/scratch"
    shared = memory.overlap(name, call.scratch_bytes, call.node.name, call.node.type.bytes)
    assert not shared, f"the scratch of {call.node.name} shares bytes with its output"


def _check_output(memory: Memory, call: Call) -> None:
    """The output shares bytes with an input only if every reading of that input allows it."""
    node, kernel = call.node, call.kernel
    for source, kind in zip(node.inputs, call.sources, strict=True):
        if not memory.overlap(node.name, node.type.bytes, source, kind.bytes):
            continue
        ahead = memory.places[source].offset - memory.places[node.name].offset
        reads = {k for k, name in enumerate(node.inputs) if memory.numbers[name] == memory.numbers[source]}
        late = reads - {0} if kernel.input_first else reads
        exact = ahead == 0 and late <= set(kernel.in_place(node, call.sources))
        leads = [kernel.lead_bytes(node, call.sources, k) for k in late]
        allowed = len(late) < 2 and (exact or all(lead is not None and ahead >= lead for lead in leads))
        assert allowed, f"{node.name} overlaps its input {source}"
