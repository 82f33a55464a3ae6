"""Reading trained models without TensorFlow: `.h5`, `.keras` and `.json` files to a `Network`; no code of a file is executed.

Config and weights are checked against white lists (`classes`), shapes and limits before anything is built. A SavedModel
directory is the exception: TensorFlow has to convert it in a process of its own, which executes the code it holds.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from mcugen.errors import McugenError
from mcugen.ir import Layer, Network
from mcugen.load import hdf5
from mcugen.load.shapes import Shape, output_shape, weights_of
from mcugen.load.topology import Call, Model, flatten, read_model

__all__ = ["load", "output_shapes", "weights_beside"]

MAX_FILE_BYTES = 1 << 29
MAX_CONFIG_BYTES = 1 << 24
MAX_WEIGHTS = 1 << 26
MAX_JSON_DEPTH = 40
MODULES = [
    "keras", "tf_keras", "qkeras", "keras.layers", "keras.initializers", "keras.regularizers", "keras.constraints",
    "keras.activations", "keras.models", "tf_keras.src.engine.functional", "tf_keras.src.engine.sequential",
    "keras.src.engine.functional", "keras.src.engine.sequential",  # Keras 2.13 to 2.15
    "qkeras.quantizers", "qkeras.qlayers", "qkeras.qconvolutional", "qkeras.qnormalization", "qkeras.qpooling",
    "qkeras.qrecurrent", "qkeras.qconv2d_batchnorm", "qkeras.qdepthwiseconv2d_batchnorm",
]  # fmt: skip
EXECUTABLE = ("Lambda", "__lambda__", "function", "__typespec__", "__tensor__")
TOP_KEYS = {
    "class_name", "config", "module", "registered_name", "build_config", "compile_config", "keras_version",
    "backend",
}  # fmt: skip


def load(path: str | Path) -> Network:
    """The network of a trained model file.

    Args:
        path: an `.h5` file, a `.keras` archive, a `.json` file with its weights beside it (`weights_beside`), all by
            tf_keras, or a SavedModel directory.

    Returns:
        Layers in topological order with validated configs (tuples for shapes; `Quantizer` objects for quantizers, None
        for absent ones; `activation` is a `Quantizer`, the name of a Keras activation or None) and float32 weights by
        plain name. An InputLayer's config has "shape", without the batch axis.

    Raises:
        McugenError: anything that is unreadable, unknown, dangerous or not computable; nothing else.
    """
    path = Path(path)
    if path.is_dir():
        from mcugen.load.savedmodel import converted

        with converted(path) as (file, digest):
            return load_file(file, digest)
    return load_file(path, "")


def load_file(path: Path, digest: str) -> Network:
    """The network of one `.h5`, `.keras` or `.json` file, recognised by its content."""
    node = path.name
    try:
        size = path.stat().st_size if path.is_file() else -1
        start = path.open("rb").read(8) if size >= 0 else b""
    except OSError as error:
        raise McugenError(node, f"the file cannot be opened ({error.strerror})", "check the path") from None
    if size < 0:
        fact = "is a pipe or a device" if path.exists() else "there is no such file"
        raise McugenError(node, fact, "check the path")
    if size > MAX_FILE_BYTES:
        raise McugenError(node, f"the file has {size} bytes", f"use a model below {MAX_FILE_BYTES} bytes")
    if start.startswith(b"PK"):
        opened = open_keras
    elif start == b"\x89HDF\r\n\x1a\n":
        opened = open_h5
    elif start.lstrip().startswith(b"{"):
        opened = open_json
    else:
        raise McugenError(node, "the file is neither HDF5 nor a .keras archive nor JSON", "save the model with tf_keras")
    try:
        digest = digest or digest_of(path, *([weights_beside(path)] if opened is open_json else []))
        return build(*opened(path), digest)
    except McugenError:
        raise
    except RecursionError:
        raise McugenError(node, "the file nests too deeply", "save the model with tf_keras") from None
    except Exception as error:  # zipfile and json raise many kinds on damaged files
        fact = f"the file is damaged ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
        raise McugenError(node, fact, "save the model again") from None


def open_h5(path: Path) -> tuple[Any, hdf5.Contents, Any]:
    """Config, weights and the function that reads them, of an `.h5` file."""
    found = hdf5.contents(path, "model_weights", path.name)
    if found.config is None:
        fact = "the file holds no model, only weights"
        raise McugenError(path.name, fact, f"save the whole model, or model.to_json() beside it as {path.stem}.json")
    return parse_json(found.config, path.name), found, hdf5.read_h5


def open_keras(path: Path) -> tuple[Any, hdf5.Contents, Any]:
    """Config, weights and the function that reads them, of a `.keras` archive."""
    with zipfile.ZipFile(path) as archive:
        config = parse_json(member(archive, "config.json", MAX_CONFIG_BYTES, path.name), path.name)
        weights = member(archive, "model.weights.h5", MAX_FILE_BYTES, path.name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.h5"
        file.write_bytes(weights)
        return config, hdf5.contents(file, "layers", path.name), hdf5.read_keras


def open_json(path: Path) -> tuple[Any, hdf5.Contents, Any]:
    """Config of a `.json` file (`model.to_json()`), weights and the function that reads them of the file beside it."""
    config = parse_json(path.read_bytes(), path.name)
    file = weights_beside(path)
    found = hdf5.contents(file, "", file.name)
    return config, found, hdf5.read_h5 if found.listed else hdf5.read_keras


def weights_beside(path: Path) -> Path:
    """The weights of a `.json` file: NAME.weights.h5 or NAME.h5 in the same folder (`model.save_weights`)."""
    names = [path.with_suffix(suffix) for suffix in (".weights.h5", ".h5")]
    for file in names:
        if file.is_file():
            if file.stat().st_size > MAX_FILE_BYTES:
                raise McugenError(file.name, "the file is too large", f"use a model below {MAX_FILE_BYTES} bytes")
            return file
    fact = f"the file holds no weights, and neither {names[0].name} nor {names[1].name} lies beside it"
    raise McugenError(path.name, fact, f"save them there: model.save_weights({names[0].name!r})")


def digest_of(*paths: Path) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()


def member(archive: zipfile.ZipFile, name: str, limit: int, node: str) -> bytes:
    """One member of an archive, at most `limit` bytes whatever its header says."""
    if archive.namelist().count(name) != 1:
        raise McugenError(node, f"the archive does not have one {name}", "save the model again: model.save('m.keras')")
    with archive.open(name) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise McugenError(node, f"{name} unpacks to more than {limit} bytes", "use a smaller model")
    return content


def parse_json(text: Any, node: str) -> Any:
    """The model's config with all its parts checked for size, depth and references to code."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if not isinstance(text, str) or len(text) > MAX_CONFIG_BYTES:
        raise McugenError(node, "the model's config is no text or too long", "save the model again")
    config = json.loads(text, parse_constant=lambda word: None)
    if not isinstance(config, dict) or set(config) - TOP_KEYS:
        raise McugenError(node, "the model's config has unknown parts", "save the model with tf_keras")
    config.pop("compile_config", None)
    waiting: list[tuple[Any, int, str]] = [(config, 0, node)]
    while waiting:
        item, depth, inside = waiting.pop()
        if depth > MAX_JSON_DEPTH:
            raise McugenError(node, "the model's config nests too deeply", "flatten the model")
        if isinstance(item, dict):
            inside = item["name"][:80] if isinstance(item.get("name"), str) else inside
            check_object(item, inside)
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        waiting += [(child, depth + 1, inside) for child in children]
    return config


