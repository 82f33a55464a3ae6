"""Recurrent layers: what is refused, with its remedy, and that equal steps share one C function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import bits, functional, image, layer, write_h5

from mcugen.errors import McugenError
from mcugen.findings import find
from mcugen.pipeline import compile_model, integer_graph

GATES = {"QSimpleRNN": 1, "QGRU": 3, "QLSTM": 4}


def saved(folder: Path, class_name: str = "QSimpleRNN", steps: int = 5, **changes: Any) -> Path:
    settings = {"units": 4, "activation": "quantized_tanh(6)", "kernel_quantizer": bits(), "recurrent_quantizer": bits(),
                "bias_quantizer": bits(8, integer=1), "state_quantizer": bits(8, integer=1)}  # fmt: skip
    if class_name != "QSimpleRNN":
        settings["recurrent_activation"] = "quantized_sigmoid(5)"
    layers = [
        image((steps, 3)),
        layer("QActivation", "codes", ["image"], activation="quantized_bits(8,1,1)"),
        layer(class_name, "rnn", ["codes"], **{**settings, **changes}),
    ]
    rng, columns = np.random.default_rng(0), 4 * GATES[class_name]
    shapes = {"kernel": (3, columns), "recurrent_kernel": (4, columns), "bias": (columns,)}
    weights = {"rnn": {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}}
    return write_h5(folder / "net.h5", functional(layers), weights)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("QSimpleRNN", {"steps": 129}, "129 time steps"),
    ("QSimpleRNN", {"activation": "tanh"}, "use quantized_tanh"),
    ("QLSTM", {"recurrent_activation": "sigmoid"}, "use quantized_sigmoid"),
    ("QLSTM", {"state_quantizer": "binary(alpha=1)"}, "turns the first state"),
    ("QLSTM", {"recurrent_quantizer": None}, "rnn.*weights are not quantized"),
    ("QGRU", {"recurrent_quantizer": None}, "set recurrent_quantizer"),
    ("QGRU", {"state_quantizer": None}, "gains bits.*set state_quantizer"),
    ("QSimpleRNN", {"state_quantizer": None, "activation": "relu"}, "set state_quantizer"),
]


@pytest.mark.parametrize(("class_name", "changes", "said"), REFUSED)
def test_refused(class_name: str, changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(McugenError, match=said) as error:
        integer_graph(saved(tmp_path, class_name, **changes))
    assert error.value.node.startswith("rnn")


@pytest.mark.parametrize("class_name", GATES)
def test_findings_of_all_steps_are_one(class_name: str, tmp_path: Path) -> None:
    found = find(integer_graph(saved(tmp_path, class_name)))
    assert {(each.kind, each.layer) for each in found} == {("float", "rnn")} and len(found) == 2
    assert any("stored as float32" in each.cause and "inside" in each.cause for each in found)
    assert not any("QActivation" in each.remedy for each in found)


@pytest.mark.parametrize("class_name", GATES)
def test_later_steps_add_no_weights(class_name: str, tmp_path: Path) -> None:
    tables = []
    for steps in (3, 8):
        text = compile_model(saved(tmp_path, class_name, steps)).sources.files["model.c"]
        tables.append(text.count("_weights["))
    assert tables[0] == tables[1] > 0


def test_functions_that_differ_stay_apart(tmp_path: Path) -> None:
    steps = compile_model(saved(tmp_path)).sources.steps
    crops = [steps[f"rnn/step{number}/input"] for number in range(5)]
    assert len(set(crops)) == 5
    assert len({steps[f"rnn/step{number}/output"] for number in range(1, 5)}) == 1
    assert steps["rnn/step0/output"] != steps["rnn/step1/output"]
