"""`mcugen evaluate` from the command line: model files, people in folders, and what the JSON holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mcugen.cli import main
from tests.unit.model_files import conv, functional, image, layer, write_h5
from tests.unit.people import write_people

PAIRS = """2\t2
A\t1\t2
B\t1\t2
A\t1\tB\t2
B\t1\tA\t2
C\t1\t2
D\t1\t2
C\t1\tD\t2
D\t1\tC\t2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks of the same file name, four people of two images each, and their pairs in two folds."""
    root = tmp_path_factory.mktemp("evaluate")
    rng = np.random.default_rng(3)
    layers = [
        image((6, 6, 3)),
        layer("QActivation", "in_q", ["image"], activation="quantized_bits(8,0,1)"),
        conv("conv", "in_q", 4, use_bias=False, activation="quantized_bits(8,2,1,alpha=1)"),
        layer("Flatten", "flat", ["conv"], data_format="channels_last"),
    ]
    for name in ("one", "two"):
        (root / name).mkdir()
        kernel = rng.uniform(-0.9, 0.9, (3, 3, 3, 4)).astype(np.float32)
        write_h5(root / name / "net.h5", functional(layers), {"conv": {"kernel": kernel}})
    write_people(root / "people", "ABCD", rng, images=2, noise=25)
    (root / "pairs.txt").write_text(PAIRS)
    return root


def call(folder: Path, *arguments: object) -> Result:
    images = ["--images", str(folder / "people"), "--on", "reference"]
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments), *images])


def scores(folder: Path, to: Path, *arguments: object) -> Any:
    result = call(folder, folder / "one" / "net.h5", "--pairs", folder / "pairs.txt", "--json", to, *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(to.read_text())


def test_figures_of_a_model_file(folder: Path, tmp_path: Path) -> None:
    found = scores(folder, tmp_path / "e.json")
    assert (found["pairs"], found["images"], found["people"], found["selected_folds"]) == (8, 8, 4, [1, 2])
    assert found["accuracy"] == 1.0 and found["auc"] == 1.0 and found["threshold_from"] == "the other folds"
    assert found["models"][0]["name"] == "reference: net.h5" and found["models"][0]["dimension"] == 144
    assert scores(folder, tmp_path / "e.json", "--folds", "2")["pairs"] == 4


def test_models_of_the_same_file_name_are_told_apart(folder: Path) -> None:
    files = folder / "one" / "net.h5", folder / "two" / "net.h5"
    result = call(folder, *files, "--pairs", folder / "pairs.txt")
    assert result.exit_code == 0, result.output
    assert all(f"reference: {file}" in result.output for file in files)


def test_another_scale_of_the_inputs_is_another_question_to_the_cache(folder: Path, tmp_path: Path) -> None:
    report, dark = ("--report", tmp_path / "report"), ("--input-scale", "0.004", "--input-offset", "30")
    first = scores(folder, tmp_path / "e.json", *report)
    other = scores(folder, tmp_path / "e.json", *report, *dark)
    assert other == scores(folder, tmp_path / "e.json", *dark) and other["threshold"] != first["threshold"]


def test_pairs_come_from_labelled_folders(folder: Path) -> None:
    result = call(folder, folder / "one" / "net.h5")
    assert result.exit_code == 0 and "built from the labelled folders" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--folds", "x"), "no list of numbers"),
        (("--folds", "3"), "fold"),
        (("--pairs", "absent.txt"), "absent.txt"),
    ],
)
def test_refusals(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    pairs = () if "--pairs" in arguments else ("--pairs", folder / "pairs.txt")
    result = call(folder, folder / "one" / "net.h5", *pairs, *arguments)
    assert result.exit_code == 2 and said in result.output, result.output
