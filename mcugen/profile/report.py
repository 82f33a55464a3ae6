"""Profiles as tables, JSON files and pictures, and two of them compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mcugen.errors import McugenError
from mcugen.profile.model import Counts

SCHEMA = 1


@dataclass(frozen=True)
class StepProfile:
    """Cost of one step of a model.

    Attributes:
        macs: multiply-accumulates of one inference; 0 where the step has none.
        mac_bits: what one of them multiplies, activation by weight, as "8x8" or "1x1"; "" where it has none.
        modelled_cycles: CPU cycles were every memory access a hit without waiting.
        memory_cycles: further CPU cycles that cache misses stall, as modelled.
        weight_bytes: constants in flash. arena_bytes: output and scratch in RAM.
    """

    name: str
    op: str
    kernel: str
    macs: int
    mac_bits: str
    instructions: int
    modelled_cycles: int
    memory_cycles: int
    weight_bytes: int
    arena_bytes: int

    @classmethod
    def measured(cls, counts: Counts, **about: Any) -> StepProfile:
        """A step's counts, and the other fields by name."""
        return cls(
            instructions=counts.instructions,
            modelled_cycles=counts.modelled_cycles,
            memory_cycles=counts.memory_cycles,
            **about,
        )

    @property
    def modelled_cycles_with_memory(self) -> int:
        return self.modelled_cycles + self.memory_cycles

    @property
    def cycles_per_mac(self) -> float | None:
        """Modelled cycles, without memory, per multiply-accumulate."""
        return self.modelled_cycles / self.macs if self.macs else None


@dataclass(frozen=True)
class Profile:
    """Cost of one inference.

    Attributes:
        clock_hz: for the milliseconds.
        steps: in order of execution.
        total: the whole run function, its calls between the steps included; its bytes are those of the whole model.
    """

    model: str
    board: str
    clock_hz: int
    steps: tuple[StepProfile, ...]
    total: StepProfile

    def milliseconds(self, step: StepProfile) -> float:
        """Modelled time of a step, memory included."""
        return 1e3 * step.modelled_cycles_with_memory / self.clock_hz


def total_of(steps: Sequence[StepProfile], **measured: int) -> StepProfile:
    """Sums over the steps; `measured` replaces sums by what was counted for the whole (see `StepProfile`)."""
    sums = {f.name: sum(getattr(s, f.name) for s in steps) for f in fields(StepProfile) if f.type == "int"}
    bits = {step.mac_bits for step in steps if step.macs}
    names = {"name": "total", "op": "", "kernel": "", "mac_bits": bits.pop() if len(bits) == 1 else ""}
    return StepProfile(**{**names, **sums, **measured})


# ---- JSON ----


def to_json(profile: Profile) -> dict[str, Any]:
    """A profile as JSON data: model, board, clock_hz, "total" and "layers"; see docs/performance.md."""
    return {
        "schema": SCHEMA,
        "model": profile.model,
        "board": profile.board,
        "clock_hz": profile.clock_hz,
        "total": _entry(profile, profile.total),
        "layers": [_entry(profile, step) for step in profile.steps],
    }


def _entry(profile: Profile, step: StepProfile) -> dict[str, Any]:
    per_mac = step.cycles_per_mac
    derived = {
        "modelled_cycles_with_memory": step.modelled_cycles_with_memory,
        "cycles_per_mac": None if per_mac is None else round(per_mac, 4),
        "milliseconds": round(profile.milliseconds(step), 4),
    }
    return {**asdict(step), **derived}


def save(profile: Profile, path: Path | str) -> None:
    """Writes the JSON file."""
    Path(path).write_text(json.dumps(to_json(profile), indent=1) + "\n", encoding="utf-8")


