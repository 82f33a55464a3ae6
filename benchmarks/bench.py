"""Measures every shape of shapes.py and the face networks on the simulated STM32H743; see docs/performance.md.

    python benchmarks/bench.py --write   # measures, writes benchmarks/results/ and the table in docs/performance.md
    python benchmarks/bench.py --check   # measures, fails where a row got more than 2% worse than benchmarks/results/
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcugen.boards import load_board
from mcugen.build import link
from mcugen.ir import Graph
from mcugen.pipeline import compile_graph, integer_graph, lower
from mcugen.profile.report import Profile
from mcugen.profiling import profile_image

sys.path.insert(0, str(Path(__file__).parent))
from glue import GLUE, Glue
from glue import network as glue_network
from shapes import OTHER_WIDTHS, SHAPES, Shape, network

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "bench.json"
PAGE = ROOT / "docs" / "performance.md"
NETWORKS = {"network A (hybrid.h5)": "hybrid.h5", "MobileNetV2 0.5 int8 (mnv2_i8.h5)": "mnv2_i8.h5"}
CMSIS_NN = {"MobileNetV2 0.5 int8 (mnv2_i8.h5)": (63_400_000, 45_800_000)}
MARKS = ("<!-- bench -->", "<!-- /bench -->")
WORSE = 1.02


def measure(graph: Graph, toolchain: str) -> Profile:
    """One inference of the graph's own firmware image."""
    compiled = compile_graph(graph, load_board("nucleo-h743zi"))
    with tempfile.TemporaryDirectory() as folder:
        return profile_image(compiled, link(compiled, Path(folder), toolchain))


def measure_shape(shape: Shape | Glue, toolchain: str) -> dict[str, Any]:
    """Instructions and cycles of the layer; steps that only prepare its input (signs) belong to it."""
    graph = lower(network(shape) if isinstance(shape, Shape) else glue_network(shape))
    steps = measure(replace(graph, name="bench"), toolchain).steps
    elements = {} if isinstance(shape, Shape) else {"elements": graph[graph.outputs[0]].type.size}
    return {
        **elements,
        "macs": sum(step.macs for step in steps),
        "kernel": steps[-1].kernel,
        "instructions": sum(step.instructions for step in steps),
        "modelled_cycles": sum(step.modelled_cycles for step in steps),
        "memory_cycles": sum(step.memory_cycles for step in steps),
    }


def measure_network(name: str, toolchain: str) -> dict[str, Any]:
    """The whole network's totals."""
    total = measure(integer_graph(ROOT / "examples" / "faces" / name), toolchain).total
    return {
        "macs": total.macs,
        "kernel": "",
        "instructions": total.instructions,
        "modelled_cycles": total.modelled_cycles,
        "memory_cycles": total.memory_cycles,
    }


def measure_all(toolchains: tuple[str, ...], only: str = "") -> dict[str, dict[str, Any]]:
    """Results by toolchain and row; of rows whose name contains `only`."""
    found: dict[str, dict[str, Any]] = {}
    for toolchain in toolchains:
        rows = found.setdefault(toolchain, {})
        for shape in (shape for shape in (*SHAPES, *OTHER_WIDTHS, *GLUE) if only in shape.name):
            rows[shape.name] = measure_shape(shape, toolchain)
            print(f"{toolchain}: {shape.name}: {rows[shape.name]['modelled_cycles']:,} modelled cycles", file=sys.stderr)
        for title, file in NETWORKS.items():
            if only in title and (ROOT / "examples" / "faces" / file).exists():
                rows[title] = measure_network(file, toolchain)
    return found


