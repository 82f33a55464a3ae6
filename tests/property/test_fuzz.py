"""A fixed draw of the random-model machine, for every build: 150 models against QKeras and as sanitized C."""

from __future__ import annotations

import pytest

from tests.fuzzing.campaign import Campaign
from tests.fuzzing.specs import draw
from tests.tools import need_qkeras

COUNT = 150


def test_specs_come_from_the_seed_alone() -> None:
    assert draw(7) == draw(7) != draw(8)
    for seed in range(COUNT):
        assert draw(seed)["layers"]


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
