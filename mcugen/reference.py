"""The host reference: TensorFlow and QKeras run a model in a process of its own; the only file that imports them.

The golden environment is TensorFlow 2.21 with tf_keras, oneDNN off, eager execution layer by layer (Grappler off):
other settings give other last bits where scales are no powers of two. A model is loaded only after `mcugen.load` has
accepted the file, because Keras executes what a file asks for.

    python -m mcugen.reference golden MODEL INPUTS.npz OUTPUTS.npz BATCH [LAYER ...]
    python -m mcugen.reference convert SAVED_MODEL_DIRECTORY MODEL.h5
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Array, Float, Layer, Network
from mcugen.load import load, weights_beside
from mcugen.load.savedmodel import converted

ENVIRONMENT = {
    "TF_USE_LEGACY_KERAS": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}
INSTALL = "pip install 'mcugen[qkeras]'"
BATCH = 64
Progress = Callable[[int, int], None]


def golden(
    path: str | Path,
    inputs: Float | Mapping[str, Float],
    layers: bool | Sequence[str] = False,
    timeout: float = 600.0,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> dict[str, Float]:
    """What QKeras computes.

    Args:
        path: the model: `.h5`, `.keras`, `.json` with its weights, or a SavedModel directory.
        inputs: float32 of shape (N, ...); for several inputs a mapping from the names of the InputLayers.
        layers: True for the outputs of all layers, or the names of some; the model's outputs always come along.
        timeout: seconds after which TensorFlow is stopped.
        batch: samples a step.
        progress: called with (samples done, samples in all).

    Returns:
        float32 outputs (N, ...) by the names that layers have in `load(path)`.

    Raises:
        McugenError: a refused model, inputs of a wrong shape, TensorFlow missing, failing or out of time.
    """
    path = Path(path)
    if path.is_dir():
        with converted(path) as (file, _):
            return golden(file, inputs, layers, timeout, batch, progress)
    network = load(path)
    fed = checked_inputs(network, inputs)
    every = [layer.name for layer in network.layers]
    wanted = every * layers if isinstance(layers, bool) else list(layers)
    unknown = sorted(set(wanted) - set(every))
    if unknown:
        raise McugenError(unknown[0], f"{path.name} has no such layer", "use the names that `mcugen check` lists")
    names = list(dict.fromkeys([*network.outputs, *wanted]))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        save(source, "input", fed)
        run(["golden", str(path), str(source), str(target), str(batch), *names], timeout, path.name, progress)
        with np.load(target) as results:
            return {name: results[f"output{index}"] for index, name in enumerate(names)}


def save(path: str | Path, prefix: str, arrays: Sequence[Array]) -> None:
    """Write arrays as prefix0, prefix1, ... of an .npz file (layer names may hold any character)."""
    named: dict[str, Any] = {f"{prefix}{index}": value for index, value in enumerate(arrays)}
    np.savez(path, **named)


def checked_inputs(network: Network, inputs: Float | Mapping[str, Float]) -> list[Float]:
    """The arrays in the order of the network's inputs, float32, with shapes and numbers of samples checked."""
    by_name: dict[str, Array] = dict(inputs) if isinstance(inputs, Mapping) else {network.inputs[0]: inputs}
    if set(by_name) != set(network.inputs):
        fact = f"the inputs are {', '.join(network.inputs)}, given are {', '.join(map(str, by_name))}"
        raise McugenError(network.name, fact, "give one array for each InputLayer")
    found = []
    for layer in network.layers:
        if layer.name in by_name:
            value = np.asarray(by_name[layer.name], np.float32)
            if value.shape[1:] != layer.config["shape"] or not len(value):
                fact = f"the input has the shape {value.shape}, not (N, {str(layer.config['shape'])[1:]}"
                raise McugenError(layer.name, fact, "reshape the samples")
            by_name[layer.name] = value
    found = [by_name[name] for name in network.inputs]
    if len({len(value) for value in found}) != 1:
        raise McugenError(network.name, "the inputs have different numbers of samples", "give the same number for all")
    return found


def run(arguments: Sequence[str], seconds: float, node: str, progress: Progress | None = None) -> None:
    """Run this module's command line in a new process; its failures become McugenErrors."""
    for module in ("tensorflow", "tf_keras", "qkeras"):
        if importlib.util.find_spec(module) is None:
            raise McugenError(node, f"the Python package {module} is not installed", INSTALL)
    root = str(Path(__file__).parent.parent)
    paths = os.pathsep.join([root, os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else [root])
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": paths}
    command = [sys.executable, "-m", "mcugen.reference", *arguments]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
    ):
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            for line in process.stdout or ():
                if progress is not None and line.startswith("progress "):
                    progress(*(int(word) for word in line.split()[1:3]))
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        if timed_out.is_set():
            raise McugenError(node, f"TensorFlow took longer than {seconds:g} s", "use fewer samples or a longer time")
        if code != 0:
            errors.seek(0)
            lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
            said = lines[-1][:300] if lines else f"exit code {code}"
            raise McugenError(
                node, f"TensorFlow failed ({said})", "load the model with QKeras to see the whole message"
            )


