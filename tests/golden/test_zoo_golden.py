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
import models, numpy
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
small, large = (mobilefacenet.qmobilefacenet(quantized=False, size=size) for size in (32, 48))
mobilefacenet.resized(small, large)
kernels = {f"{name} {at}": model.get_layer(name).get_weights()[0]
           for name in ("l1_conv", "l9_gdc") for at, model in (("small", small), ("large", large))}
numpy.savez(Path(sys.argv[2]) / "resized.npz", **kernels)
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


def test_float_weights_carry_over_to_another_size(folder: Path) -> None:
    """All as they are, but the global convolution's kernel stretched, its sum per channel kept."""
    kernels = np.load(folder / "resized.npz")
    np.testing.assert_array_equal(kernels["l1_conv small"], kernels["l1_conv large"])
    small, large = kernels["l9_gdc small"], kernels["l9_gdc large"]
    assert small.shape[:2] == (4, 4) and large.shape[:2] == (6, 6)
    np.testing.assert_allclose(small.sum(axis=(0, 1)), large.sum(axis=(0, 1)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(large[0, 0], small[0, 0] * 16 / 36, rtol=1e-4, atol=1e-6)


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
