"""What `mcugen plan` says: memory during each layer, flash by layer, chains and their cost, the next smaller fit."""

from mcugen.boards import load_board
from mcugen.commands.plan import chain_table, chains, describe, flash_by_layer, over_time, smaller
from mcugen.pipeline import compile_graph, lower
from mcugen.planning.buffers import lower_bound, needed
from mcugen.select import select_kernels
from tests.property.test_bands import all_chains, graph_of
from tests.random_network import random_network

BOARD = load_board("nucleo-h743zi")
GRAPH = lower(random_network(2003))
COMPILED = compile_graph(GRAPH, BOARD)
NAMES = [call.node.name for call in COMPILED.calls]


def test_memory_over_time_marks_the_peak() -> None:
    lines = over_time(COMPILED.plan, NAMES).splitlines()[2:]
    assert [line.split()[0] for line in lines] == ["input", *NAMES, "output"]
    peak = next(line for line in lines if "<- peak" in line)
    assert peak.split()[0] == describe(COMPILED.plan, NAMES)["peak"]["at"]
    assert f"{lower_bound([place.buffer for place in COMPILED.plan.places]):,}" in peak.split()


def test_flash_by_layer_is_all_constants() -> None:
    rows = flash_by_layer(COMPILED.calls)
    total = sum(c.values.nbytes for call in COMPILED.calls for c in call.constants)
    assert sum(row["weights"] + row["tables"] for row in rows) == total > 0


def test_the_next_smaller_fit_is_what_the_ram_goal_needs() -> None:
    saved = compile_graph(GRAPH, BOARD, "ram")
    assert f"--for ram needs {saved.plan.arena_bytes:,} bytes" in smaller(COMPILED, "time")
    second = sorted({needed([p.buffer for p in saved.plan.places], t) for t in range(len(saved.calls))})[-2]
    assert f"the next busiest layer needs {second:,}" in smaller(saved, "ram")


def test_chains_say_what_they_cost() -> None:
    graphs = [graph for seed in range(2000, 2012) if (graph := graph_of(seed)) is not None]
    fused = [all_chains(graph, select_kernels(graph, BOARD), 1) for graph in graphs]
    found = [chain for calls in fused for chain in chains(calls)]
    for chain in found:
        assert chain["window_bytes"] > 0 and chain["cycles"] >= chain["cycles_apart"] * 0.9
    texts = "".join(chain_table(calls) for calls in fused if chains(calls))
    assert found and all(" > ".join(chain["layers"]) in texts for chain in found) and not chains(COMPILED.calls)
