"""What `mcugen plan` says: memory during each layer, flash by layer, chains and their cost, the next smaller fit."""

import json
from pathlib import Path

from click.testing import CliRunner

from mcugen.boards import load_board
from mcugen.cli import main
from mcugen.commands.plan import chain_table, chains, describe, flash_by_layer, over_time, smaller
from mcugen.pipeline import Compiled, compile_graph, integer_graph, lower
from mcugen.plan import firmware_bytes
from mcugen.planning.buffers import lower_bound, needed
from mcugen.select import select_kernels
from tests.property.test_bands import all_chains, graph_of
from tests.random_network import random_network

MODELS = Path(__file__).parents[2] / "examples" / "faces"
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


def test_a_ram_limit_fuses_no_more_than_it_takes() -> None:
    graph = integer_graph(MODELS / "mnv2_i8.h5")
    taken = sum(firmware_bytes(BOARD).values())
    free, least = compile_graph(graph, BOARD), compile_graph(graph, BOARD, "ram")
    enough = compile_graph(graph, BOARD, ram_limit=free.plan.arena_bytes + taken)
    assert not chains(enough.calls) and enough.plan.arena_bytes == free.plan.arena_bytes
    limited = compile_graph(graph, BOARD, ram_limit=80_000 + taken)
    assert least.plan.arena_bytes < limited.plan.arena_bytes <= 80_000
    assert 1 <= len(chains(limited.calls)) < len(chains(least.calls))
    assert cycles(free) < cycles(limited) < cycles(least)


def cycles(compiled: Compiled) -> float:
    return sum(call.cycles for call in compiled.calls)


def test_inputs_can_be_kept() -> None:
    plain, kept = (compile_graph(GRAPH, BOARD, keep_inputs=keep).plan for keep in (False, True))
    places = [plan.of[GRAPH.inputs[0]] for plan in (plain, kept)]
    assert places[0].buffer.last < places[1].buffer.last == kept.calls
    others = [place for place in kept.places if place is not places[1] and place.bank == places[1].bank]
    assert others and all(place.end <= places[1].offset or place.offset >= places[1].end for place in others)


def test_the_command_line_passes_both_on(tmp_path: Path) -> None:
    found = []
    for arguments in ([], ["--keep-inputs"], ["--ram-limit", "90000"]):
        path = tmp_path / "plan.json"
        result = CliRunner().invoke(main, ["plan", str(MODELS / "mnv2_i8.h5"), "--json", str(path), *arguments])
        assert result.exit_code == 0, result.output
        found.append(json.loads(path.read_text())["arena_bytes"])
    assert found[2] < found[0] < found[1]


def test_profile_and_verify_take_the_limit(tmp_path: Path) -> None:
    """What a limited build runs can be measured and proved too; a limit that nothing meets is said."""
    model, path = str(MODELS / "mnv2_i8.h5"), tmp_path / "profile.json"
    limit = ("--ram-limit", "90000")
    assert CliRunner().invoke(main, ["profile", model, *limit, "--json", str(path)]).exit_code == 0
    assert json.loads(path.read_text())["total"]["arena_bytes"] < 90_000
    verified = CliRunner().invoke(main, ["verify", model, *limit, "--samples", "1", "--no-qkeras"])
    assert verified.exit_code == 0, verified.output
    image = tmp_path / "image"  # the limit counts the whole firmware
    assert CliRunner().invoke(main, ["build", model, "--ram-limit", "80000", "-o", str(image)]).exit_code == 0
    report = json.loads((image / "report.json").read_text())
    firmware = report["ram"]["used"] - report["arena"]["bytes"]
    assert report["ram"]["used"] <= 80_000 and firmware <= sum(firmware_bytes(BOARD).values()) < firmware + 1000
    for command in ("plan", "profile"):
        result = CliRunner().invoke(main, [command, model, "--ram-limit", "9000"])
        assert result.exit_code == 1 and "of 9,000 in RAM" in result.output, result.output
