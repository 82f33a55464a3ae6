"""Memory plans: no overlap, in place where allowed, close to the bound, refused when nothing fits."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.errors import CheckFailed, McugenError
from mcugen.ir import Graph
from mcugen.ops.base import Call
from mcugen.pipeline import compile_graph, lower
from mcugen.plan import Plan, plan_memory
from mcugen.planning.banks import smallest
from mcugen.planning.buffers import Buffer, lower_bound
from mcugen.planning.check import check_places
from mcugen.planning.exact import Search
from mcugen.planning.pack import Pairs, height, pack
from mcugen.planning.windows import raised_bound
from tests.random_network import random_network
from tests.random_plans import random_board, random_calls, random_plan

BOARD = load_board("nucleo-h743zi")


@pytest.mark.parametrize("seed", range(60))
def test_random_networks_never_overlap(seed: int) -> None:
    try:
        graph = lower(random_network(seed))
    except McugenError as error:
        assert "overflow 53 bits" in str(error)
        return
    for goal in ("time", "ram"):
        plan = compile_graph(graph, BOARD, goal).plan  # checked as it is made
        assert plan.lower_bound <= plan.arena_bytes and plan.gap <= 0.05


@pytest.mark.parametrize("seed", range(150))
def test_random_graphs_never_overlap(seed: int) -> None:
    plan = random_plan(seed)
    assert plan is None or plan.lower_bound <= plan.arena_bytes


@pytest.mark.parametrize("seed", range(40))
def test_checker_finds_what_was_moved(seed: int) -> None:
    """Every tensor that another one at the same time bounds, moved over that one, is found."""
    graph, calls = random_calls(seed)
    plan = plan_memory(graph, calls, random_board(0, 1 << 20), {})
    spoilt = 0
    for i, a in enumerate(plan.places):
        for b in plan.places:
            if a.buffer.first < b.buffer.first < a.buffer.last and not b.buffer.over:
                moved = [*plan.places[:i], replace(a, offset=b.offset), *plan.places[i + 1 :]]
                with pytest.raises(AssertionError):
                    _check(graph, calls, replace(plan, places=tuple(moved)))
                spoilt += 1
    _check(graph, calls, plan)
    assert spoilt or len(calls) < 8


def _check(graph: Graph, calls: Sequence[Call], plan: Plan) -> None:
    check_places(graph, calls, plan.of, {bank: plan.bank_bytes(bank) for bank in plan.banks})


def brute_force(buffers: Sequence[Buffer]) -> int:
    """The smallest height with offsets that are multiples of 8, by trying all below the height of the buffers in a row."""
    pairs = Pairs(buffers)
    top = sum(buffer.bytes for buffer in buffers)
    for size in range(lower_bound(buffers), top + 8, 8):
        if _fits(pairs, size, {}):
            return size
    raise AssertionError


def _fits(pairs: Pairs, size: int, offsets: dict[int, int]) -> bool:
    i = len(offsets)
    if i == len(pairs.buffers):
        return True
    for offset in range(0, size - pairs.buffers[i].bytes + 8, 8):
        free = all(not -below < offset - offsets[j] < above for j, below, above in pairs.of[i] if j < i)
        if free and _fits(pairs, size, {**offsets, i: offset}):
            return True
    return False


@pytest.mark.parametrize("seed", range(120))
def test_small_plans_are_the_smallest(seed: int) -> None:
    """And the bound from windows is never above it."""
    rng = np.random.default_rng(seed)
    buffers: list[Buffer] = []
    for number in range(int(rng.integers(3, 8))):
        first = int(rng.integers(0, 5))
        last = first + int(rng.integers(0, 4))
        dying = [b for b in buffers if b.last == first]
        over = tuple((b.name, 8 * int(rng.integers(-2, 3))) for b in dying if rng.random() < 0.5)
        buffers.append(Buffer((f"b{number}",), 8 * int(rng.integers(1, 6)), first, last, over))
    pairs, least = Pairs(buffers), brute_force(buffers)
    offsets, bound = smallest(pairs)
    assert height(pairs, offsets) == bound == least
    assert lower_bound(buffers) <= raised_bound(buffers, lower_bound(buffers), 1 << 20) <= least


def test_calls_in_a_row_raise_the_bound() -> None:
    """b starts 16 before a or after it, c 304 before b or after it: no call needs more than 432 alone, both together 528."""
    a, b = Buffer(("a",), 400, 0, 1), Buffer(("b",), 128, 1, 2, (("a", 16),))
    buffers = [a, b, Buffer(("c",), 400, 2, 3, (("b", 304),))]
    assert lower_bound(buffers) < brute_force(buffers)
    assert raised_bound(buffers, lower_bound(buffers), 1 << 20) == brute_force(buffers)


def test_what_the_large_buffers_need_orders_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inverted residuals, two of 36 lines and six of 18: where the last one must lie says where the first one must."""
    buffers = [Buffer(("b0",), 50176, -1, 1)]
    for k in range(4):
        buffers.append(Buffer((f"b{k + 1}",), 50176, 2 * k + 1, 2 * k + 3 + (k < 3)))
        buffers.append(Buffer((f"b{k + 1}/scratch",), 14336, 2 * k + 1, 2 * k + 1))
    buffers += [Buffer(("dw",), 50176, 9, 10, (("b4", -1920),)), Buffer(("dw/scratch",), 64512, 9, 9)]
    buffers += [Buffer(("q0",), 25088, 10, 14, (("dw", -1920),)), Buffer(("q0/scratch",), 80, 10, 10)]
    for k in range(6):
        t = 11 + 4 * k
        buffers += [Buffer((f"e{k}",), 50176, t, t + 1), Buffer((f"d{k}",), 50176, t + 1, t + 2, ((f"e{k}", 28672),))]
        buffers.append(Buffer((f"q{k + 1}",), 25088, t + 2, t + 7 - 3 * (k == 5), ((f"d{k}", -1920),)))
        buffers += [Buffer((f"{name}{k}/scratch",), size, t + n, t + n) for n, (name, size) in enumerate(SCRATCH)]
    buffers.append(Buffer(("last",), 100352, 34, 35, (("q6", 69120),)))
    pairs = Pairs(buffers)
    monkeypatch.setattr("mcugen.planning.pack._ROUNDS", 0)
    offsets, bound = smallest(pairs)
    assert height(pairs, offsets) == bound < height(pairs, pack(pairs, bound))


