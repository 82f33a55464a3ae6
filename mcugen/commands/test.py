"""mcugen test."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import numpy as np

from mcugen.boards import load_board
from mcugen.build import MANIFEST, VECTORS
from mcugen.cli import save_json
from mcugen.commands.common import progress
from mcugen.engines import ENGINES, open_engine
from mcugen.errors import CheckFailed, McugenError
from mcugen.inputs import read_inputs, write_text
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Array, TensorType
from mcugen.numerics.packing import to_bytes
from mcugen.pipeline import integer_graph
from mcugen.protocol.client import Device
from mcugen.quantise import InputGrid
from mcugen.running import open_port
from mcugen.toolchain import Image


@dataclass(frozen=True)
class Work:
    """What every device is asked, and what it must answer."""

    folder: Path
    manifest: dict[str, Any]
    encoded: list[list[bytes]]
    expected: list[list[bytes]]


def test_device(
    folder: Path, inputs: tuple[Path, ...], port: tuple[str, ...], grid: InputGrid,
    json_path: Path | None, junit: Path | None,
) -> int:  # fmt: skip
    manifest = read_manifest(folder)
    work = Work(folder, manifest, *_vectors(folder, manifest, inputs, grid))
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
    board, digest = load_board(work.manifest["board"]), bytes.fromhex(work.manifest["digest"])
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


def _vectors(
    folder: Path, manifest: dict[str, Any], inputs: tuple[Path, ...], grid: InputGrid
) -> tuple[list[list[bytes]], list[list[bytes]]]:
    """Bytes of every sample's inputs, and of its outputs as the reference computes them."""
    if "source" not in manifest:
        if inputs:
            raise McugenError(str(folder), "does not hold the model file", "test without INPUTS, or build from an .h5 file")
        return _stored(folder)
    graph = integer_graph(folder / manifest["source"], grid)
    if inputs:
        codes = encode_inputs(graph, read_inputs(inputs, grid))
    else:
        with np.load(folder / VECTORS, allow_pickle=False) as stored:
            codes = [stored[f"input{i}"] for i in range(len(graph.inputs))]
    found = interpret(graph, codes)
    types = [graph[name].type for name in graph.inputs]
    sent = list(zip(codes, types, strict=True))
    wanted = [(found[name], graph[name].type) for name in graph.outputs]
    return _by_sample(sent), _by_sample(wanted)


def _by_sample(tensors: list[tuple[Array, TensorType]]) -> list[list[bytes]]:
    count = tensors[0][0].shape[0]
    return [[to_bytes(x[i : i + 1], kind).tobytes() for x, kind in tensors] for i in range(count)]


def _stored(folder: Path) -> tuple[list[list[bytes]], list[list[bytes]]]:
    raise McugenError(str(folder), "was built from a SavedModel, whose file is not kept", "build it from an .h5 or .keras file")


def compare(
    device: Device, encoded: list[list[bytes]], expected: list[list[bytes]], quiet: bool = False
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

