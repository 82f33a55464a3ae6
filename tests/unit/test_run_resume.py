"""A long run on a device that is interrupted keeps its results and goes on: nothing is asked twice, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mcugen.build import link
from mcugen.cli import main
from mcugen.commands.common import progress_text
from mcugen.engines.simulated_port import SimulatedPort
from mcugen.errors import McugenError
from mcugen.pipeline import Compiled
from mcugen.protocol.frames import decode
from mcugen.protocol.messages import Type
from mcugen.toolchain import Image
from tests.unit.model_files import write_h5
from tests.unit.test_cli import sample

COUNT = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_h5(tmp_path_factory.mktemp("model") / "small.h5", *sample())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "x.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (COUNT, 6, 6, 2)).astype(np.uint8))
    return path


@pytest.fixture(scope="module", autouse=True)
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same firmware is linked once."""
    folder = tmp_path_factory.mktemp("images")

    def once(compiled: Compiled, _: Path, toolchain: str = "auto") -> Image:
        made = folder / compiled.sources.digest
        if not (made / "firmware.elf").exists():
            link(compiled, made, toolchain)
        return Image(made / "firmware.elf", made / "firmware.bin", toolchain, compiled.board, {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcugen.running.link", once)
        yield


class Line:
    """Counts the inferences asked for; `at` the one of this number `stop` is raised."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.at = 0, 0
        self.stop: Callable[[], BaseException] = KeyboardInterrupt
        write = SimulatedPort.write

        def counting(port: SimulatedPort, data: bytes) -> None:
            if decode(data.strip(b"\0")).type == Type.INFER:
                self.asked += 1
                if self.asked == self.at:
                    write(port, data[:7])  # half a request is on the line
                    raise self.stop()
            write(port, data)

        monkeypatch.setattr(SimulatedPort, "write", counting)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(monkeypatch)


def run(model: Path, inputs: Path, output: Path, *options: object) -> Result:
    arguments = ["run", str(model), str(inputs), "--on", "unicorn", "-o", str(output), *map(str, options)]
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, lambda: McugenError("port", "the connection was lost", "plug it in")])
def test_interrupted_and_resumed(
    model: Path, inputs: Path, tmp_path: Path, line: Line, stop: Callable[[], BaseException]
) -> None:
    assert run(model, inputs, tmp_path / "whole.npy").exit_code == 0
    assert line.asked == COUNT and not list(tmp_path.glob("*.part*"))
    line.asked, line.at, line.stop = 0, 4, stop
    output = tmp_path / "y.npy"
    result = run(model, inputs, output)
    assert result.exit_code == (130 if stop is KeyboardInterrupt else 2), result.output
    assert f"3 of {COUNT} samples are kept in" in result.output and not output.exists()
    assert (tmp_path / "y.npy.part.npz").exists()
    line.asked, line.at = 0, 0
    result = run(model, inputs, output)
    assert result.exit_code == 0 and f"3 of {COUNT} samples are in" in result.output
    assert line.asked == COUNT - 3
    assert (np.load(output) == np.load(tmp_path / "whole.npy")).all()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["whole.npy", "y.npy"]


@pytest.mark.parametrize("change", ["inputs", "model", "damage"])
def test_results_of_another_run_are_not_taken(model: Path, inputs: Path, tmp_path: Path, line: Line, change: str) -> None:
    output, part = tmp_path / "y.npy", tmp_path / "y.npy.part.npz"
    line.at = 3
    assert run(model, inputs, output).exit_code == 130 and part.exists()
    options: tuple[object, ...] = ()
    if change == "inputs":
        inputs = tmp_path / "other.npy"
        np.save(inputs, np.full((COUNT, 6, 6, 2), 200, np.uint8))
    elif change == "model":
        options = ("--input-scale", 1 / 64)
    else:
        part.write_bytes(part.read_bytes()[:100])
    line.asked, line.at = 0, 0
    assert run(model, inputs, output, *options).exit_code == 0
    assert line.asked == COUNT and output.exists() and not part.exists()


def test_engines_without_a_device_keep_nothing(
    model: Path, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mcugen.running.ReferenceRunner.run", interrupt)
    arguments = ["run", str(model), str(inputs), "--on", "reference", "-o", str(tmp_path / "y.npy")]
    assert CliRunner().invoke(main, arguments).exit_code == 130
    assert not list(tmp_path.iterdir())


def test_progress_tells_the_rate() -> None:
    assert progress_text(5, 20, 10.0) == "5 of 20, 0.5 a second, 30 s left"
    assert progress_text(15, 20, 10.0, 5) == "15 of 20, 0.5 a second, 10 s left"
    assert progress_text(0, 20) == "0 of 20"
