"""Pictures of results: memory over time, error by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

from mcugen.errors import McugenError
from mcugen.plan import Plan
from mcugen.verify import Verification

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def save(figure: Any, path: Path) -> None:
    """Writes a figure; the error names the file."""
    try:
        figure.savefig(path, dpi=120, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise McugenError(str(path), f"cannot be written ({error})", "name another file, ending in .png") from error
    finally:
        plt.close(figure)


def draw_plan(found: Plan, names: list[str], path: Path) -> None:
    """One panel a bank: bytes upwards, calls to the right, a box a buffer, scratch in grey; names where they have room."""
    width, height = max(11.0, 0.3 * len(names)), 4.5
    figure, axes = plt.subplots(len(found.banks), 1, figsize=(width, height * len(found.banks)), squeeze=False)
    colours = plt.get_cmap("tab20")
    for axis, bank in zip(axes[:, 0], found.banks, strict=True):
        room = (0.75 * width / (len(names) + 2), 0.75 * height / found.bank_bytes(bank))
        for i, place in enumerate(p for p in found.places if p.bank == bank):
            first, last, size = place.buffer.first, place.buffer.last, place.buffer.bytes
            scratch = place.buffer.tensors[-1].endswith("/scratch")
            colour = "0.8" if scratch else colours(i % 20)
            axis.add_patch(plt.Rectangle((first, place.offset), last - first + 1, size, facecolor=colour, edgecolor="black"))
            turn = None if scratch else _turn(place.buffer.tensors[-1], (last - first + 1) * room[0], size * room[1])
            if turn is not None:
                middle = ((first + last + 1) / 2, place.offset + size / 2)
                axis.text(*middle, place.buffer.tensors[-1], ha="center", va="center", fontsize=7, rotation=turn)
        axis.set_xlim(-1, len(names) + 1)
        axis.set_ylim(0, found.bank_bytes(bank) * 1.05)
        axis.set_xticks([i + 0.5 for i in range(len(names))], names, rotation=70, fontsize=7, ha="right")
        axis.set_ylabel("bytes")
        axis.set_title(f"{bank}: {found.bank_bytes(bank):,} bytes (no plan needs less than {found.lower_bound:,} in all)")
    save(figure, path)


def _turn(text: str, width: float, height: float) -> int | None:
    """Degrees by which a text of 7 points fits a box of so many inches; None where it does not."""
    length, line = 0.055 * len(text), 0.12
    if length <= width and line <= height:
        return 0
    return 90 if length <= height and line <= width else None


def draw_errors(result: Verification, path: Path) -> None:
    """Differing values by layer, against the reference and against QKeras."""
    names = [row.layer for row in result.against_reference]
    figure, axis = plt.subplots(figsize=(11, 4.5))
    golden = {row.layer: row for row in result.against_qkeras or ()}
    mine = [100 * row.differing / row.values for row in result.against_reference]
    theirs = [100 * golden[n].differing / golden[n].values if n in golden else 0.0 for n in names]
    places = range(len(names))
    axis.bar([p - 0.2 for p in places], mine, 0.4, label=f"{result.engine} against reference")
    axis.bar([p + 0.2 for p in places], theirs, 0.4, label="reference against QKeras")
    axis.set_xticks(list(places), names, rotation=70, fontsize=7, ha="right")
    axis.set_ylabel("differing values, %")
    axis.set_ylim(0, max([*mine, *theirs, 1.0]) * 1.1)
    axis.set_title(f"{result.images} samples: " + ("every promised value equal" if result.passed else "FAILED"))
    axis.legend()
    save(figure, path)
