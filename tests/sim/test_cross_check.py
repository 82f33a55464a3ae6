"""The same model on Unicorn and on QEMU: equal output bytes, equal instruction counts; and a device with one wrong weight."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcugen.boards import load_board
from mcugen.build import link, random_codes
from mcugen.cli import main
from mcugen.engines import ENGINES, open_engine
from mcugen.engines.qemu import PROGRAM
from mcugen.interpret import interpret
from mcugen.ir import Array, Graph
from mcugen.numerics.packing import to_bytes
from mcugen.pipeline import Compiled, compile_graph, integer_graph, lower
from mcugen.running import DeviceRunner, open_simulated
from mcugen.verify import verify
from tests.random_network import random_network
from tests.tools import need

MODEL = Path(__file__).parents[2] / "examples" / "faces" / "hybrid.h5"


@cache
def graph_of(name: str) -> Graph:
    return integer_graph(MODEL) if name == "faces" else lower(random_network(int(name)))


def as_bytes(graph: Graph, names: Sequence[str], codes: Sequence[Array], i: int) -> list[bytes]:
    """Sample `i` as it lies in the device's memory."""
    return [to_bytes(x[i : i + 1], graph[name].type).tobytes() for x, name in zip(codes, names, strict=True)]


@pytest.mark.parametrize("name", ["faces", "1", "2", "3"])
def test_unicorn_and_qemu_agree(name: str, tmp_path: Path) -> None:
    need(PROGRAM)
    graph = graph_of(name)
    codes = random_codes(graph, 2, seed=9)
    wanted = interpret(graph, codes)
    outputs, counts = {}, {}
    for engine in ("unicorn", "qemu"):
        compiled = compile_graph(graph, load_board(ENGINES[engine]))
        image = link(compiled, tmp_path / engine, "gcc")
        device = open_engine(engine, image, digest=bytes.fromhex(compiled.sources.digest[:32]), count=True)
        with device:
            assert device.counter == "instructions"
            runs = [device.infer(as_bytes(graph, graph.inputs, codes, i)) for i in range(2)]
        outputs[engine] = [run.outputs for run in runs]
        counts[engine] = [run.cycles for run in runs]
    assert outputs["unicorn"] == outputs["qemu"]
    made = [wanted[name] for name in graph.outputs]
    assert outputs["unicorn"] == [as_bytes(graph, graph.outputs, made, i) for i in range(2)]
    assert counts["unicorn"] == counts["qemu"]


def break_a_weight(compiled: Compiled, layer: str) -> Compiled:
    """The same digest, one weight of the first channel off by one."""
    text = compiled.sources.files["model.c"]
    at = text.index("{", text.index(f"_{layer}_weights[")) + 1
    number = re.search(r"-?\d+", text[at:])
    assert number is not None
    wrong = str((int(number[0]) + 1) % 100)
    broken = text[: at + number.start()] + wrong + text[at + number.end() :]
    return replace(compiled, sources=replace(compiled.sources, files={**compiled.sources.files, "model.c": broken}))


def test_a_device_with_one_wrong_weight_is_found_through_the_line(tmp_path: Path) -> None:
    """The digest is right, so only the checksums of its steps give the device away; then the tensor itself is fetched."""
    graph = graph_of("faces")
    compiled = break_a_weight(compile_graph(graph, load_board("nucleo-h743zi")), "t4_act")
    device = open_simulated("unicorn", link(compiled, tmp_path, "gcc"), compiled.sources.digest)
    codes = random_codes(graph, 1, seed=3)
    reference = interpret(graph, codes, keep=True)
    fetched: list[int] = []
    real = device.step_output
    device.step_output = lambda inputs, step: fetched.append(step) or real(inputs, step)  # type: ignore[assignment,method-assign]
    result = verify(graph, "unicorn", reference, DeviceRunner(graph, device).trace(codes, reference), None)
    first = result.first_difference
    assert not result.passed and first is not None and first.layer == "t4_act"
    assert first.expected == reference["t4_act"][(first.image, *first.index)] != first.actual
    steps = list(compiled.sources.steps)
    assert steps.index("t4_act") == fetched[0] and len(fetched) < len(steps)
    assert re.fullmatch(r"t4_act\[\d+, \d+, \d+\] of image 0: expected -?\d+, got -?\d+", str(first))


def test_profile_puts_the_devices_counts_beside_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mcugen.commands.profile.read_graph", lambda model, grid: graph_of("2"))
    arguments = ["profile", "x.h5", "--on", "unicorn", "--json", str(tmp_path / "p.json")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "this engine counts instructions: no cycles were measured" in result.output
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["measured"] == {"where": "unicorn", "counter": "instructions"} and "measured_cycles" not in found["total"]
    for layer in (*found["layers"], found["total"]):
        assert abs(layer["measured_instructions"] - layer["instructions"]) < 0.02 * layer["instructions"] + 50


def test_a_board_that_counts_cycles_is_labelled_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A serial port's device counts cycles: played by the simulator with the board's counter name."""

    def played(port: str, board: object, digest: bytes) -> object:
        assert port == "/dev/ttyACM0"
        compiled = compile_graph(graph_of("1"), load_board("nucleo-h743zi"))
        device = open_simulated("unicorn", link(compiled, tmp_path / "image", "gcc"), digest.hex())
        device.counter = "cycles"
        return device

    monkeypatch.setattr("mcugen.commands.profile.open_port", played)
    monkeypatch.setattr("mcugen.commands.profile.read_graph", lambda model, grid: graph_of("1"))
    result = CliRunner().invoke(main, ["profile", "x.h5", "--on", "/dev/ttyACM0", "--json", str(tmp_path / "p.json")])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "p.json").read_text())
    assert "measured/modelled cycles" in result.output and found["total"]["measured_cycles"] > 0
    assert all(layer["measured_cycles"] > 0 for layer in found["layers"])


@pytest.mark.parametrize("engine", ["reference", "host", "qemu"])
def test_no_place_to_profile(engine: str) -> None:
    result = CliRunner().invoke(main, ["profile", str(MODEL), "--on", engine])
    assert result.exit_code == 2 and "use unicorn, renode or a serial port" in result.output
