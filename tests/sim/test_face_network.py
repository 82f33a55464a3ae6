"""The committed face network, end to end: budget from the ELF, equal integers on every engine, no TensorFlow on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mcugen.build import build
from mcugen.engines.host import HostEngine
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Array
from mcugen.pipeline import Compiled, compile_model
from mcugen.running import DeviceRunner, open_simulated

MODEL = Path(__file__).parents[2] / "examples" / "faces" / "hybrid.h5"
FLASH_LIMIT, RAM_LIMIT = 600_000, 140_000


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_model(MODEL)


@pytest.fixture(scope="module")
def codes(compiled: Compiled) -> list[Array]:
    rng = np.random.default_rng(5)
    smooth = np.kron(rng.random((4, 12, 12, 3)), np.ones((1, 8, 8, 1)))
    pixels = np.clip(smooth * 255 + rng.normal(0, 8, (4, 96, 96, 3)), 0, 255).astype(np.uint8)
    return encode_inputs(compiled.graph, [((pixels - np.float32(128)) / np.float32(128)).astype(np.float32)])


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
def test_fits_and_equals_on_the_simulated_board(compiled: Compiled, codes: list[Array], tmp_path: Path, toolchain: str) -> None:
    built = build(compiled, tmp_path / "firmware", toolchain)
    assert built.report["flash"]["used"] <= FLASH_LIMIT and built.report["ram"]["used"] <= RAM_LIMIT
    reference = interpret(compiled.graph, codes, keep=True)
    runner = DeviceRunner(compiled.graph, open_simulated("unicorn", built.image, compiled.sources.digest))
    outputs = runner.run([x[:2] for x in codes])
    assert (outputs[0] == reference[compiled.graph.outputs[0]][:2]).all()
    traced = runner.trace([x[2:3] for x in codes], {name: x[2:3] for name, x in reference.items()})
    assert set(traced) == set(compiled.sources.steps)
    assert all((x == reference[name][2:3]).all() for name, x in traced.items())
    reserved = runner.device.hello().stack_bytes
    assert reserved == compiled.board.limits["stack_bytes"] and 0 < runner.stack_bytes <= reserved // 2


def test_host_equals_reference_layer_by_layer(compiled: Compiled, codes: list[Array]) -> None:
    reference = interpret(compiled.graph, codes, keep=True)
    traced = HostEngine(compiled.graph, compiled.sources, sanitize=True).trace(codes)
    assert all((x == reference[name]).all() for name, x in traced.items())


def test_a_wrong_integer_is_found_and_named(compiled: Compiled, codes: list[Array]) -> None:
    """Breaks one weight in the C; verification must name the layer it belongs to."""
    from dataclasses import replace

    from mcugen.verify import verify

    text = compiled.sources.files["model.c"]
    start = text.index("_t1_act_weights[")
    at = text.index("{", start) + 1
    number = next(token for token in text[at:].replace("(", " ").replace(")", " ").replace(",", " ").split())
    broken = text[:at] + text[at:].replace(number, str((int(number) + 1) % 100), 1)
    sources = replace(compiled.sources, files={**compiled.sources.files, "model.c": broken})
    reference = interpret(compiled.graph, codes, keep=True)
    traced = HostEngine(compiled.graph, sources).trace(codes)
    result = verify(compiled.graph, "host", reference, traced, None)
    assert not result.passed and result.first_difference is not None and result.first_difference.layer == "t1_act"


def test_building_imports_no_tensorflow(tmp_path: Path) -> None:
    code = (
        "import sys; from mcugen.cli import main\n"
        "try: main()\n"
        "finally: print('tensorflow' in sys.modules, file=open(sys.argv[-1] + '/seen', 'w'))\n"
    )
    folder = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", code, "build", str(MODEL), "-o", str(folder)], timeout=300, check=False)
    assert done.returncode == 0 and (folder / "seen").read_text().strip() == "False"
    assert json.loads((folder / "report.json").read_text())["fits"]
