"""From the nested config of a file to a flat list of layer calls: Sequential, Functional and models inside models."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcugen.errors import McugenError
from mcugen.load.classes import CLASSES, MODELS, REFUSED, checked_config

MAX_LAYERS = 5000
MAX_DEPTH = 8
LAYER_KEYS = {
    "module", "class_name", "config", "registered_name", "build_config", "name", "inbound_nodes",
    "shared_object_id",
}  # fmt: skip
MODEL_KEYS = {"name", "trainable", "layers", "input_layers", "output_layers", "build_input_shape", "dtype"}
SAVE_AGAIN = "save the model again with tf_keras"

Reference = tuple[str, int, int]  # a layer's name, which of its calls, which output of a model


@dataclass
class Entry:
    """One layer, or a model inside the model, with the inputs of each of its calls."""

    name: str
    class_name: str
    config: Mapping[str, Any]
    trainable: bool
    calls: list[list[Reference]]
    model: Model | None = None
    first_call: int = 0
    weights: dict[str, Any] = field(default_factory=dict)


@dataclass
class Model:
    name: str
    class_name: str
    trainable: bool
    entries: list[Entry]
    inputs: list[str]
    outputs: list[Reference]

    def leaves(self) -> Iterator[Entry]:
        for entry in self.entries:
            if entry.model is None:
                yield entry
            else:
                yield from entry.model.leaves()


@dataclass(frozen=True)
class Call:
    """One call of a layer: its name in the network, its entry, the names of its inputs."""

    name: str
    entry: Entry
    inputs: tuple[str, ...]


def refuse(layer: str, fact: str, remedy: str = SAVE_AGAIN) -> McugenError:
    return McugenError(layer[:80], fact[:300], remedy)


def read_model(class_name: Any, config: Any, depth: int = 0) -> Model:
    """The model of a Functional or Sequential config, all layers validated."""
    if isinstance(config, list):  # Keras before 2.2.3
        config = {"name": "model", "layers": config}
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        raise refuse("model", f"{str(class_name)[:40]!r} is no Sequential or Functional model", "use one of these")
    name = config.get("name", "model")
    if not isinstance(name, str) or depth > MAX_DEPTH:
        raise refuse("model", "the model has no readable name or is nested too deeply", "flatten the model")
    unknown = sorted(set(map(str, config)) - MODEL_KEYS)
    if unknown:
        raise refuse(name, f"the model has the unknown setting {unknown[0][:40]!r}")
    if not 0 < len(config["layers"]) <= MAX_LAYERS:
        raise refuse(name, f"the model has {len(config['layers'])} layers", f"use 1 to {MAX_LAYERS}")
    read = sequential if class_name == "Sequential" else functional
    model = read(name, config, depth)
    names = [entry.name for entry in model.entries]
    if len(set(names)) != len(names):
        raise refuse(name, "two layers have the same name", "give each layer its own name")
    return model


def read_entry(item: Any, depth: int) -> Entry:
    """One element of a config's layer list, without its calls."""
    if not isinstance(item, dict) or not isinstance(item.get("class_name"), str):
        raise refuse("model", "the list of layers holds something that is no layer")
    config = item.get("config")
    inner = config.get("name") if isinstance(config, dict) else None
    name = item.get("name", inner)
    class_name = item["class_name"].split(">")[-1]
    if not isinstance(name, str) or not name or len(name) > 200:
        raise refuse("model", f"a layer of class {class_name[:40]} has no usable name", "name it")
    unknown = sorted(set(map(str, item)) - LAYER_KEYS)
    if unknown:
        raise refuse(name, f"the layer has the unknown key {unknown[0][:40]!r}")
    trainable = config.get("trainable", True) is not False if isinstance(config, dict) else True
    if class_name in MODELS:
        model = read_model(class_name, config, depth + 1)
        offset = int(model.entries[0].class_name == "InputLayer")
        return Entry(name, class_name, {}, trainable, [], model, offset)
    if class_name in REFUSED:
        fact, remedy = REFUSED[class_name]
        raise refuse(name, f"{class_name} {fact}", remedy)
    if class_name not in CLASSES:
        raise refuse(name, f"the layer class {class_name[:60]!r} is not supported", "use the layers listed in docs")
    done = checked_config(class_name, config, name)
    if class_name == "InputLayer":
        done = {"shape": fixed_shape(done["batch_input_shape"], name)}
    return Entry(name, class_name, done, trainable, [])


