"""What a device itself counted by step, beside the model: for whoever has a board and calibrates the cycle model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcugen.profile.report import Profile, StepProfile
from mcugen.protocol.client import Device
from mcugen.report import table as text_table

WARM_UP = 1


@dataclass(frozen=True)
class OnDevice:
    """Counts of one inference by step name, and of the whole; `counter`: what was counted, such as "cycles"."""

    where: str
    counter: str
    steps: dict[str, int]
    total: int

    @property
    def key(self) -> str:
        """measured_cycles on a board; a simulator that counts instructions gives measured_instructions."""
        return f"measured_{self.counter.replace(' ', '_')}"


def measure(device: Device, where: str, inputs: Sequence[bytes]) -> OnDevice:
    """Runs once to warm the caches, then reads the counts of the next inference."""
    for _ in range(WARM_UP):
        device.infer(inputs)
    result, records = device.trace(inputs)
    return OnDevice(where, device.counter, {record.name: record.cycles for record in records}, result.cycles)


def add_to_json(data: dict[str, Any], found: OnDevice) -> dict[str, Any]:
    """A profile's JSON with the counts of every layer and the total under `found.key`."""
    layers = [{**entry, found.key: found.steps.get(entry["name"])} for entry in data["layers"]]
    about = {"where": found.where, "counter": found.counter}
    return {**data, "measured": about, "total": {**data["total"], found.key: found.total}, "layers": layers}


def table(profile: Profile, found: OnDevice) -> str:
    """By layer: instructions and modelled cycles (memory included), the device's counts, and how they compare."""
    against = "instructions" if found.counter == "instructions" else "modelled cycles"
    header = ("layer", "kernel", "instructions", "modelled cycles", f"measured {found.counter}", f"measured/{against}")
    rows = [_row(step, found.steps.get(step.name), against) for step in profile.steps]
    rows.append(_row(profile.total, found.total, against))
    note = "" if found.counter == "cycles" else f"; this engine counts {found.counter}: no cycles were measured"
    return f"read from {found.where}{note}\n{text_table(header, rows)}"


def _row(step: StepProfile, count: int | None, against: str) -> tuple[str, ...]:
    modelled = step.modelled_cycles_with_memory
    base = step.instructions if against == "instructions" else modelled
    measured = "-" if count is None else f"{count:,}"
    ratio = "-" if count is None or not base else f"{count / base:.3f}"
    return (step.name, step.kernel, f"{step.instructions:,}", f"{modelled:,}", measured, ratio)
