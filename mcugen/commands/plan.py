"""mcugen plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcugen.boards import load_board
from mcugen.cli import save_json
from mcugen.commands.common import read_graph
from mcugen.pipeline import compile_graph
from mcugen.plan import Plan
from mcugen.planning.buffers import needed
from mcugen.quantise import InputGrid
from mcugen.report import table


def plan(
    model: Path, board: str, goal: str, grid: InputGrid, json_path: Path | None, picture: Path | None
) -> int:
    graph = read_graph(model, grid)
    chosen = load_board(board)
    compiled = compile_graph(graph, chosen, goal)
    calls, found = compiled.calls, compiled.plan
    names = [call.node.name for call in calls]
    rows = [
        (", ".join(p.buffer.tensors), p.bank, p.offset, p.buffer.bytes, _time(p.buffer.first, names), _time(p.buffer.last, names))
        for p in sorted(found.places, key=lambda p: (p.buffer.first, p.bank, p.offset))
    ]
    click.echo(table(("tensors", "bank", "offset", "bytes", "from", "to"), rows))
    summary = describe(found, names)
    banks = ", ".join(f"{bank} {size:,}" for bank, size in summary["banks"].items())
    best = "the smallest in one memory" if found.optimal else f"at most {found.gap:.1%} above the smallest"
    click.echo(f"\narena {found.arena_bytes:,} bytes ({banks}), {best}; the busiest layer alone needs {found.lower_bound:,}")
    peak = summary["peak"]
    click.echo(f"peak at {peak['at']}: " + ", ".join(f"{t} {b:,}" for t, b in peak["tensors"].items()))
    save_json(json_path, summary)
    if picture is not None:
        from mcugen.commands.pictures import draw_plan

        draw_plan(found, names, picture)
    return 0


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
