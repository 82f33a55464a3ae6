"""TensorFlow's and QKeras's side of the golden tests, run once in a process of its own: python oracle.py FOLDER.

Writes quantizers.npz, floats.npz, and for each model NAME.h5, NAME.keras and NAME.npz with its weights as Keras has
them ("layer|weight") and as the layers' own quantizers make them ("layer|weight|q"); of some also
JSON with weights in both formats: NAME_listed.json, NAME_listed.h5 and NAME_new.json, NAME_new.weights.h5.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_ENABLE_ONEDNN_OPTS="0", TF_CPP_MIN_LOG_LEVEL="3")
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import tensorflow as tf
from float_cases import arrays
from models import models
from qkeras.quantizers import get_quantizer
from quantizer_cases import cases

from mcugen.load import load
from mcugen.reference import compare_with_whole, run_layers

QUANTIZED = {
    "kernel": "kernel_quantizer_internal",
    "depthwise_kernel": "depthwise_quantizer_internal",
    "pointwise_kernel": "pointwise_quantizer_internal",
    "bias": "bias_quantizer_internal",
    "gamma": "gamma_quantizer_internal",
    "beta": "beta_quantizer_internal",
    "moving_mean": "mean_quantizer_internal",
    "moving_variance": "variance_quantizer_internal",
}


def quantizer_results() -> dict[str, Any]:
    results = {}
    for key, text, role, value in cases():
        quantizer = get_quantizer(text)
        quantizer = quantizer() if isinstance(quantizer, type) else quantizer
        if role == "kernel" and hasattr(quantizer, "_set_trainable_parameter"):
            quantizer._set_trainable_parameter()
        results[key] = np.asarray(quantizer(tf.constant(value)), np.float32)
    return results


def float_results() -> dict[str, Any]:
    functions = {
        "rsqrt": tf.math.rsqrt,
        "log": tf.math.log,
        "tanh": tf.math.tanh,
        "sigmoid": tf.math.sigmoid,
        "mean": lambda x: tf.reduce_mean(x, axis=list(range(len(x.shape) - 1)), keepdims=True),
    }
    return {f"{name}|{key}": functions[name](tf.constant(x)).numpy() for name, key, x in arrays()}


def weights_of(model: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found.update(weights_of(layer, f"{prefix}{layer.name}/"))
            continue
        for variable in layer.variables:
            name = variable.name.split("/")[-1].split(":")[0]
            key = f"{prefix}{layer.name}|{name}"
            found[key] = variable.numpy()
            quantizer = getattr(layer, QUANTIZED.get(name, ""), None)
            if quantizer is not None and "Batchnorm" not in type(layer).__name__:
                found[f"{key}|q"] = np.asarray(quantizer(variable))
    return found


def checked_outputs(model: Any, file: Path) -> dict[str, Any]:
    """All layers' outputs ("layer||"): called one by one as the loader says, they must give the model's outputs."""
    network = load(file)
    shapes = {layer.name: layer.config["shape"] for layer in network.layers if layer.class_name == "InputLayer"}
    rng = np.random.default_rng(0)
    fed = {name: rng.normal(size=(2, *shapes[name])).astype(np.float32) for name in network.inputs}
    found = run_layers(tf, model, network.layers, fed)
    compare_with_whole(model, network, fed, found)
    return {f"{name}||": np.asarray(value) for name, value in found.items()}


def main(folder: Path) -> None:
    np.savez(folder / "quantizers.npz", **quantizer_results())
    np.savez(folder / "floats.npz", **float_results())
    for name, model in models().items():
        model.save(folder / f"{name}.h5")
        model.save(folder / f"{name}.keras", save_format="keras")
        if not name.startswith("random"):
            for kind, weights in (("listed", "listed.h5"), ("new", "new.weights.h5")):
                (folder / f"{name}_{kind}.json").write_text(model.to_json())
                model.save_weights(folder / f"{name}_{weights}")
        outputs = checked_outputs(model, folder / f"{name}.h5")
        np.savez(folder / f"{name}.npz", **weights_of(model), **outputs)
        if name == "sequential":
            model.save(folder / "saved_model", save_format="tf")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
