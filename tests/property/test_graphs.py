"""Random networks without TensorFlow: fusing changes nothing, the C equals the reference, memory never overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from mcugen.codegen.emit import graph_digest
from mcugen.errors import McugenError
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Array, Float, Graph
from mcugen.normalise import normalise
from mcugen.numerics.requantize import requantize
from mcugen.quantise import quantise
from mcugen.simplify.fuse import fuse
from tests.fuzzing.batch import HostBatch, compiled
from tests.fuzzing.campaign import equal
from tests.random_network import random_network

SEEDS = range(60)
BATCH = 20


def stages(seed: int) -> tuple[Graph, Graph, Graph] | None:
    """The graph quantised, fused, and with its integer forms; None where its sums overflow."""
    try:
        first = quantise(normalise(replace(random_network(seed), name=f"n{seed}")))
    except McugenError as error:
        assert "overflow 32 bits" in str(error)
        return None
    second = fuse(first)
    return first, second, requantize(second)


def pictures(graph: Graph, seed: int) -> list[Array]:
    """Codes of random inputs, one picture of extremes among them."""
    rng = np.random.default_rng(seed)
    made: list[Float] = []
    for name in graph.inputs:
        values = rng.uniform(-1.5, 1.5, (3, *graph[name].type.shape))
        values[-1] = np.where(rng.random(values.shape[1:]) < 0.5, -8, 8)
        made.append(values.astype(np.float32))
    return encode_inputs(graph, made)


@pytest.mark.parametrize("seed", SEEDS)
def test_fusing_and_integer_forms_change_nothing(seed: int) -> None:
    made = stages(seed)
    if made is None:
        return
    plain, fused, final = made
    inputs = pictures(final, seed)
    expected = interpret(plain, inputs, keep=True)
    for graph in (fused, final):
        found = interpret(graph, inputs, keep=True)
        assert set(graph.outputs) == set(plain.outputs) and set(found) <= set(expected)
        equal(expected, found)


@pytest.mark.parametrize("start", SEEDS[::BATCH])
def test_sanitized_c_equals_the_reference(start: int) -> None:
    """Address and undefined-behaviour sanitizers are on; the plan of each model is checked on the way."""
    graphs = {seed: made[2] for seed in range(start, start + BATCH) if (made := stages(seed)) is not None}
    batch = HostBatch([compiled(graph, goal) for graph, goal in zip(graphs.values(), goals(), strict=False)], sanitize=True)
    for number, (seed, graph) in enumerate(graphs.items()):
        inputs = pictures(graph, seed)
        equal(interpret(graph, inputs, keep=True), batch.trace(number, inputs))


def goals() -> Iterator[str]:
    while True:
        yield from ("time", "flash", "ram")


def test_the_digest_follows_the_arithmetic() -> None:
    made = stages(3)
    assert made is not None
    node = next(node for node in made[2].nodes if "weights" in node.attrs)
    changed = node.but(attrs={**node.attrs, "weights": node.attrs["weights"] + 1})
    other = replace(made[2], nodes=tuple(changed if each is node else each for each in made[2].nodes))
    assert graph_digest(made[2]) != graph_digest(other)
