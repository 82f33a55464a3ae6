"""mcugen test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from mcugen.boards import load_board
from mcugen.build import MANIFEST, VECTORS
from mcugen.cli import save_json
from mcugen.commands.common import make_grid, progress
from mcugen.engines import ENGINES, open_engine
from mcugen.engines.host import to_bytes
from mcugen.errors import CheckFailed, McugenError
from mcugen.inputs import read_inputs
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Array, TensorType
from mcugen.pipeline import integer_graph
from mcugen.protocol import Device
from mcugen.running import open_port
from mcugen.toolchain import Image


def test_device(
    folder: Path, inputs: tuple[Path, ...], port: str, input_scale: float, input_offset: int, json_path: Path | None
) -> int:
    manifest = read_manifest(folder)
    encoded, expected = _vectors(folder, manifest, inputs, input_scale, input_offset)
    board, digest = load_board(manifest["board"]), bytes.fromhex(manifest["digest"])
    if port == "auto":
        from mcugen.flashing.probes import find_port

        port = find_port()
    if port in ENGINES:
        image = Image(folder / "firmware.elf", folder / "firmware.bin", manifest["toolchain"], board, {})
        device = open_engine(port, image, digest=digest, timeout=600.0)
    else:
        device = open_port(port, board, digest)
    with device:
        hello = device.hello()
        result = compare(device, encoded, expected)
    result |= {"port": port, "model": hello.model, "board": hello.board, "digest": manifest["digest"]}
    save_json(json_path, result)
    click.echo(f"{hello.model} on {hello.board} at {port}: {result['equal']:,} of {result['values']:,} output bytes equal")
    click.echo(f"{result['samples']} samples, {result['cycles']:,} {device.counter} each, stack {result['stack_bytes']:,} bytes")
    if result["first_difference"] is not None:
        raise CheckFailed(port, f"output differs: {result['first_difference']}", "run `mcugen verify` to find the layer")
    click.echo("passed")
    return 0


def read_manifest(folder: Path) -> dict[str, Any]:
    """mcugen.json of a build folder."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        return {**manifest, **{key: str(manifest[key]) for key in ("board", "digest", "toolchain")}}
    except OSError as error:
        fact = f"holds no {MANIFEST} ({error.strerror})"
        raise McugenError(str(folder), fact, "name a folder made by `mcugen build`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise McugenError(str(folder / MANIFEST), "is damaged", "build the model again") from error


def _vectors(
    folder: Path, manifest: dict[str, Any], inputs: tuple[Path, ...], scale: float, offset: int
) -> tuple[list[list[bytes]], list[list[bytes]]]:
    """Bytes of every sample's inputs, and of its outputs as the reference computes them."""
    if "source" not in manifest:
        if inputs:
            raise McugenError(str(folder), "does not hold the model file", "test without INPUTS, or build from an .h5 file")
        return _stored(folder)
    grid = make_grid(scale, offset)
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


def compare(device: Device, encoded: list[list[bytes]], expected: list[list[bytes]]) -> dict[str, Any]:
    """Counts of equal output bytes; the first difference by sample, output and byte."""
    values = equal = cycles = stack = 0
    first: str | None = None
    for i, (data, want) in enumerate(zip(encoded, expected, strict=True)):
        answer = device.infer(data)
        cycles, stack = answer.cycles, max(stack, answer.stack_bytes)
        for k, (got, wanted) in enumerate(zip(answer.outputs, want, strict=True)):
            same = np.frombuffer(got, np.uint8) == np.frombuffer(wanted, np.uint8)
            values, equal = values + same.size, equal + int(same.sum())
            if first is None and not same.all():
                at = int(np.flatnonzero(~same)[0])
                first = f"sample {i}, output {k}, byte {at}: expected {wanted[at]}, got {got[at]}"
        progress(i + 1, len(encoded))
    return {"samples": len(encoded), "values": values, "equal": equal, "first_difference": first, "cycles": cycles,
            "stack_bytes": stack, "passed": first is None}  # fmt: skip

