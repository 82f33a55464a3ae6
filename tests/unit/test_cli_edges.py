"""The command line from outside: odd places, odd arrays, odd surroundings."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen.toolchain import find_toolchain
from tests.unit.model_files import bits, conv, functional, image, layer, write_h5
from tests.unit.test_cli import call, refused, sample

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_h5(tmp_path_factory.mktemp("model") / "small.h5", *sample())


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 2))
    np.save(tmp_path / "x.npy", ((pixels - 128) / 128).astype(np.float32))
    return tmp_path / "x.npy"


def outside(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process with no environment but the given one."""
    command = [sys.executable, "-m", "mcugen", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


# ---- places ----


@pytest.mark.parametrize("option", ["--json", "--picture"])
def test_files_to_write_are_looked_at_before_any_work(model: Path, tmp_path: Path, option: str) -> None:
    refused(call("plan", model, option, tmp_path / "none" / "x.png"), "none", "folder does not exist")
    refused(call("plan", model, option, tmp_path), "is a folder")
    before = model.read_bytes()
    refused(call("plan", model, option, model), "overwritten")
    assert model.read_bytes() == before
    if option == "--json":
        refused(call("build", model, "-o", tmp_path / "b", option, tmp_path / "none" / "x.json"), "folder does not exist")
        assert not (tmp_path / "b").exists()


def test_outputs_never_replace_inputs(model: Path, inputs: Path, tmp_path: Path) -> None:
    before = inputs.read_bytes()
    (tmp_path / "link.npy").symlink_to(inputs)
    for output in (inputs, tmp_path / "link.npy"):
        refused(call("run", model, inputs, "--on", "reference", "-o", output), "overwritten")
    assert inputs.read_bytes() == before


def test_devices_and_links_stay_what_they_are(model: Path, inputs: Path, tmp_path: Path) -> None:
    device, link = tmp_path / "pipe", tmp_path / "link.json"
    os.mkfifo(device)
    link.symlink_to(tmp_path / "real.json")
    with subprocess.Popen(["cat", str(device)], stdout=subprocess.PIPE) as reader:
        assert call("plan", model, "--json", device).exit_code == 0
        assert reader.stdout is not None and json.loads(reader.stdout.read())["arena_bytes"] > 0
    assert stat.S_ISFIFO(device.stat().st_mode)
    assert call("plan", model, "--json", link).exit_code == 0
    assert link.is_symlink() and json.loads((tmp_path / "real.json").read_text())


def test_models_that_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    refused(call("check", tmp_path / "pipe.h5"), "pipe")
    monkeypatch.chdir(tmp_path)
    refused(call("check", "."), "error: .: the directory is no SavedModel")


# ---- arrays ----


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8"])
def test_floats_of_any_width_and_byte_order(model: Path, inputs: Path, tmp_path: Path, kind: str) -> None:
    np.save(tmp_path / "other.npy", np.asfortranarray(np.load(inputs).astype(kind)))
    for name, source in (("a", inputs), ("b", tmp_path / "other.npy")):
        assert call("run", model, source, "--on", "reference", "-o", tmp_path / f"{name}.npy").exit_code == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_half_precision_is_taken(model: Path, inputs: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "half.npy", np.load(inputs).astype(np.float16))
    assert call("run", model, tmp_path / "half.npy", "--on", "reference").exit_code == 0


def test_messages_about_arrays_say_what_to_do(model: Path, inputs: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.load(inputs)[0])
    refused(call("run", model, tmp_path / "one.npy", "--on", "reference"), "x[None]")
    np.save(tmp_path / "large.npy", np.load(inputs).astype(np.float64) * 1e300)
    result = call("run", model, tmp_path / "large.npy", "--on", "reference")
    refused(result, "infinity")
    assert "Warning" not in result.output
    (tmp_path / "text.npy").write_text("1,2,3\n")
    result = call("run", model, tmp_path / "text.npy", "--on", "reference")
    refused(result, "text.npy: is no .npy array; write it with numpy.save")


def test_rounded_inputs_are_said(tmp_path: Path) -> None:
    layers = [image((4,)), layer("QDense", "dense", ["image"], units=2, kernel_quantizer=bits(), use_bias=False)]
    path = write_h5(tmp_path / "m.h5", functional(layers), {"dense": {"kernel": np.ones((4, 2), np.float32)}})
    np.save(tmp_path / "x.npy", np.array([[0.5, 0.001, 3.0, -9.0]], np.float32))
    result = call("run", path, tmp_path / "x.npy", "--on", "reference")
    assert "warning: input image: 3 of 4 values were rounded" in result.output and "2 of them from outside" in result.output
    for options in (["--input-scale", 0.5], []):
        np.save(tmp_path / "x.npy", np.array([[0.5, -0.5, 0, 0]], np.float32))
        assert "warning" not in call("run", path, tmp_path / "x.npy", "--on", "reference", *options).output
    assert "rounded: image: the model does not quantize this input" in call("check", path).output


# ---- engines, tools, surroundings ----


@pytest.mark.parametrize("name", ["hots", "", "Unicorn"])
def test_unknown_engines_name_the_known(model: Path, inputs: Path, name: str) -> None:
    refused(call("run", model, inputs, "--on", name), repr(name), "unicorn", "serial port")


def test_socket_without_port(model: Path, inputs: Path) -> None:
    refused(call("run", model, inputs, "--on", "socket://127.0.0.1"), "socket://HOST:PORT")


def test_zig_needs_no_home(model: Path, tmp_path: Path) -> None:
    assert find_toolchain("zig")
    done = outside("build", model, "-o", tmp_path / "b", "--toolchain", "zig", HOME="/nonexistent")
    assert done.returncode == 0, done.stderr


def test_names_outside_the_locales_character_set(tmp_path: Path) -> None:
    layers = [image((6, 6, 2), "höhe"), layer("QActivation", "q", ["höhe"], activation=bits(8)), conv("für", "q")]
    weights: dict[str, dict[str, Any]] = {"für": {"kernel": np.ones((3, 3, 2, 3), np.float32), "bias": np.zeros(3, np.float32)}}
    path = write_h5(tmp_path / "m.h5", functional(layers), weights)
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = outside("build", path, "-o", tmp_path / "b", **plain)
    assert done.returncode == 0, done.stderr
    assert "für" in (tmp_path / "b" / "report.txt").read_text("utf-8")
    done = outside("test", tmp_path / "b", "--port", "unicorn", **plain)
    assert done.returncode == 0, done.stderr


# ---- models ----


def test_models_that_only_move_values_are_refused(tmp_path: Path) -> None:
    flat = layer("Flatten", "flat", ["image"], data_format="channels_last")
    path = write_h5(tmp_path / "m.h5", functional([image(), flat]), {})
    for command in ("check", "build", "plan"):
        refused(call(command, path), "computes nothing")


def test_what_does_not_fit_is_one_line_on_every_engine(tmp_path: Path) -> None:
    layers = [image((2048,)), layer("QActivation", "q", ["image"], activation=bits(8)),
              layer("QDense", "dense", ["q"], units=1100, kernel_quantizer=bits(8), use_bias=False)]  # fmt: skip
    kernel = np.random.default_rng(0).uniform(-1, 1, (2048, 1100)).astype(np.float32)
    path = write_h5(tmp_path / "m.h5", functional(layers), {"dense": {"kernel": kernel}})
    np.save(tmp_path / "x.npy", np.zeros((1, 2048), np.float32))
    result = call("run", path, tmp_path / "x.npy", "--on", "unicorn")
    refused(result, "bytes of 2,097,152 in flash", "dense", code=1)
    assert len(result.output.strip().splitlines()) == 1


def test_inputs_and_outputs_by_name(tmp_path: Path) -> None:
    """Keras takes the arrays of a model with a dictionary of inputs in the order of the keys."""
    layers = [image((4,), "z"), image((4,), "a"), layer("Subtract", "s", ["zq", "aq"])]
    layers[2:2] = [layer("QActivation", f"{name}q", [name], activation=bits(8)) for name in "za"]
    config = functional(layers)
    config["config"]["input_layers"] = {"z": ["z", 0, 0], "a": ["a", 0, 0]}
    config["config"]["output_layers"] = {"difference": ["s", 0, 0]}
    path = write_h5(tmp_path / "m.h5", config, {})
    np.save(tmp_path / "a.npy", np.full((1, 4), 0.25, np.float32))
    np.save(tmp_path / "z.npy", np.full((1, 4), 0.75, np.float32))
    result = call("run", path, tmp_path / "a.npy", tmp_path / "z.npy", "--on", "reference", "-o", tmp_path / "y.npy")
    assert result.exit_code == 0, result.output
    assert (np.load(tmp_path / "y.npy") == 0.5).all()


SHAPES = [((4, 6, 3), (1, 1, 3)), ((4, 6, 3), (4, 6, 1)), ((1, 6, 1), (4, 1, 3)), ((6, 3), (1, 3)), ((5,), (1,))]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("class_name", ["Multiply", "Add"])
def test_broadcasting(tmp_path: Path, shapes: tuple[tuple[int, ...], ...], class_name: str) -> None:
    layers = [image(shape, f"x{i}") for i, shape in enumerate(shapes)]
    layers += [layer("QActivation", f"q{i}", [f"x{i}"], activation=bits(8)) for i in range(2)]
    layers += [layer(class_name, "both", ["q0", "q1"]), layer("QActivation", "out", ["both"], activation=bits(16, integer=2))]
    path = write_h5(tmp_path / "m.h5", functional(layers, ["x0", "x1"]), {})
    rng = np.random.default_rng(0)
    arrays = [rng.integers(-100, 100, (2, *shape)).astype(np.float32) / 128 for shape in shapes]
    for i, array in enumerate(arrays):
        np.save(tmp_path / f"x{i}.npy", array)
    wanted = arrays[0] * arrays[1] if class_name == "Multiply" else arrays[0] + arrays[1]
    for engine in ("reference", "host"):
        result = call("run", path, tmp_path / "x0.npy", tmp_path / "x1.npy", "--on", engine, "-o", tmp_path / "y.npy")
        assert result.exit_code == 0, result.output
        assert np.array_equal(np.load(tmp_path / "y.npy"), np.rint(wanted * 2**13) / 2**13)
