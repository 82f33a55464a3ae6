"""mcugen build."""

from __future__ import annotations

from pathlib import Path

import click

from mcugen.boards import load_board
from mcugen.budget import Limits
from mcugen.build import build as build_folder
from mcugen.build import check_folder
from mcugen.cli import save_json
from mcugen.commands.common import read_graph
from mcugen.commands.plan import chain_table
from mcugen.errors import CheckFailed
from mcugen.pipeline import Compiled, compile_graph
from mcugen.quantise import InputGrid
from mcugen.report import table, text


def build(
    model: Path, board: str, output: Path | None, toolchain: str, goal: str, grid: InputGrid,
    json_path: Path | None, flash_limit: int | None, ram_limit: int | None, keep_inputs: bool,
    explain: bool,
) -> int:  # fmt: skip
    folder = output or Path("build") / model.absolute().stem
    check_folder(folder)
    chosen = load_board(board)
    graph = read_graph(model, grid)
    compiled = compile_graph(graph, chosen, goal, ram_limit=ram_limit, keep_inputs=keep_inputs)
    if explain:
        click.echo(explanation(compiled) + "\n")
    try:
        built = build_folder(compiled, folder, toolchain, Limits(flash_limit, ram_limit), model, grid)
    except CheckFailed as error:
        report = getattr(error, "report", None)
        if report is not None:
            click.echo(text(report) + "\n")
            largest = sorted(report["layers"], key=lambda r: -(r["weight_bytes"] + r["table_bytes"] + r["code_bytes"]))[:5]
            rows = [(r["name"], r["weight_bytes"] + r["table_bytes"] + r["code_bytes"], r["arena_bytes"]) for r in largest]
            click.echo("Largest consumers:\n" + table(("layer", "flash", "RAM"), rows) + "\n")
            save_json(json_path, report)
        else:
            save_json(json_path, {"model": graph.name, "board": board, "fits": False, "reason": str(error)})
        raise
    save_json(json_path, built.report)
    click.echo(text(built.report))
    click.echo(f"\nwrote {built.folder}: {built.image.elf.name}, {built.image.binary.name}, model.c, model.h, report.json")
    return 0


def explanation(compiled: Compiled) -> str:
    """Which kernel each layer got and what the others would have cost, in modelled cycles."""
    rows = []
    for call in compiled.calls:
        others = ", ".join(f"{name} {cycles:,.0f}" for name, cycles in sorted(call.rejected.items(), key=lambda x: x[1]))
        rows.append((call.node.name, call.kernel.name, int(call.kernel.cycles(call.node, call.sources)), others))
    text = table(("layer", "kernel", "estimated cycles", "others"), rows)
    return f"{text}\n\n{chain_table(compiled.calls)}" if any(call.kernel.parts for call in compiled.calls) else text