def load(path: Path | str) -> Profile:
    """Reads a file that `save` wrote.

    Raises:
        McugenError: unreadable, or no profile.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        steps = tuple(_step(entry) for entry in data["layers"])
        return Profile(data["model"], data["board"], int(data["clock_hz"]), steps, _step(data["total"]))
    except OSError as error:
        raise McugenError(str(path), f"cannot be read ({error.strerror})", "check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise McugenError(str(path), "is no profile", "give a JSON file written by `mcugen profile`") from error


def _step(entry: Mapping[str, Any]) -> StepProfile:
    kinds = {"str": str, "int": int}
    return StepProfile(**{f.name: kinds[str(f.type)](entry[f.name]) for f in fields(StepProfile)})


# ---- text ----

_LEFT = 3  # columns of text come first
_HEADER = (
    *("layer", "op", "kernel"),
    *("MAC", "bits", "instructions", "cycles", "memory", "cyc/MAC", "ms", "%", "weights", "RAM"),
)


def table(profile: Profile) -> str:
    """Costs by layer: modelled cycles, stalls by memory beside them, milliseconds and percent of both together."""
    whole = max(1, profile.total.modelled_cycles_with_memory)
    rows = [_row(profile, step, whole) for step in (*profile.steps, profile.total)]
    title = f"{profile.model} on {profile.board}, {profile.clock_hz / 1e6:g} MHz; cycles are modelled, not measured"
    return "\n".join([title, *_columns([_HEADER, *rows])])


def _row(profile: Profile, step: StepProfile, whole: int) -> tuple[str, ...]:
    per_mac = step.cycles_per_mac
    return (
        step.name,
        step.op,
        step.kernel,
        f"{step.macs:,}" if step.macs else "",
        step.mac_bits,
        f"{step.instructions:,}",
        f"{step.modelled_cycles:,}",
        f"{step.memory_cycles:,}",
        "" if per_mac is None else f"{per_mac:.2f}",
        f"{profile.milliseconds(step):.3f}",
        f"{100 * step.modelled_cycles_with_memory / whole:.1f}",
        f"{step.weight_bytes:,}",
        f"{step.arena_bytes:,}",
    )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows aligned, the first columns to the left; a rule under the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = (c.ljust(w) if k < _LEFT else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True)))
        lines.append("  ".join(cells).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


# ---- comparison ----

COMPARED = ("instructions", "modelled_cycles", "memory_cycles", "weight_bytes", "arena_bytes")


@dataclass(frozen=True)
class Change:
    """One layer, or "total", in two profiles; None where a profile lacks it."""

    name: str
    old: StepProfile | None
    new: StepProfile | None

    def percent(self, quantity: str) -> float | None:
        """Growth of one of `COMPARED` in percent of the old value; None where there is none to compare with."""
        if self.old is None or self.new is None:
            return None
        before, after = (int(getattr(step, quantity)) for step in (self.old, self.new))
        if not before:
            return 0.0 if not after else None
        return 100.0 * (after - before) / before


def compare(old: Profile, new: Profile) -> list[Change]:
    """Layers by name in the new profile's order, then those that are gone, then the total."""
    before, after = ({step.name: step for step in profile.steps} for profile in (old, new))
    names = [*after, *(name for name in before if name not in after)]
    changes = [Change(name, before.get(name), after.get(name)) for name in names]
    return [*changes, Change("total", old.total, new.total)]


def comparison_table(changes: Sequence[Change]) -> str:
    """Old and new modelled cycles, and the change of every quantity in percent, by layer."""
    header = ("layer", "old kernel", "new kernel", "old cycles", "new cycles", *(f"{q} %" for q in COMPARED))
    return "\n".join(_columns([header, *(_change_row(change) for change in changes)]))


def _change_row(change: Change) -> tuple[str, ...]:
    sides = (change.old, change.new)
    kernels = ("-" if step is None else step.kernel for step in sides)
    cycles = ("-" if step is None else f"{step.modelled_cycles:,}" for step in sides)
    percents = (change.percent(quantity) for quantity in COMPARED)
    return (change.name, *kernels, *cycles, *("-" if p is None else f"{p:+.1f}" for p in percents))


# ---- picture ----


def draw(profile: Profile, path: Path | str) -> None:
    """A PNG with one bar a layer: modelled cycles, and the stalls by memory at its end."""
    from matplotlib.figure import Figure

    steps = profile.steps[::-1]  # bars grow upwards
    figure = Figure(figsize=(9, 1.2 + 0.28 * len(steps)), layout="constrained")
    axes = figure.add_subplot()
    names = [f"{step.name} ({step.kernel})" if step.kernel else step.name for step in steps]
    left = [step.modelled_cycles for step in steps]
    places = range(len(steps))
    axes.barh(places, left, color="tab:blue", label="every access hits")
    axes.barh(places, [step.memory_cycles for step in steps], left=left, color="tab:orange", label="cache misses")
    axes.set_yticks(places, names, fontsize=8)
    axes.set_xlabel("modelled cycles")
    milliseconds = profile.milliseconds(profile.total)
    axes.set_title(f"{profile.model} on {profile.board}: {milliseconds:.2f} ms modelled", fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
