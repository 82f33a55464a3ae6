"""Bytes that the plan calls dead may hold anything: after every call they are overwritten, and outputs stay the same."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.build import random_codes
from mcugen.errors import CheckFailed, McugenError
from mcugen.interpret import interpret
from mcugen.ir import Array, Graph
from mcugen.numerics.packing import from_bytes, to_bytes
from mcugen.pipeline import Compiled, compile_graph, lower
from mcugen.plan import Plan, arena_regions
from mcugen.resources import data_dir
from mcugen.toolchain import compile_native
from tests.random_network import random_network

BOARD = load_board("nucleo-h743zi")
_AFTER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t)


def compiled_library(compiled: Compiled, folder: Path) -> Callable[..., None]:
    """The model's run function, called as (banks, after, context)."""
    for name, text in compiled.sources.files.items():
        (folder / name).write_text(text)
    name = f"{compiled.sources.model}_model"
    (folder / "entry.c").write_text(
        '#include "model.h"\n'
        "void entry(uint8_t *const banks[], mcu_after_step after, void *context);\n"
        f"void entry(uint8_t *const banks[], mcu_after_step after, void *context) {{ {name}.run(banks, after, context); }}\n"
    )
    compile_native([folder / "model.c", folder / "entry.c"], [folder, data_dir("firmware")], folder / "model.so", shared=True)
    entry = ctypes.CDLL(str(folder / "model.so")).entry
    entry.argtypes, entry.restype = [ctypes.c_void_p, _AFTER, ctypes.c_void_p], None
    return entry  # type: ignore[no-any-return]


class Banks:
    """The memories of a plan, aligned like the board's; `poison` overwrites what no later call may read."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rng = plan, np.random.default_rng(0)
        self.stores = {bank: np.zeros(plan.bank_bytes(bank) // 8 + 1, np.uint64) for bank in plan.banks}

    def of(self, name: str, size: int) -> Array:
        place = self.plan.of[name]
        return self.stores[place.bank].view(np.uint8)[place.offset : place.offset + size]

    def poison(self, time: int) -> None:
        for bank, store in self.stores.items():
            dead = np.ones(store.nbytes, bool)
            for place in self.plan.places:
                if place.bank == bank and place.buffer.first <= time < place.buffer.last:
                    dead[place.offset : place.end] = False
            store.view(np.uint8)[dead] = self.rng.integers(0, 256, int(dead.sum()), np.uint8)


def run_poisoned(compiled: Compiled, entry: Callable[..., None], codes: list[Array]) -> list[Array]:
    """Outputs of one image, every byte that the plan calls dead overwritten before and after each call."""
    graph, banks = compiled.graph, Banks(compiled.plan)
    times = [time for time, call in enumerate(compiled.calls) if call.kernel.template]
    banks.poison(-1)
    for name, x in zip(graph.inputs, codes, strict=True):
        banks.of(name, graph[name].type.bytes)[:] = to_bytes(x, graph[name].type)[0]
    pointers = (ctypes.c_void_p * len(banks.stores))(*(store.ctypes.data for store in banks.stores.values()))
    after = _AFTER(lambda _, step: banks.poison(times[step]))
    entry(pointers, after, None)
    kinds = {name: graph[name].type for name in graph.outputs}
    return [from_bytes(banks.of(name, kind.bytes)[None], kind) for name, kind in kinds.items()]


def spread(graph: Graph, goal: str) -> Compiled | None:
    """Compiled for banks so small that the plan spreads over several; None where one buffer needs nearly all."""
    arena = compile_graph(graph, BOARD, goal).plan.arena_bytes
    for share in (0.6, 0.75, 0.9):
        reserved = {region.name: region.size - int(arena * share) // 8 * 8 for region in arena_regions(BOARD)}
        try:
            compiled = compile_graph(graph, BOARD, goal, reserved)
        except CheckFailed:
            continue
        return compiled if len(compiled.plan.banks) > 1 else None
    return None


def random_graph(seed: int) -> Graph | None:
    try:
        return lower(random_network(seed))
    except McugenError as error:
        assert "overflow 32 bits" in str(error)
        return None


def check(compiled: Compiled, seed: int, folder: Path) -> None:
    folder.mkdir()
    graph, codes = compiled.graph, random_codes(compiled.graph, 1, seed)
    expected = interpret(graph, codes)
    for name, found in zip(graph.outputs, run_poisoned(compiled, compiled_library(compiled, folder), codes), strict=True):
        np.testing.assert_array_equal(found, expected[name])


@pytest.mark.parametrize("goal", ["time", "ram"])
def test_dead_bytes_are_never_read(goal: str, tmp_path: Path) -> None:
    for seed in range(3000, 3012):
        if graph := random_graph(seed):
            check(compile_graph(graph, BOARD, goal), seed, tmp_path / str(seed))


@pytest.mark.parametrize("goal", ["time", "ram"])
def test_dead_bytes_are_never_read_over_several_banks(goal: str, tmp_path: Path) -> None:
    spreads = 0
    for seed in range(3000, 3016):
        graph = random_graph(seed)
        if graph and (compiled := spread(graph, goal)):
            check(compiled, seed, tmp_path / str(seed))
            spreads += 1
    assert spreads >= 5