def page_table(found: dict[str, dict[str, Any]]) -> str:
    """The results in Markdown, a table a toolchain."""
    known = {shape.name: (shape.instructions, shape.cycles, shape.target) for shape in SHAPES}
    lines = []
    for toolchain, rows in found.items():
        lines += ["", f"### {toolchain}", "", "| layer | kernel | MAC | instructions | modelled cycles | inst/MAC | MAC/cycle "
                  "| to CMSIS-NN, instructions | to CMSIS-NN, cycles | target |", "|" + "---|" * 10]  # fmt: skip
        for name, row in rows.items():
            if "elements" in row or name in {shape.name for shape in OTHER_WIDTHS}:
                continue
            theirs, cycles, target = known.get(name, (*CMSIS_NN.get(name, (None, None)), None))
            ratio = [
                f"{row['instructions'] / theirs:.2f}" if theirs else "",
                f"{row['modelled_cycles'] / cycles:.2f}" if cycles else "",
            ]
            goal = "" if target is None else f"{target[0]} / {target[1]}" + ("" if theirs else " (inst/MAC, MAC/cycle)")
            lines.append(
                f"| {name} | {row['kernel']} | {row['macs']:,} | {row['instructions']:,} | {row['modelled_cycles']:,} | "
                f"{row['instructions'] / row['macs']:.3f} | {row['macs'] / row['modelled_cycles']:.2f} | "
                f"{ratio[0]} | {ratio[1]} | {goal} |"
            )
        lines += _other_widths_table(rows) + _glue_table(rows)
    return "\n".join([*lines, ""])


def _other_widths_table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Weights of 2 and 4 bits; w4a8: 4-bit weights, 8-bit activations. Targets: instructions and cycles a MAC."""
    lines = ["", "| layer | kernel | MAC | instructions | modelled cycles | inst/MAC | cycles/MAC | target |", "|" + "---|" * 8]
    for shape in (shape for shape in OTHER_WIDTHS if shape.name in rows):
        row, goal = rows[shape.name], shape.absolute
        each = f"{row['instructions'] / row['macs']:.3f} | {row['modelled_cycles'] / row['macs']:.3f}"
        totals = f"{row['macs']:,} | {row['instructions']:,} | {row['modelled_cycles']:,}"
        lines.append(f"| {shape.name} | {row['kernel']} | {totals} | {each} | {f'{goal[0]} / {goal[1]}' if goal else ''} |")
    return lines


def _glue_table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Steps that multiply nothing: by element of the output."""
    lines = ["", "| step | kernel | elements | instructions | modelled cycles | inst/element | cycles/element |"]
    lines.append("|" + "---|" * 7)
    for name, row in rows.items():
        if size := row.get("elements"):
            each = f"{row['instructions'] / size:.2f} | {row['modelled_cycles'] / size:.2f}"
            totals = f"{size:,} | {row['instructions']:,} | {row['modelled_cycles']:,}"
            lines.append(f"| {name} | {row['kernel']} | {totals} | {each} |")
    return lines


def worse(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> list[str]:
    """Rows that got more than 2% worse, or vanished."""
    found = []
    for toolchain, rows in new.items():
        for name, before in old.get(toolchain, {}).items():
            for key in ("instructions", "modelled_cycles"):
                now = rows.get(name, {}).get(key)
                if now is None or now > WORSE * before[key]:
                    found.append(f"{toolchain}: {name}: {key} {before[key]:,} -> {now if now is None else f'{now:,}'}")
    return found


def kept(only: str, inverse: bool) -> dict[str, dict[str, Any]]:
    """The stored rows whose name contains `only`; the others if `inverse`."""
    stored = json.loads(RESULTS.read_text())
    return {key: {n: row for n, row in rows.items() if (only in n) != inverse} for key, rows in stored.items()}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--toolchains", default="gcc,zig")
    arguments.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT; --write keeps the others")
    options = arguments.parse_args()
    found = measure_all(tuple(options.toolchains.split(",")), options.only)
    print(page_table(found))
    if options.check:
        failures = worse(kept(options.only, inverse=False), found)
        print("\n".join(failures) or "no row is more than 2% worse than benchmarks/results/bench.json")
        return 1 if failures else 0
    if options.write:
        before = kept(options.only, inverse=True)
        found = {toolchain: {**before.get(toolchain, {}), **rows} for toolchain, rows in found.items()}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        text = PAGE.read_text()
        start, end = text.index(MARKS[0]) + len(MARKS[0]), text.index(MARKS[1])
        PAGE.write_text(text[:start] + "\n" + page_table(found) + text[end:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