def check_object(item: dict[str, Any], node: str) -> None:
    """Refuse an object of the config of `node` that names a module outside Keras and QKeras, or code."""
    module, class_name = item.get("module"), item.get("class_name")
    if (module, class_name) == ("builtins", "function"):  # what QKeras's pooling layers make of activation="relu"
        fact = f"its function {str(item.get('config'))[:40]!r} was saved as code, which QKeras cannot load either"
        raise McugenError(node, fact, "leave the activation out and put a QActivation behind the layer")
    if str(module).startswith("keras.src") and module not in MODULES:
        fact = "the model was saved by Keras 3"
        raise McugenError(node, fact, "build and save it with tf_keras and QKeras 0.9.0")
    if module is not None and module not in MODULES:
        fact = f"the file names the module {str(module)[:60]!r}"
        raise McugenError(node, fact, "use only layers of Keras and QKeras")
    if class_name in EXECUTABLE and (class_name != "function" or item.get("module") is not None):
        fact = f"the file contains a {class_name}, which may hold code and is never executed"
        raise McugenError(node, fact, "use only layers of Keras and QKeras")


def build(config: Any, found: hdf5.Contents, read: Any, digest: str) -> Network:
    """From the config and the arrays of a file to the network; `read` fills in the weights."""
    model = read_model(config.get("class_name"), config.get("config"))
    calls, outputs = flatten(model)
    expected: hdf5.Expected = {id(leaf): [] for leaf in model.leaves()}
    infer(calls, expected)
    total = sum(math.prod(weight.shape) for weights in expected.values() for weight in weights)
    if total > MAX_WEIGHTS:
        raise McugenError(model.name, f"the model has {total} weights", f"use at most {MAX_WEIGHTS}")
    read(found, model, expected)
    layers = tuple(Layer(call.name, call.entry.class_name, call.entry.config, call.inputs, call.entry.weights) for call in calls)
    return Network(model.name, layers, network_inputs(model, calls), tuple(outputs), digest)


def network_inputs(model: Model, calls: list[Call]) -> tuple[str, ...]:
    made = {call.name for call in calls if call.entry.class_name == "InputLayer"}
    if made != set(model.inputs) or len(model.inputs) != len(made):
        raise McugenError(model.name, "the model's inputs are not its InputLayers", "save it again with tf_keras")
    return tuple(model.inputs)


def infer(calls: list[Call], expected: hdf5.Expected) -> dict[str, Shape]:
    """Shapes of all calls; notes the variables of each layer in `expected`."""
    found: dict[str, Shape] = {}
    for call in calls:
        entry = call.entry
        if call.name in found:
            raise McugenError(call.name, "two layers have the same name", "give each layer its own name")
        inputs = [found[name] for name in call.inputs]
        if entry.class_name == "InputLayer":
            found[call.name] = entry.config["shape"]
            continue
        found[call.name] = output_shape(entry.class_name, entry.config, inputs, call.name)
        weights = weights_of(entry.class_name, entry.config, inputs[0], call.name)
        if expected[id(entry)] not in ([], weights):
            raise McugenError(call.name, "a shared layer is called with inputs of different shapes", "use two layers")
        expected[id(entry)] = weights
    return found


def output_shapes(network: Network) -> dict[str, Shape]:
    """The output shape of every layer, batch axis left out."""
    found: dict[str, Shape] = {}
    for layer in network.layers:
        if layer.class_name == "InputLayer":
            found[layer.name] = layer.config["shape"]
        else:
            inputs = [found[name] for name in layer.inputs]
            found[layer.name] = output_shape(layer.class_name, layer.config, inputs, layer.name)
    return found