SCRATCH = (("e", 7680), ("d", 1168), ("q", 7680), ("add", 16))


def test_search_beats_what_orders_find() -> None:
    """Without a round of packing the search alone finds the smallest height."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        times = [(int(t), int(t + rng.integers(0, 4))) for t in rng.integers(0, 6, 7)]
        buffers = [Buffer((f"b{i}",), 8 * int(rng.integers(1, 6)), *time) for i, time in enumerate(times)]
        pairs = Pairs(buffers)
        found = Search(pairs, sum(b.bytes for b in buffers) + 8, 0, 100_000)
        assert found.proved and found.found is not None
        assert height(pairs, found.found) == brute_force(buffers)


def test_inputs_can_be_kept() -> None:
    graph = lower(random_network(3))
    calls = compile_graph(graph, BOARD).calls
    plan = plan_memory(graph, calls, BOARD, keep_inputs=True)
    assert plan.of[graph.inputs[0]].buffer.last == len(calls)


def test_inputs_and_outputs_stay_out_of_a_barred_memory() -> None:
    """A memory that the DMA cannot reach, say."""
    graph = lower(random_network(3))
    calls = compile_graph(graph, BOARD).calls
    regions = tuple(replace(r, use=(*r.use, "no_io")) if r.name == "dtcm" else r for r in BOARD.regions)
    plan = plan_memory(graph, calls, replace(BOARD, regions=regions))
    assert plan.of[graph.inputs[0]].bank == plan.of[graph.outputs[0]].bank == "axi"


def test_lower_bound_counts_what_lives_at_once() -> None:
    assert lower_bound([Buffer(("a",), 8, 0, 1), Buffer(("b",), 8, 1, 2), Buffer(("c",), 24, 3, 3)]) == 24


def test_over_full_board_names_the_tensor() -> None:
    graph = lower(random_network(1))
    small = tuple(replace(region, size=32) for region in BOARD.regions)
    calls = compile_graph(graph, BOARD).calls
    with pytest.raises(CheckFailed, match="fit no memory"):
        plan_memory(graph, calls, replace(BOARD, regions=small))


def test_banks_are_used_when_one_is_full() -> None:
    graph = lower(random_network(3))
    calls = compile_graph(graph, BOARD).calls
    largest = max(place.buffer.bytes for place in compile_graph(graph, BOARD).plan.places)
    regions = tuple(replace(r, size=largest + 8) if "arena" in r.use else r for r in BOARD.regions)
    plan = plan_memory(graph, calls, replace(BOARD, regions=regions))
    assert len(plan.banks) > 1 and np.all([plan.bank_bytes(bank) <= largest + 8 for bank in plan.banks])
