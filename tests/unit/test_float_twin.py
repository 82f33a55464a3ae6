"""The float network of the same weights: fine quantizers change it little, coarse ones much; binary layers stay binary."""

from pathlib import Path

import numpy as np

from mcugen.float_twin import float_twin
from mcugen.interpret import decode, encode_inputs, interpret
from mcugen.pipeline import integer_graph
from tests.unit.model_files import sample, write_h5

FACES = Path(__file__).parents[2] / "examples" / "faces" / "hybrid.h5"


def test_face_network_stays_close_to_its_float_twin() -> None:
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.random((3, 12, 12, 3)), np.ones((1, 8, 8, 1)))
    values = (np.floor(smooth * 255) / 128 - 1).astype(np.float32)
    graph = integer_graph(FACES)
    quantized = decode(interpret(graph, encode_inputs(graph, [values]))[graph.outputs[0]], graph[graph.outputs[0]].type)
    floats = float_twin(FACES)([values])[0]
    cosine = (quantized * floats).sum(axis=1) / np.linalg.norm(quantized, axis=1) / np.linalg.norm(floats, axis=1)
    assert floats.shape == (3, 128) and (cosine > 0.9).all() and (floats != quantized).any()


def test_small_network(tmp_path: Path) -> None:
    config, weights = sample()
    out = float_twin(write_h5(tmp_path / "m.h5", config, weights))([np.zeros((2, 6, 6, 2), np.float32)])[0]
    assert out.shape == (2, 3) and np.isfinite(out).all()
