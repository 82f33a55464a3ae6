"""Compiled -> a folder with firmware.elf, firmware.bin, the generated C, the report and test vectors."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.boards import load_board
from mcugen.budget import Limits, check_estimate, check_measured, layer_sizes
from mcugen.elf import load_symbols
from mcugen.errors import CheckFailed, McugenError
from mcugen.firmware import render_app
from mcugen.interpret import interpret
from mcugen.ir import Array, Board, Graph
from mcugen.load import weights_beside
from mcugen.numerics.packing import to_bytes
from mcugen.pipeline import Compiled
from mcugen.quantise import InputGrid
from mcugen.report import make_report, text
from mcugen.resources import data_dir
from mcugen.toolchain import Image, compile_firmware

MANIFEST = "mcugen.json"
VECTORS = "vectors.npz"
BOARD = "board.toml"
_OPTIMISE = {"time": ("-O2",), "flash": ("-Os",), "ram": ("-O2",)}


@dataclass(frozen=True)
class Built:
    """A finished build folder and its report."""

    folder: Path
    image: Image
    report: dict[str, Any]


def build(
    compiled: Compiled, folder: Path, toolchain: str = "auto", limits: Limits | None = None, source: Path | None = None,
    grid: InputGrid | None = None,
) -> Built:  # fmt: skip
    """Compiles, measures, checks the budget and puts everything in `folder`, whole or not at all.

    Args:
        source: the model file, copied along so that `mcugen test` can compute references.
        grid: what the model was read with, kept for the same purpose.

    Raises:
        CheckFailed: over budget; its `report` attribute holds the report where the image was linked.
        McugenError: no compiler, or `folder` cannot be written or holds something else.
    """
    limits = limits or Limits()
    check_folder(folder)
    with _beside(folder) as temporary:
        work = Path(temporary) / "build"
        image = link(compiled, work, toolchain, limits)
        sizes = layer_sizes(compiled.calls, compiled.sources.steps, compiled.plan, load_symbols(image.elf))
        report = make_report(compiled, image, sizes, limits)
        try:
            check_measured(image.used, compiled.board, limits)
        except CheckFailed as error:
            error.report = report  # type: ignore[attr-defined]
            raise
        _write(compiled, work, report, source, grid or InputGrid())
        _replace(work, folder)
    image = Image(folder / image.elf.name, folder / image.binary.name, image.toolchain, image.board, image.used)
    return Built(folder, image, report)


def link(compiled: Compiled, folder: Path, toolchain: str = "auto", limits: Limits | None = None) -> Image:
    """firmware.elf and firmware.bin in `folder`; over-full memories, and estimates beyond the limits, raise CheckFailed."""
    check_estimate(compiled.calls, compiled.plan, compiled.board, limits or Limits())
    sources, plan = compiled.sources, compiled.plan
    banks = [(plan.bank_bytes(bank), bank) for bank in plan.banks]
    files = {**sources.files, "app.c": render_app(compiled.board, f"{sources.model}_model", banks, len(sources.steps))}
    try:
        return compile_firmware(files, compiled.board, folder, toolchain=toolchain, opt=_OPTIMISE[compiled.goal])
    except McugenError as error:
        over = re.findall(r"region [`'](\w+)'[^\n]*?overflowed by (\d+) bytes", error.fact)
        if over:
            much = ", ".join(f"{int(size):,} bytes too many in {region}" for region, size in dict(over).items())
            raise CheckFailed("budget", f"the image does not fit: {much}", "use fewer bits or channels") from error
        raise


def check_folder(folder: Path) -> None:
    """Refuses to overwrite anything but an earlier build."""
    if folder.is_file():
        raise McugenError(str(folder), "is a file", "name a folder with -o")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise McugenError(str(folder), "exists and is no earlier build", "name another folder with -o, or remove it")


def _beside(folder: Path) -> tempfile.TemporaryDirectory[str]:
    parent = folder.resolve().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=parent, prefix=".mcugen-")
    except OSError as error:
        raise McugenError(str(folder), f"cannot be written ({error.strerror})", "name another folder with -o") from error


def _replace(work: Path, folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(work, folder)
    except OSError as error:
        raise McugenError(str(folder), f"cannot be written ({error.strerror})", "name another folder with -o") from error


def _write(compiled: Compiled, work: Path, report: dict[str, Any], source: Path | None, grid: InputGrid) -> None:
    (work / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (work / "report.txt").write_text(text(report) + "\n", encoding="utf-8")
    (work / BOARD).write_text(compiled.board.text, encoding="utf-8")
    for name, content in compiled.sources.files.items():
        (work / name).write_text(content, encoding="utf-8")
    for header in (data_dir("firmware") / "hot.h", *sorted(data_dir("firmware").glob("mcu_*.h"))):
        shutil.copy(header, work / header.name)
    manifest = {"schema": 1, "model": compiled.graph.name, "board": compiled.board.name, "digest": compiled.sources.digest[:32],
                "toolchain": report["toolchain"],
                "binary_sha256": hashlib.sha256((work / "firmware.bin").read_bytes()).hexdigest()}
    if source is not None and source.is_file():
        shutil.copy(source, work / f"model{source.suffix}")
        if source.suffix == ".json":
            shutil.copy(weights_beside(source), work / "model.weights.h5")
        manifest["source"] = f"model{source.suffix}"
        manifest["grid"] = grid.json()
    np.savez_compressed(work / VECTORS, **test_vectors(compiled.graph))  # type: ignore[arg-type]
    (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def test_vectors(graph: Graph, count: int = 4) -> dict[str, Array]:
    """Random inputs and what the reference makes of them, uint8 (count, bytes) as the device takes and gives them.

    Keys are input0, input1, ... and output0, output1, ...
    """
    codes = random_codes(graph, count)
    found = interpret(graph, codes)
    arrays = {f"input{i}": to_bytes(x, graph[name].type) for i, (x, name) in enumerate(zip(codes, graph.inputs, strict=True))}
    return arrays | {f"output{i}": to_bytes(found[name], graph[name].type) for i, name in enumerate(graph.outputs)}


def random_codes(graph: Graph, count: int, seed: int = 0) -> list[Array]:
    """Input codes spread over each input's whole range."""
    rng = np.random.default_rng(seed)
    types = [graph[name].type for name in graph.inputs]
    codes: Sequence[Array] = [rng.integers(t.lo, t.hi, size=(count, *t.shape), endpoint=True) for t in types]
    return [np.where(x == 0, 1, x) if t.bipolar else x for x, t in zip(codes, types, strict=True)]


def read_manifest(folder: Path) -> dict[str, Any]:
    """mcugen.json of a build folder."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        return {**manifest, **{key: str(manifest[key]) for key in ("board", "digest", "toolchain")}}
    except OSError as error:
        fact = f"holds no {MANIFEST} ({error.strerror})"
        raise McugenError(str(folder), fact, "name a folder made by `mcugen build`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise McugenError(str(folder / MANIFEST), "is damaged", "build the model again") from error


def built_board(folder: Path) -> Board:
    """The board that a folder was built for, as its file was then."""
    kept = folder / BOARD
    return load_board(kept if kept.is_file() else read_manifest(folder)["board"])