def fixed_shape(shape: Any, layer: str) -> tuple[int, ...]:
    """An input's shape without the batch axis."""
    sizes = shape[1:] if isinstance(shape, list) else None
    if not sizes or len(sizes) > 4 or not all(isinstance(n, int) and 0 < n <= 1 << 16 for n in sizes):
        raise refuse(layer, f"the input has the shape {str(shape)[:60]}", "give the Input a fixed shape of 1 to 4 axes")
    return tuple(sizes)


def sequential(name: str, config: Mapping[str, Any], depth: int) -> Model:
    """A chain of layers; where the file leaves out the InputLayer, it is made from the first layer's shape."""
    entries = [read_entry(item, depth) for item in config["layers"]]
    if entries[0].class_name != "InputLayer":
        first = config["layers"][0]
        shape = first["config"].get("batch_input_shape", config.get("build_input_shape"))
        made = {"shape": fixed_shape(shape, entries[0].name)}
        entries.insert(0, Entry(f"{entries[0].name}_input", "InputLayer", made, True, []))
    for before, entry in itertools.pairwise(entries):
        if entry.class_name == "InputLayer":
            raise refuse(entry.name, "an InputLayer stands inside a Sequential model", "keep only the first")
        entry.calls = [[(before.name, before.first_call, 0)]]
    entries[0].calls = [[]]
    last = entries[-1]
    trainable = config.get("trainable", True) is not False
    return Model(name, "Sequential", trainable, entries, [entries[0].name], [(last.name, last.first_call, 0)])


def functional(name: str, config: Mapping[str, Any], depth: int) -> Model:
    """A graph of layers with `inbound_nodes` in the format of Keras 2."""
    entries = []
    for item in config["layers"]:
        entry = read_entry(item, depth)
        nodes = item.get("inbound_nodes")
        if not isinstance(nodes, list):
            raise refuse(entry.name, "the layer has no list of inbound nodes")
        entry.calls = [[]] if entry.class_name == "InputLayer" else [node_inputs(node, entry.name) for node in nodes]
        entries.append(entry)
    inputs = [reference[0] for reference in ends(config.get("input_layers"), name)]
    trainable = config.get("trainable", True) is not False
    return Model(name, "Functional", trainable, entries, inputs, ends(config.get("output_layers"), name))


def node_inputs(node: Any, layer: str) -> list[Reference]:
    """The inputs of one call; call arguments other than the tensors must not change inference."""
    if isinstance(node, dict):
        raise refuse(layer, "the model was saved by Keras 3, which QKeras 0.9.0 does not support")
    if isinstance(node, list) and len(node) in (3, 4) and isinstance(node[0], str):
        node = [node]
    if not isinstance(node, list) or not node:
        raise refuse(layer, "an inbound node is unreadable")
    found = []
    for item in node:
        found.append(reference(item, layer))
        extras = item[3] if len(item) == 4 else {}
        if not isinstance(extras, dict) or any(key != "training" or extras[key] for key in extras):
            fact = f"the layer is called with extra arguments {str(extras)[:60]}"
            raise refuse(layer, fact, "call it with its input only")
    return found


def reference(item: Any, layer: str) -> Reference:
    if isinstance(item, list) and len(item) in (3, 4):
        name, call, tensor = item[:3]
        plain = isinstance(name, str) and isinstance(call, int) and isinstance(tensor, int)
        if plain and 0 <= call < MAX_LAYERS and 0 <= tensor < MAX_LAYERS:
            return name, call, tensor
    raise refuse(layer, "a reference to another layer is unreadable")


