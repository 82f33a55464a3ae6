"""Builds every network of the zoo for the board and prints one row each: python zoo.py [--networks A,B] [--checks C] [--write]

Models are kept under build/zoo and made again when their builders change; a network that fails does not stop
the others. `--write` puts each row into docs/zoo.md as it is found. Exit code 1: a network did not do what expect.py says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from expect import EXPECTED, Expected
from measure import CHECKS, Row, measure

from mcugen.errors import McugenError
from mcugen.report import table
from mcugen.select import GOALS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "zoo"
PAGE = ROOT / "docs" / "zoo.md"
RESULTS = ROOT / "docs" / "zoo.json"
MARKS = ("<!-- zoo -->", "<!-- /zoo -->")
HEADER = (
    "network", "parameters", "M MAC by weight bits", "weight bits", "goal", "flash", "RAM", "arena", "lower bound", "ms",
    "fits", "= QKeras", "= host", "= simulated", "RAM fused", "= fused",
)  # fmt: skip


def say(text: str) -> None:
    """Progress, to standard error."""
    print(text, file=sys.stderr, flush=True)


def made_of(name: str) -> str:
    """Digest of what makes a model: the sources of its family and what they share."""
    families = [file for file in sorted(HERE.glob("*.py")) if name.startswith(file.stem)]
    other = "mobilefacenet.py" if "mobilefacenet" in name else "networks.py"
    digest = hashlib.sha256(name.encode())
    for file in [*(families or [HERE.parent / "faces" / other]), HERE / "blocks.py", HERE / "calibrate.py"]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def make_model(name: str) -> Path:
    """The model file, from the last run if its builders are unchanged."""
    path, stamp = BUILD / f"{name}.h5", BUILD / f"{name}.made_of"
    if path.exists() and stamp.exists() and stamp.read_text() == made_of(name):
        return path
    say(f"{name}: building with QKeras")
    command = [sys.executable, str(HERE / "models.py"), name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise McugenError(name, f"its builder failed ({lines[-1] if lines else done.returncode})", "run models.py by hand")
    stamp.write_text(made_of(name))
    return path


def run(name: str, board: str, checks: list[str]) -> Row:
    """One network, whatever happens."""
    row = Row(name)
    try:
        path = make_model(name)
        row.parameters = int(json.loads(path.with_suffix(".json").read_text())["parameters"])
        measure(row, path, BUILD / f"{name}.image", board, GOALS, checks, say)
    except McugenError as error:
        row.error = str(error)
    except Exception as error:  # any other failure is a bug, and must not hide the other networks
        row.error = f"{type(error).__name__}: {error}"
        say(traceback.format_exc())
    return row


def surprises(row: Row, expected: Expected) -> list[str]:
    """Where the row is not as expect.py says; MAC to half a unit where those are whole millions."""
    found = [row.error] if row.error else []
    totals = {"all": sum(row.macs.values()), "other": sum(macs for bits, macs in row.macs.items() if bits != "1")}
    for kind, mmacs in expected.mmacs.items():
        macs = totals.get(kind, row.macs.get(kind, 0)) / 1e6
        if abs(macs - mmacs) > (0.5 if mmacs.is_integer() else 0.06):
            found.append(f"{macs:.2f} M MAC ({kind}), not {mmacs}")
    for what, wanted in (("weights", expected.weights), ("weight_bits", expected.weight_bits)):
        if wanted is not None and getattr(row, what) != wanted:
            found.append(f"{what} {getattr(row, what):,}, not {wanted:,}")
    if expected.parameters is not None and abs(row.parameters - expected.parameters) > 0.009 * expected.parameters:
        found.append(f"{row.parameters:,} parameters, not {expected.parameters:,}")
    limits = {"flash": expected.flash, "ram": expected.ram, "arena": expected.arena, "fused_ram": expected.fused_ram,
              "fused_arena": expected.fused_arena}  # fmt: skip
    for what, limit in limits.items():
        used = getattr(row, what)
        if limit is not None and used is not None and used > limit:
            found.append(f"{what} {used:,} of at most {limit:,}")
    if expected.refused == row.fits and not row.error:
        found.append("fits, which was not expected" if row.fits else f"does not fit: {row.refused}")
    for engine, agreement in (("host", row.host), ("simulated", row.simulated), ("host, fused", row.fused_host)):
        equal, _, whole = agreement.partition("/")
        if equal != whole:
            found.append(f"{engine}: {equal} of {whole} values equal the reference")
    return found


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table."""

    def number(value: int | float | None, digits: int = 0) -> str:
        return "" if value is None else f"{value:,.{digits}f}"

    macs = ", ".join(f"{bits}b {macs / 1e6:.2f}" for bits, macs in row["macs"].items())
    return (
        row["name"], number(row["parameters"]), macs, number(row["weight_bits"]), row["goal"] if row["fits"] else "",
        number(row["flash"]), number(row["ram"]), number(row["arena"]), number(row["lower_bound"]),
        number(row["milliseconds"], 1), "yes" if row["fits"] else "failed" if row["error"] else "no", row["qkeras"],
        row["host"], row["simulated"], number(row.get("fused_ram")), row.get("fused_host", ""),
    )  # fmt: skip


