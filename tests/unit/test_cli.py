"""The command line: every bad input is one message and an exit code, and leaves nothing half-written."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mcugen.cli import main
from tests.unit.model_files import Json, bits, conv, functional, image, layer, write_h5, write_keras
from tests.unit.model_files import sample as positive_sample

ROOT = Path(__file__).parents[2]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(result: Result, *words: str, code: int = 2) -> None:
    """One message, no traceback, the promised exit code, and the words a user needs."""
    assert result.exit_code == code, result.output
    message = result.output.strip().splitlines()[-1]
    assert "Traceback" not in result.output and "unexpected" not in result.output
    for word in words:
        assert word in result.output, message




def sample() -> tuple[Json, dict[str, dict[str, np.ndarray]]]:
    """The sample network with weights of both signs, so that outputs depend on inputs."""
    rng = np.random.default_rng(1)
    config, weights = positive_sample()
    for items in weights.values():
        for key in items.keys() & {"kernel", "bias", "gamma", "beta"}:
            items[key] = rng.normal(0, 0.4, items[key].shape).astype(np.float32)
    return config, weights


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, weights = sample()
    return write_h5(tmp_path_factory.mktemp("model") / "small.h5", config, weights)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "x.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (3, 6, 6, 2)).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def built(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "firmware"
    result = call("build", model, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_run_gives_the_same_on_every_engine(model: Path, inputs: Path, tmp_path: Path) -> None:
    outputs = []
    for engine in ("reference", "host", "unicorn"):
        path = tmp_path / f"{engine}.npy"
        result = call("run", model, inputs, "--on", engine, "-o", path)
        assert result.exit_code == 0, result.output
        outputs.append(np.load(path))
    assert outputs[0].dtype == np.float32 and outputs[0].shape == (3, 3)
    assert (outputs[0] == outputs[1]).all() and (outputs[0] == outputs[2]).all()


def test_uint8_stands_for_the_promised_floats(model: Path, inputs: Path, tmp_path: Path) -> None:
    floats = tmp_path / "floats.npy"
    np.save(floats, ((np.load(inputs).astype(np.float32) - 128) / 128).astype(np.float32))
    scaled = ["--input-scale", 1 / 64, "--input-offset", 0]
    for name, source, options in (("a", inputs, []), ("b", floats, []), ("c", inputs, scaled)):
        assert call("run", model, source, "--on", "reference", "-o", tmp_path / f"{name}.npy", *options).exit_code == 0
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert (a == b).all() and (a != c).any()


def test_keras_archive_equals_h5(model: Path, inputs: Path, tmp_path: Path) -> None:
    config, weights = sample()
    archive = write_keras(tmp_path / "small.keras", config, weights)
    for path, name in ((model, "a"), (archive, "b")):
        assert call("run", path, inputs, "--on", "reference", "-o", tmp_path / f"{name}.npy").exit_code == 0
    assert (np.load(tmp_path / "a.npy") == np.load(tmp_path / "b.npy")).all()


def test_verify_without_qkeras(model: Path, tmp_path: Path) -> None:
    result = call("verify", model, "--on", "host", "--no-qkeras", "--json", tmp_path / "v.json", "--picture", tmp_path / "v.png")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "v.json").read_text())
    assert found["passed"] and found["against_qkeras"] is None and (tmp_path / "v.png").stat().st_size > 1000


def test_check_plan_profile(model: Path, tmp_path: Path) -> None:
    assert call("check", model).exit_code in (0, 1)
    result = call("plan", model, "--json", tmp_path / "plan.json", "--picture", tmp_path / "plan.png")
    assert result.exit_code == 0 and json.loads((tmp_path / "plan.json").read_text())["arena_bytes"] > 0
    result = call("profile", model, "--json", tmp_path / "p.json")
    assert result.exit_code == 0, result.output
    total = json.loads((tmp_path / "p.json").read_text())["total"]
    assert total["instructions"] > 1000 and total["modelled_cycles"] > 1000
    again = call("profile", model, "--compare", tmp_path / "p.json")
    assert again.exit_code == 0 and "total" in again.output


def test_device_test_on_the_simulated_board(built: Path) -> None:
    result = call("test", built, "--port", "unicorn")
    assert result.exit_code == 0 and "passed" in result.output, result.output


# ---- bad files ----


@pytest.mark.parametrize("name", ["garbage.h5", "garbage.keras", "empty.h5", "missing.h5", "model.txt"])
def test_garbage(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if not name.startswith("missing"):
        path.write_bytes(b"" if name.startswith("empty") else os.urandom(5000))
    refused(call("build", path, "-o", tmp_path / "out"), "error:")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("write", [write_h5, write_keras])
@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_truncated(tmp_path: Path, write: Callable[..., Path], keep: float) -> None:
    path = write(tmp_path / ("m.h5" if write is write_h5 else "m.keras"), *sample())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    refused(call("check", path), "error:")


def test_lambda_is_refused_by_name_and_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    code = f"import pathlib; pathlib.Path({str(marker)!r}).touch()"
    bad = layer("Lambda", "evil", ["image"], function=["YWJj", None, None], function_type="lambda", module="builtins", code=code)
    refused(call("build", write_h5(tmp_path / "m.h5", functional([image(), bad]), {})), "evil", "Lambda")
    assert not marker.exists()


def test_nan_weights_name_the_layer(tmp_path: Path) -> None:
    config, weights = sample()
    weights["conv2"]["kernel"][0, 0, 0, 0] = np.nan
    refused(call("build", write_h5(tmp_path / "m.h5", config, weights)), "conv2")


def test_unquantized_layers_are_refused_with_a_remedy(tmp_path: Path) -> None:
    layers = [image(), layer("QActivation", "q", ["image"], activation=bits(8)), conv("c", "q", kernel_quantizer=None)]
    weights = {"c": {"kernel": np.ones((3, 3, 2, 3), np.float32), "bias": np.zeros(3, np.float32)}}
    refused(call("build", write_h5(tmp_path / "m.h5", functional(layers), weights)), "c:", "not quantized", "kernel quantizer")


# ---- bad inputs ----


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (np.zeros((2, 5, 6, 2), np.float32), "(2, 5, 6, 2)"),
        (np.zeros((2, 6, 6, 2), np.int32), "int32"),
        (np.full((1, 6, 6, 2), np.nan, np.float32), "NaN"),
        (np.zeros((0, 6, 6, 2), np.float32), "no sample"),
        (np.array("text"), "sample"),
    ],
)
def test_wrong_inputs(model: Path, tmp_path: Path, array: np.ndarray, word: str) -> None:
    np.save(tmp_path / "x.npy", array)
    refused(call("run", model, tmp_path / "x.npy", "--on", "reference", "-o", tmp_path / "y.npy"), word)
    assert not (tmp_path / "y.npy").exists()


def test_pickled_and_garbage_arrays_are_refused(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(call("run", model, tmp_path / "x.npy", "--on", "reference"), "x.npy")
    (tmp_path / "y.npy").write_bytes(b"\x93NUMPY\x01\x00garbage")
    refused(call("run", model, tmp_path / "y.npy", "--on", "reference"), "y.npy")
    refused(call("run", model, tmp_path / "none.npy", "--on", "reference"), "none.npy")


# ---- bad places, tools, budgets ----


def test_unknown_board_names_the_known(model: Path) -> None:
    refused(call("build", model, "--board", "arduino"), "arduino", "nucleo-h743zi")


def test_output_that_is_something_else(model: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "letter.txt").write_text("dear")
    refused(call("build", model, "-o", tmp_path / "precious"), "precious", "-o")
    assert (tmp_path / "precious" / "letter.txt").read_text() == "dear"
    refused(call("build", model, "-o", tmp_path / "precious" / "letter.txt"), "is a file")
    refused(call("build", model, "-o", "/proc/nowhere/x"), "/proc/nowhere/x")


def test_build_replaces_an_earlier_build(model: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert call("build", model, "-o", tmp_path / "b").exit_code == 0
    assert {"firmware.elf", "firmware.bin", "report.json", "model.c", "model.h"} <= {p.name for p in (tmp_path / "b").iterdir()}
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_no_compiler(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(call("build", model, "-o", tmp_path / "out", "--toolchain", "gcc"), "gcc", "PATH")
    assert not (tmp_path / "out").exists()


def test_budget_to_the_byte(model: Path, tmp_path: Path) -> None:
    assert call("build", model, "-o", tmp_path / "b").exit_code == 0
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    for what in ("flash", "ram"):
        used = report[what]["used"]
        assert call("build", model, "-o", tmp_path / "c", f"--{what}-limit", used).exit_code == 0
        over = call("build", model, "-o", tmp_path / "d", f"--{what}-limit", used - 1, "--json", tmp_path / "over.json")
        refused(over, "1 too many", "Largest consumers", code=1)
        assert not (tmp_path / "d").exists() and not json.loads((tmp_path / "over.json").read_text())["fits"]


# ---- bad ports ----


def test_absent_port(built: Path) -> None:
    refused(call("test", built, "--port", "/dev/nothing-here"), "/dev/nothing-here")


@pytest.mark.parametrize("behaviour", ["silent", "closing", "noise"])
def test_bad_lines_end_in_one_message(built: Path, behaviour: str) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        client, _ = server.accept()
        with client:
            client.settimeout(0.2)
            while not stop.is_set():
                try:
                    if not client.recv(4096):
                        return
                except TimeoutError:
                    continue
                except OSError:
                    return
                if behaviour == "closing":
                    client.sendall(b"\x05\x01")
                    return
                if behaviour == "noise":
                    client.sendall(os.urandom(300))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        refused(call("test", built, "--port", url), url)
    finally:
        stop.set()
        server.close()
        thread.join(5)


def test_another_model_on_the_device(built: Path, tmp_path: Path) -> None:
    config, weights = sample()
    weights["conv1"]["kernel"] *= -1
    other = write_h5(tmp_path / "other.h5", config, weights)
    assert call("build", other, "-o", tmp_path / "other").exit_code == 0
    manifest = json.loads((built / "mcugen.json").read_text())
    (tmp_path / "other" / "mcugen.json").write_text(json.dumps(manifest))
    refused(call("test", tmp_path / "other", "--port", "unicorn"), "digest")


def test_folder_that_is_no_build(tmp_path: Path) -> None:
    refused(call("test", tmp_path, "--port", "unicorn"), "mcugen.json")
    refused(call("flash", tmp_path), "mcugen.json")


def test_python_dash_m_is_the_command() -> None:
    """`python -m mcugen boards` prints what `mcugen boards` prints."""
    done = subprocess.run([sys.executable, "-m", "mcugen", "boards"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == call("boards").output
