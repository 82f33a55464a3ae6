"""Memory plans: no overlap, in place where allowed, close to the bound, refused when nothing fits."""

from dataclasses import replace

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.errors import CheckFailed, McugenError
from mcugen.fuse import fuse
from mcugen.normalise import normalise
from mcugen.pipeline import compile_graph
from mcugen.plan import Buffer, Place, Plan, check_plan, lower_bound, plan_memory
from mcugen.quantise import quantise
from mcugen.requantize import requantize
from tests.random_network import random_network

BOARD = load_board("nucleo-h743zi")


@pytest.mark.parametrize("seed", range(60))
def test_random_networks_never_overlap(seed: int) -> None:
    try:
        graph = requantize(fuse(quantise(normalise(random_network(seed)))))
    except McugenError as error:
        assert "overflow 32 bits" in str(error)
        return
    plan = compile_graph(graph, BOARD).plan
    check_plan(plan)
    assert plan.lower_bound <= plan.arena_bytes


def test_checker_finds_an_overlap() -> None:
    first, second = Buffer(("a",), 16, 0, 2), Buffer(("b",), 16, 2, 3)
    with pytest.raises(AssertionError, match="share bytes"):
        check_plan(Plan((Place(first, "dtcm", 0), Place(second, "dtcm", 8)), ("dtcm",), 32, 4))
    check_plan(Plan((Place(first, "dtcm", 0), Place(second, "dtcm", 16)), ("dtcm",), 32, 4))


def test_lower_bound_counts_what_lives_at_once() -> None:
    assert lower_bound([Buffer(("a",), 8, 0, 1), Buffer(("b",), 8, 1, 2), Buffer(("c",), 24, 3, 3)]) == 24


def test_over_full_board_names_the_tensor() -> None:
    graph = requantize(fuse(quantise(normalise(random_network(1)))))
    small = tuple(replace(region, size=32) for region in BOARD.regions)
    calls = compile_graph(graph, BOARD).calls
    with pytest.raises(CheckFailed, match="fit no memory"):
        plan_memory(graph, calls, replace(BOARD, regions=small))


def test_banks_are_used_when_one_is_full() -> None:
    graph = requantize(fuse(quantise(normalise(random_network(3)))))
    calls = compile_graph(graph, BOARD).calls
    largest = max(place.buffer.bytes for place in compile_graph(graph, BOARD).plan.places)
    regions = tuple(replace(r, size=largest + 8) if "arena" in r.use else r for r in BOARD.regions)
    plan = plan_memory(graph, calls, replace(BOARD, regions=regions))
    assert len(plan.banks) > 1 and np.all([plan.bank_bytes(bank) <= largest + 8 for bank in plan.banks])
