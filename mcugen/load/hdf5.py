"""Weights out of HDF5: `.h5` files by the order of `weight_names`, `.keras` archives by group numbers.

Nothing is read before its shape is known to be the expected one; links out of the file, virtual and external data sets
are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Float
from mcugen.load.shapes import Weight
from mcugen.load.topology import Entry, Model

Expected = dict[int, list[Weight]]  # by id() of the Entry
SAVE_AGAIN = "save the model again with tf_keras"


def follow(group: Any, path: str, layer: str) -> Any:
    """The object at `path` below `group`, through hard links only."""
    for part in path.split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) and part else None
        if link is None:
            raise McugenError(layer, f"the file has no weights at {path[-80:]!r}", SAVE_AGAIN)
        if not isinstance(link, h5py.HardLink):
            raise McugenError(layer, f"{path[-80:]!r} links to somewhere else", "save the model into one plain file")
        group = group[part]
    return group


def read(group: Any, path: str, weight: Weight, layer: str) -> Float:
    """One float32 array whose shape, type and storage are as expected and whose numbers are finite."""
    data = follow(group, path, layer)
    what = f"the weights {weight.name}"
    if not isinstance(data, h5py.Dataset) or data.shape != weight.shape:
        shape = getattr(data, "shape", None)
        raise McugenError(layer, f"{what} have the shape {shape}, not {weight.shape}", SAVE_AGAIN)
    if data.dtype.kind != "f" or data.dtype.itemsize != 4:
        raise McugenError(layer, f"{what} are of type {data.dtype}, not float32", "train and save in float32")
    too_large = data.chunks is not None and math.prod(data.chunks) > 4 * max(math.prod(weight.shape), 1024)
    if data.is_virtual or data.external or too_large or data.compression not in (None, "gzip"):
        raise McugenError(layer, f"{what} are stored in an unusual way", SAVE_AGAIN)
    values: Float = np.asarray(data[()], np.float32)
    if not np.isfinite(values).all():
        raise McugenError(layer, f"{what} contain NaN or infinity", "train the model again")
    if weight.name == "moving_variance" and (values < 0).any():
        raise McugenError(layer, "moving_variance contains negative numbers", "train the model again")
    return values


def attribute(group: Any, name: str, layer: str) -> list[str]:
    """A list of names kept as an attribute, which Keras splits into name0, name1, ... when it is long."""
    parts = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs and name not in group.attrs:
        parts.append(group.attrs[f"{name}{len(parts)}"])
    found = [item.decode() if isinstance(item, bytes) else item for part in parts for item in np.asarray(part).ravel()]
    if not all(isinstance(item, str) for item in found):
        raise McugenError(layer, f"the attribute {name} is unreadable", SAVE_AGAIN)
    return [str(item) for item in found]


def saved_order(entry: Entry, expected: Expected) -> tuple[list[tuple[Entry, Weight]], list[tuple[Entry, Weight]]]:
    """Trainable and other variables of a layer or model, as Keras lists them when it writes `.h5`."""
    if entry.model is None:
        every = [(entry, weight) for weight in expected[id(entry)]]
        own = [item for item in every if not item[1].part]
        inner = [item for item in every if item[1].part]
        if not entry.trainable:
            return [], own + inner
        every = own + inner
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


def read_h5(group: Any, model: Model, expected: Expected) -> None:
    """Fill the entries' weights from the group `model_weights` of an `.h5` file."""
    for entry in model.entries:
        trainable, other = saved_order(entry, expected)
        slots = trainable + other
        if not slots:
            continue
        folder = follow(group, entry.name, entry.name)
        names = attribute(folder, "weight_names", entry.name)
        if len(names) != len(slots):
            fact = f"the file has {len(names)} weight arrays, the layer needs {len(slots)}"
            raise McugenError(entry.name, fact, SAVE_AGAIN)
        for name, (leaf, weight) in zip(names, slots, strict=True):
            last = re.sub(r"(_\d+)?(:\d+)?$", "", name.split("/")[-1])
            if last != weight.name:
                fact = f"the file has the weights {name[-80:]!r} in the place of {weight.name}"
                raise McugenError(leaf.name, fact, SAVE_AGAIN)
            if weight.name != "iteration":
                leaf.weights[weight.name] = read(folder, name, weight, leaf.name)


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
        yield entry, f"layers/{name}" + (f"_{number}" if number else "")


def read_keras(group: Any, model: Model, expected: Expected) -> None:
    """Fill the entries' weights from model.weights.h5 of a `.keras` archive."""
    for entry, path in numbered(model):
        if entry.model is not None:
            if any(expected[id(leaf)] for leaf in entry.model.leaves()):
                read_keras(follow(group, path, entry.name), entry.model, expected)
            continue
        counts: dict[str, int] = {}
        for weight in expected[id(entry)]:
            number = counts.get(weight.part, 0)
            counts[weight.part] = number + 1
            place = f"{path}/{weight.part}/vars/{number}" if weight.part else f"{path}/vars/{number}"
            if weight.name != "iteration":
                entry.weights[weight.name] = read(group, place, weight, entry.name)
        for part, count in counts.items():
            variables = follow(group, f"{path}/{part}/vars" if part else f"{path}/vars", entry.name)
            if len(variables) != count:
                fact = f"the file has {len(variables)} weight arrays, the layer needs {count}"
                raise McugenError(entry.name, fact, SAVE_AGAIN)
