"""mcugen check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcugen.cli import save_json
from mcugen.commands.common import make_grid, read_graph
from mcugen.errors import McugenError
from mcugen.findings import Finding, find


def check(model: Path, input_scale: float, input_offset: int, json_path: Path | None) -> int:
    try:
        graph = read_graph(model, make_grid(input_scale, input_offset))
    except McugenError as error:
        refused = Finding("refused", error.node, error.fact, error.remedy)
        save_json(json_path, {"refused": True, "findings": [refused.json()]})
        raise
    findings = find(graph)
    for finding in findings:
        click.echo(f"{finding.kind}: {finding.layer}: {finding.cause}; {finding.remedy}")
    inexact = [finding for finding in findings if finding.kind == "inexact"]
    data: dict[str, Any] = {"refused": False, "findings": [finding.json() for finding in findings]}
    save_json(json_path, data)
    layers = sum(node.op != "input" for node in graph.nodes)
    click.echo(f"{graph.name}: accepted; {layers} operators, {len(inexact)} not provably equal to QKeras")
    return 1 if inexact else 0
