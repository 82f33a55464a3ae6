"""mcugen test."""

from __future__ import annotations

import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import numpy as np

from mcugen.build import MANIFEST, VECTORS, built_board, read_manifest
from mcugen.cli import save_json
from mcugen.codegen.emit import graph_digest
from mcugen.commands.common import make_grid, progress
from mcugen.engines import ENGINES, open_engine
from mcugen.errors import CheckFailed, McugenError
from mcugen.inputs import read_inputs, write_text
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Array
from mcugen.numerics.packing import to_bytes
from mcugen.pipeline import integer_graph
from mcugen.protocol.client import Device
from mcugen.quantise import InputGrid
from mcugen.running import open_port
from mcugen.toolchain import Image

Samples = list[list[bytes]]  # each sample's tensors


@dataclass(frozen=True)
class Work:
    """What every device is asked, and what it must answer."""

    folder: Path
    manifest: dict[str, Any]
    encoded: Samples
    expected: Samples


def test_device(
    folder: Path, inputs: tuple[Path, ...], port: tuple[str, ...], input_scale: float | None, input_offset: int | None,
    json_path: Path | None, junit: Path | None,
) -> int:  # fmt: skip
    manifest = read_manifest(folder)
    asked = _asked(folder, manifest, inputs, input_scale, input_offset) if inputs else _stored(folder)
    work = Work(folder, manifest, *asked)
    ports = _resolve(port)
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=len(ports)) as pool:
        outcomes = list(pool.map(lambda name: _outcome(work, name, quiet=len(ports) > 1), ports))
    results = [result for result, _ in outcomes]
    passed = all(result["passed"] for result in results)
    save_json(json_path, results[0] if len(results) == 1 else {"passed": passed, "devices": results})
    if junit is not None:
        write_text(junit, junit_report(results, time.monotonic() - started))
    for result in results:
        _tell(result, len(results) > 1)
    errors = [error for _, error in outcomes if error is not None]
    if len(ports) == 1 and errors:
        raise errors[0]
    click.echo("passed" if passed else f"FAILED: {sum(not result['passed'] for result in results)} of {len(results)} devices")
    return max((error.exit_code for error in errors), default=0)


def _resolve(names: tuple[str, ...]) -> list[str]:
    """`auto` becomes the only board's port; no real port twice."""
    from mcugen.flashing.probes import find_port

    ports = [find_port() if name == "auto" else name for name in names]
    twice = {name for name in ports if ports.count(name) > 1 and name not in ENGINES}
    if twice:
        raise McugenError("--port", f"{', '.join(sorted(twice))} is named twice", "name every board once")
    return ports


def _outcome(work: Work, port: str, quiet: bool) -> tuple[dict[str, Any], McugenError | None]:
    """The result of one device; errors become results, so that one device's do not hide another's."""
    started = time.monotonic()
    about: dict[str, Any] = {"port": port, "digest": work.manifest["digest"]}
    try:
        with _open(work, port) as device:
            hello = device.hello()
            about |= {"model": hello.model, "board": hello.board, "counter": device.counter}
            about["stack_reserved_bytes"] = hello.stack_bytes
            about |= compare(device, work.encoded, work.expected, quiet)
        if about["first_difference"] is not None:
            raise CheckFailed(port, f"output differs: {about['first_difference']}", "run `mcugen verify` to find the layer")
    except McugenError as error:
        return {**about, "passed": False, "error": str(error), "seconds": round(time.monotonic() - started, 3)}, error
    return {**about, "seconds": round(time.monotonic() - started, 3)}, None


def _open(work: Work, port: str) -> Device:
    board, digest = built_board(work.folder), bytes.fromhex(work.manifest["digest"])
    if port not in ENGINES:
        return open_port(port, board, digest)
    image = Image(work.folder / "firmware.elf", work.folder / "firmware.bin", work.manifest["toolchain"], board, {})
    return open_engine(port, image, digest=digest, timeout=600.0)


def _tell(result: dict[str, Any], several: bool) -> None:
    if "equal" in result:
        place = f"{result['model']} on {result['board']} at {result['port']}"
        click.echo(f"{place}: {result['equal']:,} of {result['values']:,} output bytes equal")
        used, reserved = result["stack_bytes"], result["stack_reserved_bytes"]
        stack = f"stack {used:,} of {reserved:,} bytes, {reserved - used:,} to spare"
        click.echo(f"{result['samples']} samples, {result['cycles']:,} {result['counter']} each, {stack}")
    if several and "error" in result:
        click.echo(f"error: {result['error']}", err=True)


