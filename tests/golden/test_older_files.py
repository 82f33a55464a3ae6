"""Files written by TensorFlow 2.15.1 and QKeras 0.9.0: the same weights and outputs as there.

`written/make.py` made them, in an environment of its own:
`pip install tensorflow-cpu==2.15.1 qkeras==0.9.0 'pyparsing<4' 'numpy<2'`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcugen.interpret import decode, encode_inputs, interpret
from mcugen.load import load
from mcugen.numerics.exactness import promised
from mcugen.pipeline import lower

WRITTEN = Path(__file__).parent / "written"


@pytest.mark.parametrize("name", ["tf_2_15.h5", "tf_2_15.json", "tf_2_15.keras"])
def test_weights_and_outputs(name: str) -> None:
    network = load(WRITTEN / name)
    with np.load(WRITTEN / "tf_2_15.npz") as file:
        wanted = {key: file[key] for key in file.files}
    weights = {f"{layer.name}|{key}": value for layer in network.layers for key, value in layer.weights.items()}
    assert weights.keys() == {key for key in wanted if "|" in key and not key.endswith("|iteration")}
    assert all(np.array_equal(value, wanted[key]) for key, value in weights.items())
    graph = lower(network)
    assert promised(graph) >= set(graph.outputs)
    output = graph.outputs[0]
    found = interpret(graph, encode_inputs(graph, [wanted["input"]]))[output]
    assert np.array_equal(decode(found, graph[output].type), wanted["output"])
