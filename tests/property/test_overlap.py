"""Kernels may write over an input exactly as far as they say: every output as close to its dying input as allowed."""

from collections.abc import Sequence

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.build import random_codes
from mcugen.codegen.emit import emit, graph_digest
from mcugen.engines.host import HostEngine
from mcugen.errors import McugenError
from mcugen.interpret import interpret
from mcugen.ir import Graph
from mcugen.ops.base import Call
from mcugen.pipeline import compile_graph, lower
from mcugen.plan import Place, Plan
from mcugen.planning.buffers import Buffer, make_buffers
from mcugen.planning.check import check_places
from tests.random_network import random_network

BOARD = load_board("nucleo-h743zi")
_ROOM = 1 << 15


def tightest(buffers: Sequence[Buffer]) -> tuple[Place, ...]:
    """Each buffer at the least distance from one it may overlap, in a room of its own otherwise."""
    offsets: dict[str, int] = {}
    for buffer in sorted(buffers, key=lambda b: b.first):
        offsets[buffer.name] = (2 * len(offsets) + 1) * _ROOM
        sizes = {b.name: b.bytes for b in buffers}
        for name, lead in buffer.over[:1]:
            offsets[buffer.name] = offsets[name] - max(lead, -sizes[name] + 8)
    return tuple(Place(buffer, "axi", offsets[buffer.name]) for buffer in buffers)


def overlapping(graph: Graph, calls: Sequence[Call]) -> Plan:
    places = tightest(make_buffers(graph, calls))
    plan = Plan(places, ("axi",), 0, len(calls))
    check_places(graph, calls, plan.of, {"axi": plan.bank_bytes("axi")})
    return plan


@pytest.mark.parametrize("goal", ["time", "ram"])
@pytest.mark.parametrize("seed", range(20))
def test_outputs_close_behind_their_inputs(seed: int, goal: str) -> None:
    try:
        graph = lower(random_network(1000 + seed))
    except McugenError as error:
        assert "overflow 32 bits" in str(error)
        return
    compiled = compile_graph(graph, BOARD, goal)
    plan = overlapping(graph, compiled.calls)
    codes = random_codes(graph, 3, seed)
    engine = HostEngine(graph, emit(graph, compiled.calls, plan, graph_digest(graph)))
    expected = interpret(graph, codes)
    for name, found in zip(graph.outputs, engine.run(codes), strict=True):
        np.testing.assert_array_equal(found, expected[name])
