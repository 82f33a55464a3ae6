"""A fixed draw of the random-model machine, for every build: 150 models against QKeras and as sanitized C."""

from __future__ import annotations

import pytest

from mcugen.load.classes import CLASSES
from mcugen.quantizers.parse import KINDS
from tests.fuzzing.campaign import Campaign
from tests.fuzzing.census import census
from tests.fuzzing.specs import draw
from tests.tools import need_qkeras

COUNT = 150


def test_specs_come_from_the_seed_alone() -> None:
    assert draw(7) == draw(7) != draw(8)
    for seed in range(COUNT):
        assert draw(seed)["layers"]


def test_every_layer_and_quantizer_is_drawn() -> None:
    """Plain layers with weights are refused (tests/unit/test_findings.py), so random models leave them out."""
    found = census(range(500))
    plain = {"Conv1D", "Conv2D", "Dense", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "InputLayer"}
    assert set(found["layers"]) == {*CLASSES, "(shared)"} - plain
    assert set(found["activation"]) >= set(KINDS)
    assert set(found["kernel_quantizer"]) >= set(KINDS) - {"quantized_ulaw", "quantized_hswish"}
    assert set(found["wiring"]) >= {"several inputs", "several outputs", "shared layer", "model in model", "1 axes", "3 axes"}
    assert {f"QConv2D {key} unequal" for key in ("kernel_size", "strides", "dilation_rate")} <= set(found["windows"])


@pytest.mark.xdist_group("golden")
def test_150_models_equal_qkeras() -> None:
    need_qkeras()
    with Campaign(simulator=5, batch=50) as campaign:
        for seed in range(COUNT):
            campaign.add(seed)
        campaign.finish()
    report = campaign.totals.text()
    assert not campaign.failures, f"{campaign.failures[0].seed}: {campaign.failures[0].reason}\n{report}"
    assert campaign.totals.graphs > 0.7 * COUNT, report
    assert campaign.totals.host == campaign.totals.graphs, report
    assert not campaign.totals.keras, report
