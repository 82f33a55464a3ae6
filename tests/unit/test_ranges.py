"""Intervals and grids against the steps themselves on random values."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.ir import Array
from mcugen.numerics.align import Align
from mcugen.numerics.epilogue import Step, evaluate
from mcugen.numerics.ranges import Range, follow, lowest_bit

F = np.float32


def random_steps(rng: np.random.Generator) -> list[Step]:
    """Steps of three channels, most constants powers of two or multiples of small ones."""

    def constant(kind: str) -> Array:
        choices = {
            "mul": (F(0.125), (2.0 ** rng.integers(-5, 2, 3)).astype(F), rng.normal(0, 1, 3).astype(F), F(0)),
            "add": ((rng.integers(-40, 40, 3) / 16).astype(F), rng.normal(0, 1, 3).astype(F), F(0.25)),
            "slope": (F(0.25), F(0.1), F(-2)),
            "clip": (np.array([0, np.inf], F), np.array([-1.5, 6], F)),
        }[kind]
        return np.asarray(choices[rng.integers(len(choices))])

    aliases = {"sub": "add", "div": "mul"}
    made = []
    for _ in range(rng.integers(1, 6)):
        kind = str(rng.choice(["mul", "mul", "add", "sub", "slope", "clip", "div", "add_tensor", "mul_tensor", "max_tensor"]))
        if kind.endswith("_tensor"):
            made.append(Step(kind, operand=1))
            continue
        value = constant(aliases.get(kind, kind))
        made.append(Step(kind, np.where(value == 0, F(1), value) if kind == "div" else value))
    return made


@pytest.mark.parametrize("seed", range(200))
def test_values_stay_in_the_range_and_on_the_grid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    top = np.array([5.0, 900.0, 70000.0])
    steps = random_steps(rng)
    found = follow(steps, Range(-top, top, 1.0), [Range(np.array([-2.0]), np.array([1.75]), 0.25)])
    assert found is not None
    acc = rng.integers(-top.astype(int), top.astype(int) + 1, (400, 3))
    acc[:1], acc[1:2] = -top, top
    other = (rng.integers(-8, 8, (400, 3)) / 4).astype(F)
    values = evaluate(steps, acc.astype(F), [other]).astype(np.float64)
    slack = 1e-5 * max(found.largest, 1e-6)
    assert (values >= found.lo - slack).all() and (values <= found.hi + slack).all()
    if found.step is not None and np.isfinite(found.step):
        assert np.array_equal(values / found.step, np.rint(values / found.step))


def test_lowest_bit() -> None:
    assert lowest_bit(np.array([0.75, -2, 0])) == 0.25
    assert lowest_bit(np.zeros(3)) == np.inf
    assert lowest_bit(np.array([1e30, 3], F)) == 1


def test_what_float32_would_round_has_no_grid() -> None:
    wide = Range(np.array([0.0]), np.array([2.0**23]), 1.0)
    assert wide.exact
    doubled = follow([Step("add_tensor", operand=1)], wide, [wide])
    assert doubled is not None and doubled.step is None
    assert follow([Step("add", F(0.1))], Range(-np.ones(1), np.ones(1), 1.0), []) is not None


def test_align_gives_the_codes_back() -> None:
    codes = np.arange(-3000, 3000)
    for step in (2.0**-9, 0.3, 1e-4):
        align = Align(-3000, 3000, float(F(step)))
        assert np.array_equal(align.codes(codes.astype(F) * F(step)), codes)
