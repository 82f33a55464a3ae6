"""--for time, flash and ram: each wins on its own measure, all give the same integers, network A meets its targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.budget import flash_bytes, ram_bytes
from mcugen.build import link, random_codes
from mcugen.interpret import interpret
from mcugen.pipeline import compile_graph, integer_graph
from mcugen.profiling import profile_image
from mcugen.running import DeviceRunner, open_simulated

MODEL = Path(__file__).parents[2] / "examples" / "faces" / "hybrid.h5"
GOALS = ("time", "flash", "ram")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int, int]]:
    """Flash, RAM and modelled cycles of network A by goal, each checked against the reference first."""
    board, graph = load_board("nucleo-h743zi"), integer_graph(MODEL)
    codes = random_codes(graph, 1)
    expected = interpret(graph, codes)[graph.outputs[0]]
    found = {}
    for goal in GOALS:
        compiled = compile_graph(graph, board, goal)
        image = link(compiled, tmp_path_factory.mktemp(goal))
        runner = DeviceRunner(graph, open_simulated("unicorn", image, compiled.sources.digest))
        assert np.array_equal(runner.run(codes)[0], expected), goal
        cycles = profile_image(compiled, image).total.modelled_cycles if goal == "time" else runner.cycles[0]
        found[goal] = (flash_bytes(image.used, board), ram_bytes(image.used, board), cycles)
    return found


def test_each_goal_wins_on_its_own_measure(measured: dict[str, tuple[int, int, int]]) -> None:
    assert measured["flash"][0] < min(measured["time"][0], measured["ram"][0])
    assert measured["ram"][1] < measured["time"][1] and measured["ram"][1] <= measured["flash"][1]
    assert measured["time"][2] < min(measured["flash"][2], measured["ram"][2])


def test_network_a_for_time(measured: dict[str, tuple[int, int, int]]) -> None:
    flash, ram, cycles = measured["time"]
    assert flash <= 600_000 and ram <= 140_000 and cycles <= 12_000_000
