"""Writes model files as tf_keras does, from plain configs and without TensorFlow, for the tests of the loader."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mcugen.load.hdf5 import snake

Json = dict[str, Any]


def bits(number: int = 4, **changes: Any) -> Json:
    """A quantized_bits object as QKeras saves it."""
    config = {"bits": number, "integer": 0, "symmetric": 1, "alpha": 1, "keep_negative": True,
              "use_stochastic_rounding": False, "qnoise_factor": 1.0, **changes}  # fmt: skip
    return {"module": "qkeras.quantizers", "class_name": "quantized_bits", "config": config,
            "registered_name": "quantized_bits"}  # fmt: skip


def layer(class_name: str, name: str, inputs: list[str] | None = None, **config: Any) -> Json:
    """One layer of a Functional config; `inputs` are the names of its input layers."""
    nodes = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
    full = {"name": name, "trainable": True, "dtype": "float32", **config}
    return {"class_name": class_name, "config": full, "name": name, "inbound_nodes": nodes}


def image(shape: tuple[int, ...] = (6, 6, 2), name: str = "image") -> Json:
    return layer("InputLayer", name, batch_input_shape=[None, *shape], sparse=False, ragged=False)


def conv(name: str, source: str, filters: int = 3, **changes: Any) -> Json:
    config = {"filters": filters, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "groups": 1,
              "data_format": "channels_last", "dilation_rate": [1, 1], "activation": "linear", "use_bias": True,
              "kernel_initializer": {"class_name": "Zeros", "config": {}}, "kernel_quantizer": bits(),
              "bias_quantizer": None, "kernel_range": None, **changes}  # fmt: skip
    return layer("QConv2D", name, [source], **config)


def functional(layers: list[Json], inputs: list[str] | None = None, outputs: list[str] | None = None) -> Json:
    """A Functional model's config; by default from the first layer to the last."""
    config = {
        "name": "model",
        "trainable": True,
        "layers": layers,
        "input_layers": [[name, 0, 0] for name in inputs or [layers[0]["name"]]],
        "output_layers": [[name, 0, 0] for name in outputs or [layers[-1]["name"]]],
    }
    return {"class_name": "Functional", "config": config}


def sample() -> tuple[Json, dict[str, dict[str, Any]]]:
    """A small network with a residual addition, normalization, pooling and a dense layer, and its weights."""
    rng = np.random.default_rng(0)
    layers = [
        image(),
        layer("QActivation", "in_q", ["image"], activation="quantized_bits(8,0,1)"),
        conv("conv1", "in_q", 2, activation="quantized_relu(4,1)"),
        conv("conv2", "conv1", 2, use_bias=False),
        layer("BatchNormalization", "norm", ["conv2"], axis=[3], momentum=0.99, epsilon=0.001, center=True, scale=True),
        layer("Add", "add", ["conv1", "norm"]),
        layer("QActivation", "act", ["add"], activation={**bits(8), "__passive_serialization__": True}),
        layer("MaxPooling2D", "pool", ["act"], pool_size=[2, 2], strides=[2, 2], padding="valid"),
        layer("Flatten", "flat", ["pool"], data_format="channels_last"),
        layer("QDense", "dense", ["flat"], units=3, kernel_quantizer="quantized_bits(4,0,1,alpha=1)", use_bias=True),
    ]
    weights: dict[str, dict[str, Any]] = {
        "conv1": {"kernel": (3, 3, 2, 2), "bias": (2,)},
        "conv2": {"kernel": (3, 3, 2, 2)},
        "norm": {"gamma": (2,), "beta": (2,), "moving_mean": (2,), "moving_variance": (2,)},
        "dense": {"kernel": (18, 3), "bias": (3,)},
    }
    filled = {
        name: {key: np.abs(rng.normal(size=shape)).astype(np.float32) for key, shape in items.items()}
        for name, items in weights.items()
    }
    return functional(layers), filled


def write_h5(path: Path, config: Json, weights: dict[str, dict[str, Any]]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.21.0"
        groups = file.create_group("model_weights")
        groups.attrs["layer_names"] = [name.encode() for name in weights]
        for name, items in weights.items():
            group = groups.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in items]
            for key, value in items.items():
                group[f"{name}/{key}:0"] = value
    return path


def write_json(path: Path, config: Json, weights: dict[str, dict[str, Any]]) -> Path:
    """The config alone, and beside it NAME.weights.h5."""
    path.write_text(json.dumps(config))
    with h5py.File(path.with_suffix(".weights.h5"), "w") as file:
        write_numbered(file, config, weights)
    return path


def write_keras(path: Path, config: Json, weights: dict[str, dict[str, Any]]) -> Path:
    """For models without models inside."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        write_numbered(file, config, weights)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.21.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", stream.getvalue())
    return path


def write_numbered(file: Any, config: Json, weights: dict[str, dict[str, Any]]) -> None:
    counts: dict[str, int] = {}
    for item in config["config"]["layers"]:
        name = snake(item["class_name"])
        number = counts.get(name, 0)
        counts[name] = number + 1
        group = file.create_group(f"layers/{name}" + (f"_{number}" if number else "") + "/vars")
        for index, value in enumerate(weights.get(item["name"], {}).values()):
            group[str(index)] = value
