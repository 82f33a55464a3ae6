"""Random small networks as firmware on the simulated board: the assembly of the fast kernels against the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.build import link, random_codes
from mcugen.errors import McugenError
from mcugen.interpret import interpret
from mcugen.pipeline import compile_graph, lower
from mcugen.running import DeviceRunner, open_simulated
from tests.random_network import random_network

BOARD = load_board("nucleo-h743zi")


@pytest.mark.parametrize(("seed", "toolchain"), [(seed, "zig" if seed % 4 == 3 else "gcc") for seed in range(12)])
def test_device_equals_reference(tmp_path: Path, seed: int, toolchain: str) -> None:
    try:
        graph = lower(random_network(1000 + seed))
    except McugenError as error:
        assert "overflow 53 bits" in str(error)
        return
    compiled = compile_graph(graph, BOARD, ("time", "flash", "ram")[seed % 3])
    runner = DeviceRunner(graph, open_simulated("unicorn", link(compiled, tmp_path, toolchain), compiled.sources.digest))
    codes = random_codes(graph, 3, seed)
    codes[0][0], codes[0][1] = graph[graph.inputs[0]].type.lo, graph[graph.inputs[0]].type.hi
    reference = interpret(graph, codes, keep=True)
    traced = runner.trace(codes, reference)
    for name, found in traced.items():
        assert np.array_equal(found, reference[name].reshape(found.shape)), name