def junit_report(results: list[dict[str, Any]], seconds: float) -> str:
    """JUnit XML: one test case a device; a mismatch is a failure, anything else that went wrong an error."""
    suite = ElementTree.Element("testsuite", name="mcugen test", tests=str(len(results)), time=f"{seconds:.3f}")
    for result in results:
        name = f"{result.get('model', 'device')} at {result['port']}"
        case = ElementTree.SubElement(suite, "testcase", classname="mcugen.test", name=name, time=str(result["seconds"]))
        if "error" in result:
            kind = "failure" if result.get("first_difference") else "error"
            ElementTree.SubElement(case, kind, message=_printable(result["error"]))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _printable(text: str) -> str:
    """XML takes no control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _stored(folder: Path) -> tuple[Samples, Samples]:
    """Bytes of the inputs that were stored with the build, and of the reference's outputs."""
    try:
        with np.load(folder / VECTORS, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        found = [[arrays[key] for key in sorted(arrays) if key.startswith(kind)] for kind in ("input", "output")]
        if any(x.dtype != np.uint8 or x.ndim != 2 for x in arrays.values()) or len({len(x) for x in arrays.values()}) != 1:
            raise ValueError("arrays of other shapes")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise McugenError(str(folder / VECTORS), "is missing or damaged", "build the model again") from error
    inputs, outputs = (_by_sample(each) for each in found)
    return inputs, outputs


def _asked(
    folder: Path, manifest: dict[str, Any], inputs: tuple[Path, ...], scale: float | None, offset: int | None
) -> tuple[Samples, Samples]:
    """Bytes of the user's inputs, and of the outputs that the reference computes for them; scale, offset: None as built."""
    if "source" not in manifest:
        raise McugenError(str(folder), "was built from a SavedModel, whose file is not kept", "test without INPUTS")
    try:
        grid = InputGrid.from_json(manifest["grid"])
    except (KeyError, TypeError, ValueError) as error:
        raise McugenError(str(folder / MANIFEST), "is damaged", "build the model again") from error
    graph = integer_graph(folder / manifest["source"], grid)
    if not graph_digest(graph).startswith(manifest["digest"]):
        raise McugenError(str(folder), "was built by another version of mcugen, or changed since", "build the model again")
    pixels = make_grid(grid.scale if scale is None else scale, grid.offset if offset is None else offset)
    codes = encode_inputs(graph, read_inputs(inputs, pixels))
    found = interpret(graph, codes)
    sent = [to_bytes(x, graph[name].type) for x, name in zip(codes, graph.inputs, strict=True)]
    return _by_sample(sent), _by_sample([to_bytes(found[name], graph[name].type) for name in graph.outputs])


def _by_sample(tensors: list[Array]) -> Samples:
    return [[x[i].tobytes() for x in tensors] for i in range(len(tensors[0]))]


def compare(
    device: Device, encoded: Samples, expected: Samples, quiet: bool = False
) -> dict[str, Any]:
    """Counts of equal output bytes; the first difference by sample, output and byte."""
    values = equal = cycles = stack = 0
    first: str | None = None
    started = time.monotonic()
    for i, (data, want) in enumerate(zip(encoded, expected, strict=True)):
        answer = device.infer(data)
        cycles, stack = answer.cycles, max(stack, answer.stack_bytes)
        for k, (got, wanted) in enumerate(zip(answer.outputs, want, strict=True)):
            same = np.frombuffer(got, np.uint8) == np.frombuffer(wanted, np.uint8)
            values, equal = values + same.size, equal + int(same.sum())
            if first is None and not same.all():
                at = int(np.flatnonzero(~same)[0])
                first = f"sample {i}, output {k}, byte {at}: expected {wanted[at]}, got {got[at]}"
        if not quiet:
            progress(i + 1, len(encoded), time.monotonic() - started)
    return {"samples": len(encoded), "values": values, "equal": equal, "first_difference": first, "cycles": cycles,
            "stack_bytes": stack, "passed": first is None}  # fmt: skip

