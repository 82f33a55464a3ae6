"""Chains of layers by bands of rows compute what the layers compute, with every kernel that takes rows."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.build import random_codes
from mcugen.codegen.emit import emit, graph_digest
from mcugen.engines.host import HostEngine
from mcugen.errors import CheckFailed, McugenError
from mcugen.interpret import interpret
from mcugen.ir import Graph
from mcugen.ops.base import Call
from mcugen.pipeline import compile_graph, integer_graph, lower
from mcugen.plan import plan_memory
from mcugen.planning.bands import schedule
from mcugen.planning.save_ram import Chain, Search
from mcugen.select import select_kernels
from tests.property.test_overlap import overlapping
from tests.random_network import random_network

BOARD = load_board("nucleo-h743zi")
FACES = Path(__file__).parents[2] / "examples" / "faces"


def all_chains(graph: Graph, calls: tuple[Call, ...], band: int) -> tuple[Call, ...]:
    """Every chain that can be fused, as long as it gets."""
    search, chains, first = Search(graph, calls), [], 0
    for i, joined in enumerate(search.joined):
        if not joined:
            if i > first:
                chains.append(Chain(first, i, band))
            first = i + 1
    return search.build(chains)


def graph_of(seed: int) -> Graph | None:
    try:
        return lower(random_network(seed))
    except McugenError as error:
        assert "overflow 32 bits" in str(error)
        return None


@pytest.mark.parametrize("goal", ["time", "ram"])
@pytest.mark.parametrize("seed", range(24))
def test_random_networks_by_rows(seed: int, goal: str) -> None:
    graph = graph_of(2000 + seed)
    if graph is None:
        return
    calls = all_chains(graph, select_kernels(graph, BOARD, goal), seed % 3 + 1)
    plan = overlapping(graph, calls) if seed % 2 else plan_memory(graph, calls, BOARD)
    codes = random_codes(graph, 3, seed)
    expected = interpret(graph, codes)
    engine = HostEngine(graph, emit(graph, calls, plan, graph_digest(graph)), sanitize=seed % 8 == 0)
    for name, found in zip(graph.outputs, engine.run(codes), strict=True):
        np.testing.assert_array_equal(found, expected[name])


@pytest.mark.parametrize(("name", "goal"), [("mnv2_i8", "time"), ("hybrid", "ram")])
def test_face_networks_by_rows(name: str, goal: str) -> None:
    """All that can be fused: fast kernels with strides, borders and residuals; binary layers and the maps before them."""
    graph = integer_graph(FACES / f"{name}.h5")
    calls = all_chains(graph, select_kernels(graph, BOARD, goal), 2)
    kernels = {f"{part.node.op} {part.kernel.name}" for call in calls if call.kernel.parts for part in call.parts}
    wanted = {"conv2d fast", "depthwise fast"} if goal == "time" else {"conv2d generic", "conv2d xnor", "map compare"}
    assert wanted <= kernels
    plan = plan_memory(graph, calls, BOARD)
    codes = random_codes(graph, 1)
    expected = interpret(graph, codes)[graph.outputs[0]]
    engine = HostEngine(graph, emit(graph, calls, plan, graph_digest(graph)))
    np.testing.assert_array_equal(engine.run(codes)[0], expected)


@pytest.mark.parametrize("seed", range(12))
def test_no_row_is_computed_twice_and_all_are_there(seed: int) -> None:
    graph = graph_of(2000 + seed)
    if graph is None:
        return
    for call in all_chains(graph, select_kernels(graph, BOARD), 2):
        if not call.kernel.parts:
            continue
        for i, part in enumerate(call.parts):
            made: list[int] = []
            for steps in schedule(call.parts, 2):
                made += range(steps[i].begin, steps[i].end)
            assert len(made) == len(set(made)), part.node.name
        height = part.node.type.shape[0]
        assert made == list(range(height))


def test_ram_goal_needs_less_and_computes_the_same() -> None:
    graph = lower(random_network(2001))
    plain = plan_memory(graph, select_kernels(graph, BOARD, "ram"), BOARD, goal="ram")
    saved = compile_graph(graph, BOARD, "ram")
    assert saved.plan.arena_bytes <= plain.arena_bytes
    codes = random_codes(graph, 3)
    for name, found in zip(graph.outputs, HostEngine(graph, saved.sources).run(codes), strict=True):
        np.testing.assert_array_equal(found, interpret(graph, codes)[name])


def test_chains_are_fused_where_nothing_fits_otherwise() -> None:
    seeds = 0
    for seed in range(2000, 2040):
        graph = graph_of(seed)
        if graph is None:
            continue
        plain, saved = (compile_graph(graph, BOARD, goal).plan.arena_bytes for goal in ("time", "ram"))
        if saved > 0.7 * plain:
            continue
        size = plain * 9 // 10 // 32 * 32
        sizes = {r.name: r.size if "arena" not in r.use else size if r.name == "axi" else 32 for r in BOARD.regions}
        regions = tuple(dataclasses.replace(r, size=sizes[r.name]) for r in BOARD.regions)
        try:
            tight = compile_graph(graph, dataclasses.replace(BOARD, regions=regions), "time", reserved={})
        except CheckFailed:
            continue
        assert any(call.kernel.parts for call in tight.calls) and tight.plan.arena_bytes <= size + 32 * 2
        seeds += 1
    assert seeds
