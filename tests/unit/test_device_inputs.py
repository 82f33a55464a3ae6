"""What `mcugen test` asks a device: the stored samples, or the user's, read as the model was built to read them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mcugen.boards import load_board
from mcugen.build import read_manifest
from mcugen.cli import main
from mcugen.commands.test import _asked
from tests.unit.model_files import conv, functional, image, layer, write_h5

OPTIONS = {
    "scale": ("--input-scale", "0.01", "--input-offset", "100"),
    "plain": ("--plain-weights", "quantized_bits(8,0,1,alpha='auto_po2')"),
}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with options that the model file does not say: a grid for its input, a quantizer for its weights."""
    root = tmp_path_factory.mktemp("builds")
    kernel = np.random.default_rng(1).uniform(-0.9, 0.9, (3, 3, 3, 4)).astype(np.float32)
    for name, options in OPTIONS.items():
        changes: dict[str, Any] = {"kernel_quantizer": None} if name == "plain" else {}
        layers = [
            image((6, 6, 3)),
            conv("conv", "image", 4, use_bias=False, activation="quantized_bits(8,2,1,alpha=1)", **changes),
            layer("Flatten", "flat", ["conv"], data_format="channels_last"),
        ]
        path = write_h5(root / f"{name}.h5", functional(layers), {"conv": {"kernel": kernel}})
        assert call("build", path, "-o", root / name, *options).exit_code == 0
    np.save(root / "x.npy", np.random.default_rng(2).integers(0, 256, (3, 6, 6, 3), np.uint8))
    return root


@pytest.mark.parametrize("name", OPTIONS)
def test_a_build_remembers_how_it_reads_the_model(folder: Path, name: str) -> None:
    stored = call("test", folder / name, "--port", "unicorn")
    assert stored.exit_code == 0 and "4 samples" in stored.output, stored.output
    asked = call("test", folder / name, folder / "x.npy", "--port", "unicorn")
    assert asked.exit_code == 0 and "3 samples" in asked.output, asked.output


def test_pixels_may_stand_for_other_values(folder: Path) -> None:
    build, inputs = folder / "scale", (folder / "x.npy",)
    manifest = read_manifest(build)
    as_built, again, other = (_asked(build, manifest, inputs, None, offset)[0] for offset in (None, 100, 0))
    assert as_built == again != other
    result = call("test", build, *inputs, "--port", "unicorn", "--input-offset", "0")
    assert result.exit_code == 0 and "passed" in result.output, result.output
    refused = call("test", build, *inputs, "--port", "unicorn", "--input-scale", "-1")
    assert refused.exit_code == 2 and "--input-scale" in refused.output


def test_without_the_model_file_the_stored_samples_remain(folder: Path, tmp_path: Path) -> None:
    """As after a build from a SavedModel."""
    copy = shutil.copytree(folder / "scale", tmp_path / "b")
    manifest = json.loads((copy / "mcugen.json").read_text())
    del manifest["source"]
    (copy / "mcugen.json").write_text(json.dumps(manifest))
    assert call("test", copy, "--port", "unicorn").exit_code == 0
    result = call("test", copy, folder / "x.npy", "--port", "unicorn")
    assert result.exit_code == 2 and "test without INPUTS" in result.output


def test_a_wrong_answer_is_found(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder / "scale", tmp_path / "b")
    with np.load(copy / "vectors.npz") as file:
        arrays = dict(file)
    arrays["output0"][2, 5] ^= 1
    np.savez(copy / "vectors.npz", **arrays)
    result = call("test", copy, "--port", "unicorn")
    assert result.exit_code == 1 and "sample 2, output 0, byte 5" in result.output, result.output


@pytest.mark.parametrize("content", [b"", b"broken", b"PK\x03\x04"])
def test_damaged_samples(folder: Path, tmp_path: Path, content: bytes) -> None:
    copy = shutil.copytree(folder / "scale", tmp_path / "b")
    (copy / "vectors.npz").write_bytes(content)
    result = call("test", copy, "--port", "unicorn")
    assert result.exit_code == 2 and "vectors.npz: is missing or damaged" in result.output, result.output


def test_a_model_file_that_was_exchanged(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder / "scale", tmp_path / "b")
    manifest = json.loads((copy / "mcugen.json").read_text())
    (copy / "mcugen.json").write_text(json.dumps({**manifest, "grid": {**manifest["grid"], "scale": 0.02}}))
    result = call("test", copy, folder / "x.npy", "--port", "unicorn")
    assert result.exit_code == 2 and "build the model again" in result.output, result.output


def test_a_build_remembers_its_board(folder: Path, tmp_path: Path) -> None:
    """A board file of one's own is not needed again."""
    own = tmp_path / "own.toml"
    shipped = load_board("nucleo-h743zi").text
    own.write_text(shipped.replace('name = "nucleo-h743zi"', 'name = "own"', 1))
    assert call("build", folder / "scale.h5", "-o", tmp_path / "b", "--board", own).exit_code == 0
    own.unlink()
    result = call("test", tmp_path / "b", "--port", "unicorn")
    assert result.exit_code == 0 and "on own at unicorn" in result.output, result.output
