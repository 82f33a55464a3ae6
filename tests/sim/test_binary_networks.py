"""Binary layers on QEMU, which faults on what the chip faults on: doubles and multiples at addresses that are no words'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from images import need

from mcugen.boards import load_board
from mcugen.build import link, random_codes
from mcugen.engines import ENGINES
from mcugen.engines.qemu import PROGRAM
from mcugen.interpret import interpret
from mcugen.pipeline import compile_graph, lower
from mcugen.running import DeviceRunner, open_simulated
from tests.unit.test_kernels_binary import NETWORKS, network


@pytest.mark.parametrize(("number", "case"), list(enumerate(NETWORKS)))
def test_every_layer_equals_the_reference(number: int, case: tuple[Any, ...], tmp_path: Path) -> None:
    need(PROGRAM)
    graph = lower(network(case, words=number % 3 == 0))
    compiled = compile_graph(graph, load_board(ENGINES["qemu"]))
    image = link(compiled, tmp_path, "zig" if number % 2 else "gcc")
    runner = DeviceRunner(graph, open_simulated("qemu", image, compiled.sources.digest))
    codes = random_codes(graph, 2, number)
    reference = interpret(graph, codes, keep=True)
    for name, found in runner.trace(codes, reference).items():
        assert np.array_equal(found, reference[name].reshape(found.shape)), name
