"""The zoo's bookkeeping: what counts as a surprise, and how work is counted."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcugen.ir import Layer, Network
from mcugen.quantizers import parse

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "zoo"))
import zoo
from expect import Expected
from measure import Row, agreement, count

GOOD = Row("x", 1000, {"8": 2_000_000, "1": 5_040_000}, weights=7, weight_bits=14, flash=100, ram=50, fits=True, host="4/4")
WANTED = Expected({"1": 5.0, "other": 2.0, "all": 7.04}, weights=7, weight_bits=14, parameters=1000, flash=100, ram=50)


def test_a_row_as_expected_is_no_surprise() -> None:
    assert zoo.surprises(GOOD, WANTED) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"macs": {"8": 2_600_000, "1": 5_040_000}}, "M MAC"),
        ({"weights": 8}, "weights 8"),
        ({"weight_bits": 15}, "weight_bits 15"),
        ({"parameters": 1010}, "1,010 parameters"),
        ({"flash": 101}, "flash 101 of at most 100"),
        ({"ram": 51}, "ram 51 of at most 50"),
        ({"fits": False, "refused": "too big"}, "too big"),
        ({"host": "3/4"}, "host: 3 of 4"),
        ({"simulated": "0/4"}, "simulated: 0 of 4"),
        ({"error": "it broke"}, "it broke"),
    ],
)
def test_every_difference_is_named(changes: dict[str, object], text: str) -> None:
    found = zoo.surprises(replace(GOOD, **changes), WANTED)  # type: ignore[arg-type]
    assert any(text in each for each in found)


def test_a_network_that_should_not_fit_must_be_refused() -> None:
    wanted = replace(WANTED, refused=True)
    assert zoo.surprises(GOOD, wanted) and not zoo.surprises(replace(GOOD, fits=False, refused="flash"), wanted)


def test_agreement_counts_values() -> None:
    assert agreement([np.arange(6)], [np.array([[0, 1, 2], [3, 4, 9]])]) == "5/6"


def test_work_is_counted_as_written_and_dropped_apart() -> None:
    def conv(name: str, source: str, size: int, bits: str) -> Layer:
        config = {"kernel_quantizer": parse(bits, name), "padding": "same", "groups": 1}
        return Layer(name, "QConv2D", config, (source,), {"kernel": np.ones((size, size, 4, 4), np.float32)})

    def act(name: str, source: str, quantizer: str) -> Layer:
        return Layer(name, "QActivation", {"activation": parse(quantizer, name)}, (source,))

    pool = Layer("gap", "GlobalAveragePooling2D", {"keepdims": True}, ("q",))
    layers = (
        Layer("in", "InputLayer", {"shape": (6, 5, 4)}, ()), act("q", "in", "quantized_bits(8,0,1)"), pool,
        act("pool_q", "gap", "quantized_bits(8,0,1)"), conv("se", "pool_q", 1, "quantized_bits(8,0,1,alpha=1)"),
        act("scale", "se", "quantized_sigmoid(8,symmetric=True)"), Layer("mul", "Multiply", {}, ("q", "scale")),
        act("sign", "mul", "binary(alpha=1)"), conv("c", "sign", 3, "binary(alpha=1)"),
    )  # fmt: skip
    row = Row("x")
    count(row, Network("n", layers, ("in",), ("c",)))
    assert row.macs == {"8": 16, "1": 6 * 5 * 4 * 36} and row.dropped_macs == 16
    assert row.weights == 16 + 144 and row.weight_bits == 16 * 8 + 144
