"""mcugen check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mcugen.cli import save_json
from mcugen.errors import McugenError
from mcugen.findings import Finding, find, lost, refusals
from mcugen.load import load
from mcugen.pipeline import lower
from mcugen.quantise import InputGrid


def check(model: Path, grid: InputGrid, json_path: Path | None) -> int:
    """Exit code 0: accepted and exact; 1: accepted, with doubts; 2: refused."""
    try:
        network = load(model)
    except McugenError as error:
        refused = [Finding("refused", error.node, error.fact, error.remedy)]
        save_json(json_path, {"refused": True, "findings": [finding.json() for finding in refused]})
        raise
    refused = refusals(network, lambda each: lower(each, grid))
    if refused:
        findings = [*refused, *lost(network)]
        say(findings)
        save_json(json_path, {"refused": True, "findings": [finding.json() for finding in findings]})
        click.echo(f"{network.name}: refused for {len(refused)} reason{'s' if len(refused) > 1 else ''}")
        return 2
    graph = lower(network, grid)
    findings = [*lost(network), *find(graph)]
    say(findings)
    inexact = [finding for finding in findings if finding.kind == "inexact"]
    data: dict[str, Any] = {"refused": False, "findings": [finding.json() for finding in findings]}
    save_json(json_path, data)
    layers = sum(node.op != "input" for node in graph.nodes)
    click.echo(f"{graph.name}: accepted; {layers} operators, {len(inexact)} not provably equal to QKeras")
    return 1 if inexact else 0


def say(findings: list[Finding]) -> None:
    """One line a finding; layers of one kind, cause and remedy share one, at the place of the first."""
    layers: dict[tuple[str, str, str], list[str]] = {}
    for finding in findings:
        layers.setdefault((finding.kind, finding.cause, finding.remedy), []).append(finding.layer)
    for (kind, cause, remedy), names in layers.items():
        click.echo(f"{kind}: {', '.join(names)}: {cause}; {remedy}")
