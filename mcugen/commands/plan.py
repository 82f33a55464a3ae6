"""mcugen plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mcugen.boards import load_board
from mcugen.budget import Limits, check_estimate, distinct_constants
from mcugen.cli import save_json
from mcugen.commands.common import read_graph
from mcugen.errors import CheckFailed
from mcugen.ops.base import Call
from mcugen.pipeline import Compiled, compile_graph
from mcugen.plan import Plan
from mcugen.planning.bands import RowFused
from mcugen.planning.buffers import lower_bound, needed
from mcugen.quantise import InputGrid
from mcugen.report import table


def plan(
    model: Path, board: str, goal: str, grid: InputGrid, json_path: Path | None, ram_limit: int | None, keep_inputs: bool,
    picture: Path | None,
) -> int:  # fmt: skip
    graph = read_graph(model, grid)
    chosen = load_board(board)
    compiled = compile_graph(graph, chosen, goal, ram_limit=ram_limit, keep_inputs=keep_inputs)
    calls, found = compiled.calls, compiled.plan
    names = [call.node.name for call in calls]
    summary = describe(found, names) | {"flash": flash_by_layer(calls), "chains": chains(calls)}
    summary["next"] = smaller(compiled, goal)
    save_json(json_path, summary)
    if picture is not None:
        from mcugen.commands.pictures import draw_plan

        draw_plan(found, names, picture)
    rows = [
        (", ".join(p.buffer.tensors), p.bank, p.offset, p.buffer.bytes, _time(p.buffer.first, names), _time(p.buffer.last, names))
        for p in sorted(found.places, key=lambda p: (p.buffer.first, p.bank, p.offset))
    ]
    click.echo(table(("tensors", "bank", "offset", "bytes", "from", "to"), rows) + "\n")
    click.echo(over_time(found, names) + "\n")
    click.echo(table(("layer", "weights", "tables", "flash, of all"), [tuple(row.values()) for row in summary["flash"]]) + "\n")
    if summary["chains"]:
        click.echo(chain_table(calls) + "\n")
    banks = ", ".join(f"{bank} {size:,}" for bank, size in summary["banks"].items())
    best = "the smallest possible" if found.optimal else f"at most {found.gap:.1%} above the smallest"
    busiest = lower_bound([place.buffer for place in found.places])
    click.echo(
        f"arena {found.arena_bytes:,} bytes ({banks}), {best}; no plan needs less than {found.lower_bound:,}, "
        f"the busiest layer alone needs {busiest:,}"
    )
    peak = summary["peak"]
    click.echo(f"peak at {peak['at']}: " + ", ".join(f"{t} {b:,}" for t, b in peak["tensors"].items()))
    click.echo(summary["next"])
    check_estimate(calls, found, chosen, Limits(ram=ram_limit))
    return 0


def over_time(found: Plan, names: list[str], width: int = 40) -> str:
    """What lives during each call, by memory, and a bar of what the call needs of the whole arena."""
    buffers = [place.buffer for place in found.places]
    most, rows = lower_bound(buffers), []
    for time in range(-1, found.calls + 1):
        alive = dict.fromkeys(found.banks, 0)
        for place in found.places:
            if place.buffer.first <= time <= place.buffer.last:
                alive[place.bank] = max(alive[place.bank], place.end)
        size = needed(buffers, time)
        bar = "#" * round(width * size / max(found.arena_bytes, 1))
        rows.append((_time(time, names), *alive.values(), size, bar + (" <- peak" if size == most else "")))
    return table(("during", *(f"{bank} up to" for bank in found.banks), "needed", "of the arena"), rows)


def flash_by_layer(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Weights and tables of every call in bytes (code comes on top), and its share of all; shared tables count in the first."""
    sizes = [(call, sum(c.values.nbytes for c in mine if c.role == "weights"), sum(c.values.nbytes for c in mine))
             for call, mine in distinct_constants(calls)]  # fmt: skip
    total = max(sum(size for _, _, size in sizes), 1)
    rows = [(call.node.name, weights, size - weights, f"{size / total:.1%}") for call, weights, size in sizes if size]
    return [dict(zip(("layer", "weights", "tables", "share"), row, strict=True)) for row in rows]


def chains(calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Chains that run by bands of rows: what they keep, what they would keep as a whole, what that costs."""
    return [
        {
            "layers": [part.node.name for part in call.parts], "band": call.kernel.band,
            "window_bytes": call.kernel.windows()[-1][0], "whole_bytes": call.kernel.whole_bytes,
            "cycles": int(call.cycles), "cycles_apart": int(call.kernel.cycles_apart),
        }
        for call in calls if isinstance(call.kernel, RowFused)
    ]  # fmt: skip


def chain_table(calls: Sequence[Call]) -> str:
    """`chains` as text; no row is computed twice, so the cost is shorter runs and rows that move."""
    rows = [
        (" > ".join(chain["layers"]), chain["band"], chain["window_bytes"], chain["whole_bytes"], chain["cycles"],
         f"{chain['cycles'] / max(chain['cycles_apart'], 1) - 1:+.1%}")
        for chain in chains(calls)
    ]  # fmt: skip
    return table(("by bands of rows", "rows", "kept", "instead of", "estimated cycles", "cost"), rows)


def smaller(compiled: Compiled, goal: str) -> str:
    """What the next smaller fit would take."""
    needs = sorted({needed([p.buffer for p in compiled.plan.places], t) for t in range(compiled.plan.calls)}, reverse=True)
    after = f"the next busiest layer needs {needs[1]:,}" if len(needs) > 1 else "no other layer needs less"
    if goal == "ram":
        return f"for less, make the peak's tensors smaller: {after}"
    try:
        saved = compile_graph(compiled.graph, compiled.board, "ram")
    except CheckFailed:
        return after
    cycles = [sum(call.cycles for call in each.calls) for each in (saved, compiled)]
    by_rows = sum(bool(call.kernel.parts) for call in saved.calls)
    return (
        f"for less: {after}; --for ram needs {saved.plan.arena_bytes:,} bytes with {by_rows} chains by rows, "
        f"at {cycles[0] / cycles[1]:.1f} times the estimated cycles"
    )


def _time(index: int, names: list[str]) -> str:
    return "input" if index < 0 else "output" if index >= len(names) else names[index]


def describe(found: Plan, names: list[str]) -> dict[str, Any]:
    """The plan as JSON: banks, places, the busiest moment and who causes it."""
    buffers = [place.buffer for place in found.places]
    busiest = max(range(-1, found.calls + 1), key=lambda time: needed(buffers, time))
    alive = sorted((b for b in buffers if b.first <= busiest <= b.last), key=lambda b: -b.bytes)
    tensors = {b.tensors[-1]: b.bytes for b in alive}
    return {
        "arena_bytes": found.arena_bytes,
        "lower_bound": found.lower_bound,
        "gap": found.gap,
        "optimal": found.optimal,
        "banks": {bank: found.bank_bytes(bank) for bank in found.banks},
        "peak": {"at": _time(busiest, names), "tensors": tensors},
        "places": [
            {"tensors": list(p.buffer.tensors), "bank": p.bank, "offset": p.offset, "bytes": p.buffer.bytes,
             "from": _time(p.buffer.first, names), "to": _time(p.buffer.last, names)}
            for p in found.places
        ],
    }  # fmt: skip