def write(rows: dict[str, dict[str, Any]]) -> None:
    """Replaces the generated part of docs/zoo.md, and docs/zoo.json."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows.values()]
    regions = [
        f"- `{row['name']}`: " + ", ".join(f"{name} {used:,}" for name, used in row["regions"].items())
        for row in rows.values()
        if row["fits"]
    ]
    refused = [f"- `{row['name']}`: {row['refused']}" for row in rows.values() if row["refused"] and not row["fits"]]
    unlike = [f"- `{row['name']}`: {each}" for row in rows.values() for each in row["surprises"]]
    unlike += [f"- `{name}`: {EXPECTED[name].note}" for name in rows if EXPECTED[name].note]
    parts = [("Bytes used by region", regions), ("Refused", refused), ("Unlike expected, and notes", unlike)]
    text = "\n".join(lines) + "".join(f"\n\n{title}:\n\n" + "\n".join(part) for title, part in parts if part)
    page = PAGE.read_text()
    before, after = page.split(MARKS[0])[0], page.split(MARKS[1])[1]
    PAGE.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")
    RESULTS.write_text(json.dumps(list(rows.values()), indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", default="", help="names, separated by commas; all by default")
    parser.add_argument("--board", default="nucleo-h743zi")
    parser.add_argument("--checks", default=",".join(CHECKS), help="what to compare beside sizes; empty for sizes alone")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/zoo.md and docs/zoo.json")
    arguments = parser.parse_args()
    names = arguments.networks.split(",") if arguments.networks else list(EXPECTED)
    if unknown := [name for name in names if name not in EXPECTED]:
        parser.error(f"unknown network {unknown[0]}; known are {', '.join(EXPECTED)}")
    checks = [each for each in arguments.checks.split(",") if each]
    if unknown := [each for each in checks if each not in CHECKS]:
        parser.error(f"unknown check {unknown[0]}; known are {', '.join(CHECKS)}")
    rows = {row["name"]: row for row in (json.loads(RESULTS.read_text()) if RESULTS.exists() else [])}
    for index, name in enumerate(names, start=1):
        say(f"[{index}/{len(names)}] {name}")
        row = run(name, arguments.board, checks)
        rows[name] = {**row.json(), "surprises": surprises(row, EXPECTED[name])}
        for surprise in rows[name]["surprises"]:
            say(f"{name}: {surprise}")
        if arguments.write:
            write({each: rows[each] for each in EXPECTED if each in rows})
    print(table(HEADER, [cells(rows[name]) for name in names]))
    return int(any(rows[name]["surprises"] for name in names))


if __name__ == "__main__":
    sys.exit(main())
