"""The zoo's builders, reduced: every layer against QKeras, every value on the simulated board against the reference."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from mcugen.boards import load_board
from mcugen.build import link
from mcugen.cli import main
from mcugen.interpret import encode_inputs, interpret
from mcugen.load import load
from mcugen.ops import OPERATORS
from mcugen.pipeline import compile_graph, integer_graph
from mcugen.profiling import profile_sample
from mcugen.simplify.dead_channels import dropped

ZOO = Path(__file__).parents[2] / "examples" / "zoo"
MAKE = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
import models
import binarydensenet, lffd, mobilefacenet, quicknet
mobilefacenet.BLOCKS = ((3, 2, 16, 2, 2), (6, 2, 32, 1, 2), (7, 2, 32, 2, 1))
made = {
    "quicknet": quicknet.quicknet("quicknet", (1, 2), (16, 32), (32, 32, 3)),
    "binarydensenet": binarydensenet.binarydensenet("binarydensenet", (2, 1), (2.0,), (32, 32, 3)),
    "lffd": lffd.lffd("lffd", (64, 80), 0.25),
    "binaryfacenet": models.BUILDERS["binaryfacenet"](),
    "qmobilefacenet": mobilefacenet.qmobilefacenet(mobilefacenet.MIXED, size=32),
}
for name, model in made.items():
    models.write(model, Path(sys.argv[2]) / f"{name}.h5", samples=2)
"""
pytestmark = pytest.mark.xdist_group("golden")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zoo")
    command = [sys.executable, "-c", MAKE, str(ZOO), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return path


@pytest.mark.parametrize("name", ["quicknet", "binarydensenet", "lffd", "binaryfacenet"])
def test_every_value_of_every_layer_equals_qkeras(folder: Path, name: str) -> None:
    result = CliRunner().invoke(main, ["verify", str(folder / f"{name}.h5"), "--on", "host", "--samples", "2", "--qkeras"])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines() if "reference against QKeras" in line]
    assert rows and rows[0][3] == rows[0][5], result.output


@pytest.mark.parametrize("name", ["lffd", "qmobilefacenet"])
def test_simulated_board_equals_reference(folder: Path, tmp_path: Path, name: str) -> None:
    path = folder / f"{name}.h5"
    graph = integer_graph(path)
    images = np.load(path.with_suffix(".npz"))["images"][:1]
    codes = encode_inputs(graph, [(images.astype(np.float32) - 128) / 128])
    wanted = interpret(graph, codes, keep=True)
    compiled = compile_graph(graph, load_board("nucleo-h743zi"))
    profile, outputs = profile_sample(compiled, link(compiled, tmp_path), codes)
    for output, found in zip(graph.outputs, outputs, strict=True):
        assert np.ptp(wanted[output]) > 0
        assert np.array_equal(found, wanted[output])
    assert profile.total.macs == sum(OPERATORS[call.node.op].macs(call.node, call.sources) for call in compiled.calls)


def test_the_squeeze_branch_is_dropped(folder: Path) -> None:
    path = folder / "binaryfacenet.h5"
    assert any(layer.name.startswith("se") for layer in load(path).layers)
    assert not any(node.name.startswith("se") for node in integer_graph(path).nodes)


def test_a_network_without_its_dead_channels_equals_qkeras(tmp_path: Path) -> None:
    """Normalizations of network A without gamma in a quarter of their channels, half of those without beta."""
    path = tmp_path / "dead.h5"
    shutil.copy(Path(__file__).parents[2] / "examples" / "faces" / "hybrid.h5", path)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file["model_weights"].visit(names.append)
        for name in (each for each in names if each.endswith("gamma:0")):
            count = len(file["model_weights"][name])
            file["model_weights"][name][: count // 4] = 0
            file["model_weights"][name.replace("gamma", "beta")][: count // 8] = 0
    assert sum(map(dropped, integer_graph(path).nodes)) > 200
    result = CliRunner().invoke(main, ["verify", str(path), "--on", "host", "--samples", "2", "--qkeras"])
    assert result.exit_code == 0, result.output
