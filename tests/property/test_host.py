"""The native engine: compiled for many samples, spread over processes, it computes what the reference does, in order."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.build import random_codes
from mcugen.engines.host import HostEngine
from mcugen.errors import CheckFailed
from mcugen.interpret import interpret
from mcugen.pipeline import compile_graph, lower
from tests.random_network import random_network

BOARD = load_board("nucleo-h743zi")


@pytest.mark.parametrize("seed", [*range(3000, 3010), 2001])
def test_compiled_for_many_samples(seed: int) -> None:
    graph = lower(random_network(seed))
    compiled = compile_graph(graph, BOARD)
    engine = HostEngine(graph, compiled.sources, many=True)
    for count in (1, 2, 7):
        codes = random_codes(graph, count, seed)
        wanted = interpret(graph, codes)
        for name, found in zip(graph.outputs, engine.run(codes), strict=True):
            np.testing.assert_array_equal(found, wanted[name])


def test_a_process_that_fails_is_said() -> None:
    graph = lower(random_network(3000))
    engine = HostEngine(graph, compile_graph(graph, BOARD).sources)
    engine.program.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    with pytest.raises(CheckFailed, match="ended with code 3: broken"):
        engine.run(random_codes(graph, 4))