def ends(items: Any, model: str) -> list[Reference]:
    """input_layers or output_layers: a list of references, or one, or several by name, which Keras takes in the names' order."""
    if isinstance(items, dict):
        items = [items[name] for name in sorted(items)]
    if isinstance(items, list) and len(items) == 3 and isinstance(items[0], str):
        items = [items]
    if not isinstance(items, list) or not items:
        raise refuse(model, "the model does not list its inputs and outputs")
    return [reference(item, model) for item in items]


def flatten(model: Model) -> tuple[list[Call], list[str]]:
    """All calls in topological order, models inside models expanded as `model/layer`, and the names of the outputs.

    A layer's second call gets the name `layer@1`, its third `layer@2`; so do models called more than once.
    """
    calls: list[Call] = []
    outputs = expand(model, None, "", calls)
    needed = set(outputs)
    for call in reversed(calls):
        if call.name in needed:
            needed.update(call.inputs)
    return [call for call in calls if call.name in needed or call.entry.class_name == "InputLayer"], outputs


def expand(model: Model, feeds: list[str] | None, prefix: str, calls: list[Call]) -> list[str]:
    """Append the calls of one use of a model; `feeds` are the tensors for its inputs, None for the outermost model."""
    tensors: dict[Reference, str] = {}
    if feeds is not None:
        if len(feeds) != len(model.inputs):
            raise refuse(model.name, f"the model has {len(model.inputs)} inputs and is called with {len(feeds)}")
        tensors = {(name, 0, 0): feed for name, feed in zip(model.inputs, feeds, strict=True)}
    for entry, number in ordered(model):
        call = number + entry.first_call
        if (entry.name, call, 0) in tensors:
            continue
        name = f"{prefix}{entry.name}" + (f"@{number}" if number else "")
        missing = [source[0] for source in entry.calls[number] if source not in tensors]
        if missing:
            raise refuse(name, f"{missing[0][:80]!r} does not have the output that the layer uses")
        inputs = [tensors[source] for source in entry.calls[number]]
        if entry.model is not None:
            made = expand(entry.model, inputs, f"{name}/", calls)
            tensors.update({(entry.name, call, index): output for index, output in enumerate(made)})
        elif entry.class_name == "InputLayer" and feeds is not None:
            raise refuse(name, "an InputLayer inside a model is not among the model's inputs")
        else:
            calls.append(Call(name, entry, tuple(inputs)))
            tensors[entry.name, call, 0] = name
        if len(calls) > MAX_LAYERS:
            raise refuse(model.name, f"the model has more than {MAX_LAYERS} layers", "make it smaller")
    if any(output not in tensors for output in model.outputs):
        raise refuse(model.name, "the model's outputs are unknown layers")
    return [tensors[output] for output in model.outputs]


def ordered(model: Model) -> list[tuple[Entry, int]]:
    """Calls of a model so that each follows its inputs, else in the file's order; refuses cycles and unknown names."""
    waiting = [(entry, number) for entry in model.entries for number in range(len(entry.calls))]
    if len(waiting) > MAX_LAYERS:
        raise refuse(model.name, f"the model has more than {MAX_LAYERS} calls", "make it smaller")
    users: dict[tuple[str, int], list[int]] = {}
    open_inputs = []
    for index, (entry, number) in enumerate(waiting):
        open_inputs.append(len(entry.calls[number]))
        for source in entry.calls[number]:
            users.setdefault(source[:2], []).append(index)
    ready = [index for index, count in enumerate(open_inputs) if count == 0]
    done: list[tuple[Entry, int]] = []
    while ready:
        entry, number = waiting[heapq.heappop(ready)]
        done.append((entry, number))
        for index in users.get((entry.name, number + entry.first_call), []):
            open_inputs[index] -= 1
            if open_inputs[index] == 0:
                heapq.heappush(ready, index)
    if len(done) != len(waiting):
        stuck = next(entry.name for (entry, _), count in zip(waiting, open_inputs, strict=True) if count)
        raise refuse(stuck, "the layer's inputs are unknown or form a circle")
    return done