def imported() -> Any:
    """TensorFlow in the golden environment, with QKeras's reading faults mended; only in the child process."""
    import tensorflow as tf
    from qkeras import QActivation, qrecurrent
    from qkeras.quantizers import get_quantizer, quantized_hswish

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    def activation_from_config(cls: Any, config: dict[str, Any]) -> Any:
        if isinstance(config["activation"], dict):
            config = {**config, "activation": get_quantizer(config["activation"])}
        return cls(**config)

    def hswish_from_config(cls: Any, config: dict[str, Any]) -> Any:
        return cls(**{key: value for key, value in config.items() if key != "keep_negative"})

    if not hasattr(qrecurrent.nest, "is_sequence"):  # its name before TensorFlow 2.16
        qrecurrent.nest.is_sequence = qrecurrent.nest.is_nested
    QActivation.from_config = classmethod(activation_from_config)
    quantized_hswish.from_config = classmethod(hswish_from_config)
    return tf


def load_model(path: str) -> Any:
    from qkeras.utils import load_qmodel, quantized_model_from_json

    file = Path(path)
    if file.is_file() and file.open("rb").read(1) == b"{":
        model = quantized_model_from_json(file.read_text("utf-8"))
        model.load_weights(weights_beside(file))
        return model
    return load_qmodel(path, compile=False)


def keras_layer(model: Any, name: str) -> Any:
    """The Keras layer behind a name of the network, such as `backbone/conv@1`."""
    for part in name.split("/"):
        try:
            model = model.get_layer(part)
        except ValueError:
            model = model.get_layer(part.rpartition("@")[0])
    return model


def run_layers(tf: Any, model: Any, layers: Iterable[Layer], fed: Mapping[str, Array]) -> dict[str, Any]:
    """Tensors of all layers for one batch, by eager calls in the network's order."""
    found: dict[str, Any] = {}
    for layer in layers:
        if layer.name in fed:
            found[layer.name] = tf.constant(fed[layer.name])
            continue
        inputs = [found[name] for name in layer.inputs]
        found[layer.name] = keras_layer(model, layer.name)(inputs if len(inputs) > 1 else inputs[0], training=False)
    return found


def golden_command(model_path: str, source: str, target: str, batch: str, *names: str) -> None:
    network = load(model_path)
    tf = imported()
    model = load_model(model_path)
    with np.load(source) as file:
        inputs = {name: file[f"input{index}"] for index, name in enumerate(network.inputs)}
    total, step = len(inputs[network.inputs[0]]), int(batch)
    parts: dict[str, list[Array]] = {name: [] for name in names}
    for start in range(0, total, step):
        fed = {name: value[start : start + step] for name, value in inputs.items()}
        found = run_layers(tf, model, network.layers, fed)
        if start == 0:
            compare_with_whole(model, network, fed, found)
        for name in names:
            parts[name].append(np.asarray(found[name]))
        print("progress", min(start + step, total), total, flush=True)
    save(target, "output", [np.concatenate(parts[name]) for name in names])


def compare_with_whole(model: Any, network: Network, fed: Mapping[str, Array], found: Mapping[str, Any]) -> None:
    """The layers called one by one must give what the model as a whole gives: this guards the network's wiring."""
    values = [fed[name] for name in network.inputs]
    whole = model(values if len(values) > 1 else values[0], training=False)
    if isinstance(whole, dict):
        whole = [whole[key] for key in sorted(whole)]
    outputs = whole if isinstance(whole, list | tuple) else [whole]
    for name, output in zip(network.outputs, outputs, strict=True):
        if not np.array_equal(np.asarray(output), np.asarray(found[name]), equal_nan=True):
            raise RuntimeError(f"the output {name} of the whole model differs from that of its layers")


def convert_command(source: str, target: str) -> None:
    imported()
    load_model(source).save(target, save_format="h5")


def main(arguments: Sequence[str]) -> None:
    os.environ.update(ENVIRONMENT)
    commands: dict[str, Callable[..., None]] = {"golden": golden_command, "convert": convert_command}
    commands[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(sys.argv[1:])
