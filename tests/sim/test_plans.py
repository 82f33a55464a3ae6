"""Plans beyond one bank and whole tensors, on the simulated boards: chains by bands of rows, buffers over several banks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.build import link, random_codes
from mcugen.engines import ENGINES
from mcugen.engines.qemu import PROGRAM
from mcugen.errors import CheckFailed
from mcugen.interpret import interpret
from mcugen.ir import Graph
from mcugen.numerics.epilogue import Step
from mcugen.pipeline import Compiled, compile_graph, lower
from mcugen.plan import arena_regions, firmware_bytes
from mcugen.running import DeviceRunner, open_simulated
from mcugen.simplify.dead_channels import dropped
from tests.hand_network import HandMaker
from tests.random_network import random_network
from tests.tools import need

SEEDS = (2, 33)
ACT, RELU = "quantized_bits(8,2,1,alpha=1)", "quantized_relu(8,2)"


def runs_like_the_reference(engine: str, compiled: Compiled, folder: Path) -> None:
    """Two images; every tensor that still exists as a whole, and the outputs."""
    graph = compiled.graph
    codes = random_codes(graph, 2, seed=5)
    expected = interpret(graph, codes, keep=True)
    runner = DeviceRunner(graph, open_simulated(engine, link(compiled, folder), compiled.sources.digest))
    for name, found in zip(graph.outputs, runner.run(codes), strict=True):
        np.testing.assert_array_equal(found, expected[name])
    traced = runner.trace(codes, expected)
    assert list(traced) == [call.node.name for call in compiled.calls if call.kernel.template]
    for name, found in traced.items():
        np.testing.assert_array_equal(found.reshape(expected[name].shape), expected[name], err_msg=name)


def over_several_banks(graph: Graph, board_name: str, goal: str) -> Compiled:
    """Compiled as if each bank had little more room than half of what the model needs."""
    board = load_board(board_name)
    arena = compile_graph(graph, board, goal).plan.arena_bytes
    for share in (0.55, 0.65, 0.75, 0.85):
        reserved = {region.name: region.size - int(arena * share) // 8 * 8 for region in arena_regions(board)}
        try:
            compiled = compile_graph(graph, board, goal, reserved)
        except CheckFailed:
            continue
        if len(compiled.plan.banks) > 1:
            return compiled
    raise AssertionError("nothing spreads")


@pytest.mark.parametrize("engine", ["unicorn", "qemu"])
@pytest.mark.parametrize("seed", SEEDS)
def test_buffers_over_several_banks(engine: str, seed: int, tmp_path: Path) -> None:
    need(PROGRAM)
    runs_like_the_reference(engine, over_several_banks(lower(random_network(seed)), ENGINES[engine], "time"), tmp_path)


def inverted_residual() -> Graph:
    """Expansion, depthwise and projection with an addition around them, twice."""
    make = HandMaker((16, 16, 3))
    make.convolved(8)
    before = make.quantized(ACT)
    for _ in range(2):
        make.convolved(48), make.normed(), make.quantized(RELU), make.depthwise(), make.normed(), make.quantized(RELU)
        make.convolved(8), make.normed(), make.quantized(ACT), make.added(before)
        before = make.quantized("quantized_bits(8,3,1,alpha=1)")
    return lower(make.network())


@pytest.mark.parametrize("engine", ["unicorn", "qemu"])
def test_chains_by_bands_of_rows(engine: str, tmp_path: Path) -> None:
    """Rows fused by need, with the fastest kernels, and by `--for ram`, with others."""
    need(PROGRAM)
    graph, board = inverted_residual(), load_board(ENGINES[engine])
    limit = sum(firmware_bytes(board).values()) + 16_000
    for goal, bytes_allowed in (("time", limit), ("ram", None)):
        compiled = compile_graph(graph, board, goal, ram_limit=bytes_allowed)
        assert any(call.kernel.parts for call in compiled.calls), goal
        runs_like_the_reference(engine, compiled, tmp_path / goal)


@pytest.mark.parametrize("engine", ["unicorn", "qemu"])
def test_tensors_that_lost_channels(engine: str, tmp_path: Path) -> None:
    need(PROGRAM)
    make = HandMaker((8, 8, 3))
    make.convolved(32), make.normed(zero=slice(0, 8)), make.quantized(RELU), make.depthwise("valid"), make.normed()
    make.quantized(ACT), make.convolved(16), make.normed(), make.quantized(RELU), make.convolved(8, 3), make.quantized(ACT)
    graph = lower(make.network())
    assert sum(map(dropped, graph.nodes)) == 16 and any(step.kind == "add" for step in _first_steps(graph))
    runs_like_the_reference(engine, compile_graph(graph, load_board(ENGINES[engine])), tmp_path)


def _first_steps(graph: Graph) -> list[Step]:
    """What each node does first with its sums; constants folded into them are added."""
    return [node.attrs["epilogue"].steps[0] for node in graph.nodes if "epilogue" in node.attrs]
