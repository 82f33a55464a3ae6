"""Weights out of HDF5: `.h5` files by the order of `weight_names`, `.keras` archives by group numbers.

libhdf5 hangs or crashes on some damaged files, so a process of its own (`hdf5_dump.py`), limited in time and memory, turns
a file into plain arrays first.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Float
from mcugen.load.shapes import Weight
from mcugen.load.topology import Entry, Model

CPU_SECONDS, WALL_SECONDS, MEMORY_BYTES = 3, 60, 1 << 30
BYTES_A_SECOND = 1 << 25
Expected = dict[int, list[Weight]]  # by id() of the Entry
SAVE_AGAIN = "save the model again with tf_keras"


@dataclass(frozen=True)
class Contents:
    """What an HDF5 file holds below one group: arrays, unreadable arrays with the reason, weight names of groups."""

    config: Any
    arrays: dict[str, Float]
    problems: dict[str, str]
    names: dict[str, list[str]]
    listed: bool


def contents(path: Path, group: str, node: str) -> Contents:
    """Read an HDF5 file; a damaged one is refused, however libhdf5 takes it.

    Args:
        path: the HDF5 file.
        group: the group that holds the weights; paths in the result start below it. "": as `hdf5_dump.py` finds it.
        node: the name of the model file, for messages.
    """
    script = Path(__file__).with_name("hdf5_dump.py")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "contents.npz"
        limits = [str(CPU_SECONDS + path.stat().st_size // BYTES_A_SECOND), str(MEMORY_BYTES)]
        command = [sys.executable, "-P", str(script), str(path), str(target), group, *limits]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=WALL_SECONDS)
            said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        except subprocess.TimeoutExpired:
            said = ["it takes too long"]
        if not target.is_file() or done.returncode != 0:
            raise McugenError(node, f"the file is damaged ({said[0][:200]})", "save the model again")
        return read_dump(target)


def read_dump(target: Path) -> Contents:
    """The .npz file that `hdf5_dump.py` writes."""
    with np.load(target, allow_pickle=False) as file:
        index = json.loads(file["index"].tobytes())
        arrays = {path: file[f"a{number}"] for path, number in index["arrays"].items()}
    return Contents(index["config"], arrays, index["problems"], index["names"], index["listed"])


def read(found: Contents, path: str, weight: Weight, layer: str) -> Float:
    """One float32 array whose shape is as expected and whose numbers are finite."""
    what = f"the weights {weight.name}"
    if path in found.problems:
        raise McugenError(layer, f"{what} {found.problems[path]}", "save the model again in float32 with tf_keras")
    values = found.arrays.get(path)
    if values is None:
        raise McugenError(layer, f"the file has no weights at {path[-80:]!r}", SAVE_AGAIN)
    if values.shape != weight.shape:
        raise McugenError(layer, f"{what} have the shape {values.shape}, not {weight.shape}", SAVE_AGAIN)
    if not np.isfinite(values).all():
        raise McugenError(layer, f"{what} contain NaN or infinity", "train the model again")
    if weight.name == "moving_variance" and (values < 0).any():
        raise McugenError(layer, "moving_variance contains negative numbers", "train the model again")
    return values


def saved_order(entry: Entry, expected: Expected) -> tuple[list[tuple[Entry, Weight]], list[tuple[Entry, Weight]]]:
    """Trainable and other variables of a layer or model, as Keras lists them when it writes `.h5`."""
    if entry.model is None:
        every = [(entry, weight) for weight in expected[id(entry)]]
        every = [item for item in every if not item[1].part] + [item for item in every if item[1].part]
        if not entry.trainable:
            return [], every
        return [item for item in every if item[1].trainable], [item for item in every if not item[1].trainable]
    trainable: list[tuple[Entry, Weight]] = []
    other: list[tuple[Entry, Weight]] = []
    for inside in entry.model.entries:
        first, second = saved_order(inside, expected)
        trainable += first
        other += second
    if entry.model.trainable:
        return trainable, other
    return [], trainable + other


def read_h5(found: Contents, model: Model, expected: Expected) -> None:
    """Fill the entries' weights from the contents of the group `model_weights` of an `.h5` file."""
    for entry in model.entries:
        trainable, other = saved_order(entry, expected)
        slots = trainable + other
        names = found.names.get(entry.name, [])
        if len(names) != len(slots):
            fact = f"the file has {len(names)} weight arrays, the layer needs {len(slots)}"
            raise McugenError(entry.name, fact, SAVE_AGAIN)
        for name, (leaf, weight) in zip(names, slots, strict=True):
            last = re.sub(r"(_\d+)?(:\d+)?$", "", name.split("/")[-1])
            if last != weight.name:
                fact = f"the file has the weights {name[-80:]!r} in the place of {weight.name}"
                raise McugenError(leaf.name, fact, SAVE_AGAIN)
            if weight.name != "iteration":
                leaf.weights[weight.name] = read(found, f"{entry.name}/{name}", weight, leaf.name)


def snake(class_name: str) -> str:
    """Keras's file name of a class: QConv2D becomes q_conv2d."""
    middle = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", class_name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", middle).lower()


def numbered(model: Model) -> Iterator[tuple[Entry, str]]:
    """Each layer with its group in a `.keras` archive: its class in snake case, numbered from the second on."""
    counts: dict[str, int] = {}
    for entry in model.entries:
        if model.class_name == "Sequential" and entry.class_name == "InputLayer":
            continue
        name = snake("Functional" if entry.class_name == "Model" else entry.class_name)
        number = counts.get(name, 0)
        counts[name] = number + 1
        yield entry, name + (f"_{number}" if number else "")


def read_keras(found: Contents, model: Model, expected: Expected, prefix: str = "") -> None:
    """Fill the entries' weights from the contents of the group `layers` of a `.keras` archive's model.weights.h5."""
    names = [name[len(prefix) :] for name in (*found.arrays, *found.problems) if name.startswith(prefix)]
    present = Counter(name.partition("/")[0] for name in names)
    for entry, group in numbered(model):
        path = f"{prefix}{group}"
        if entry.model is not None:
            read_keras(found, entry.model, expected, f"{path}/layers/")
            continue
        counts: dict[str, int] = {}
        for weight in expected[id(entry)]:
            number = counts.get(weight.part, 0)
            counts[weight.part] = number + 1
            place = f"{path}/{weight.part}/vars/{number}" if weight.part else f"{path}/vars/{number}"
            if weight.name != "iteration":
                entry.weights[weight.name] = read(found, place, weight, entry.name)
        needed = sum(counts.values())
        if needed != present[group]:
            fact = f"the file has {present[group]} weight arrays, the layer needs {needed}"
            raise McugenError(entry.name, fact, SAVE_AGAIN)
