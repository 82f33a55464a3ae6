"""Networks against QKeras in the golden environment, layer by layer: all trained ones, hybrid B and Q calibrated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcugen.cli import main

FACES = Path(__file__).parents[2] / "examples" / "faces"
MAKE = """
import sys; sys.path.insert(0, sys.argv[1])
import networks
for name in ("hybrid_b", "hybrid_q"):
    networks.calibrated(networks.NETWORKS[name](), 1).save(f"{sys.argv[2]}/{name}.h5")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("networks")
    command = [sys.executable, "-c", MAKE, str(FACES), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return path


@pytest.mark.xdist_group("golden")
@pytest.mark.parametrize("name", ["hybrid", "mnv2_i8", "qmobilefacenet_mixed", "hybrid_b", "hybrid_q"])
def test_every_value_of_every_layer_equals_qkeras(folder: Path, name: str) -> None:
    trained = FACES / f"{name}.h5"
    model = trained if trained.exists() else folder / f"{name}.h5"
    result = CliRunner().invoke(main, ["verify", str(model), "--on", "host", "--samples", "3", "--qkeras"])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines() if "reference against QKeras" in line]
    assert rows and rows[0][3] == rows[0][5], result.output
