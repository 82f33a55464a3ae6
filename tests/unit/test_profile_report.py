"""Profiles as text, JSON and pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mcugen.errors import McugenError
from mcugen.profile.model import Counts
from mcugen.profile.report import (
    Profile,
    StepProfile,
    compare,
    comparison_table,
    draw,
    load,
    save,
    table,
    to_json,
    total_of,
)

CONV = StepProfile("conv", "conv2d", "conv2d_s8", 1000, "8x8", 2000, 1500, 100, 432, 4096)
POOL = StepProfile("pool", "maxpool", "maxpool_s8", 0, "", 300, 400, 0, 0, 1024)


@pytest.fixture
def profile() -> Profile:
    total = total_of([CONV, POOL], instructions=2350, modelled_cycles=1950, memory_cycles=120, arena_bytes=5000)
    return Profile("net", "nucleo-h743zi", 400_000_000, (CONV, POOL), total)


def test_derived_numbers(profile: Profile) -> None:
    assert CONV.cycles_per_mac == 1.5 and POOL.cycles_per_mac is None
    assert profile.milliseconds(CONV) == pytest.approx(0.004)
    assert profile.total == StepProfile("total", "", "", 1000, "8x8", 2350, 1950, 120, 432, 5000)
    measured = StepProfile.measured(
        Counts(2000, 1500, 100, 1, 2, 3),
        name="conv",
        op="conv2d",
        kernel="conv2d_s8",
        macs=1000,
        mac_bits="8x8",
        weight_bytes=432,
        arena_bytes=4096,
    )
    assert measured == CONV


def test_mixed_bits_have_no_common_name() -> None:
    assert total_of([CONV, replace(CONV, mac_bits="1x1")]).mac_bits == ""


def test_json(profile: Profile, tmp_path: Path) -> None:
    save(profile, tmp_path / "p.json")
    data = json.loads((tmp_path / "p.json").read_text())
    assert data == to_json(profile)
    assert data["total"]["modelled_cycles_with_memory"] == 2070
    keys = "name op kernel macs mac_bits instructions modelled_cycles memory_cycles cycles_per_mac milliseconds"
    assert set(f"{keys} weight_bytes arena_bytes modelled_cycles_with_memory".split()) == set(data["layers"][0])
    assert data["layers"][1]["cycles_per_mac"] is None
    assert load(tmp_path / "p.json") == profile


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"layers": [{}], "total": {}}', '{"layers": 3}'])
def test_no_profile(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(McugenError, match="is no profile"):
        load(tmp_path / "p.json")
    with pytest.raises(McugenError, match="cannot be read"):
        load(tmp_path / "missing.json")


def test_table(profile: Profile) -> None:
    lines = table(profile).splitlines()
    assert "400 MHz" in lines[0] and "modelled" in lines[0]
    words = [" ".join(line.split()) for line in lines]
    assert words[3] == "conv conv2d conv2d_s8 1,000 8x8 2,000 1,500 100 1.50 0.004 77.3 432 4,096"
    assert words[4] == "pool maxpool maxpool_s8 300 400 0 0.001 19.3 0 1,024"
    assert lines[5].split()[0] == "total" and len({len(line) for line in lines[3:]}) == 1


def test_comparison(profile: Profile) -> None:
    faster = replace(CONV, kernel="conv2d_simd", modelled_cycles=750, memory_cycles=110, arena_bytes=0)
    dense = replace(POOL, name="dense", memory_cycles=7)
    new = replace(profile, steps=(faster, dense), total=replace(profile.total, modelled_cycles=1200))
    changes = {change.name: change for change in compare(profile, new)}
    assert list(changes) == ["conv", "dense", "pool", "total"]
    assert changes["conv"].percent("modelled_cycles") == -50.0
    assert changes["conv"].percent("memory_cycles") == pytest.approx(10.0)
    assert changes["dense"].percent("instructions") is None
    assert changes["total"].percent("instructions") == 0.0
    lines = [" ".join(line.split()) for line in comparison_table(list(changes.values())).splitlines()]
    assert lines[2] == "conv conv2d_s8 conv2d_simd 1,500 750 +0.0 -50.0 +10.0 +0.0 -100.0"
    assert lines[3].startswith("dense - maxpool_s8 - 400 ")


def test_growth_from_nothing(profile: Profile) -> None:
    new = replace(profile, steps=(CONV, replace(POOL, memory_cycles=7, weight_bytes=0)))
    pool = compare(profile, new)[1]
    assert pool.percent("memory_cycles") is None and pool.percent("weight_bytes") == 0.0


def test_picture(profile: Profile, tmp_path: Path) -> None:
    draw(profile, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
