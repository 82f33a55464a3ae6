"""The loader on files made by hand: what it gives and what it refuses; equality with Keras is in tests/golden."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from model_files import bits, conv, functional, image, layer, sample, write_h5, write_json, write_keras

from mcugen.errors import McugenError
from mcugen.load import load, output_shapes
from mcugen.quantizers import Quantizer

Json = dict[str, Any]
WRITERS = {"h5": write_h5, "keras": write_keras, "json": write_json}


@pytest.mark.parametrize("kind", WRITERS)
def test_network(kind: str, tmp_path: Path) -> None:
    config, weights = sample()
    network = load(WRITERS[kind](tmp_path / f"net.{kind}", config, weights))
    assert network.name == "model" and network.inputs == ("image",) and network.outputs == ("dense",)
    assert len(network.digest) == 64
    assert [item.name for item in network.layers] == [item["name"] for item in config["config"]["layers"]]
    by_name = {item.name: item for item in network.layers}
    assert by_name["add"].inputs == ("conv1", "norm")
    assert by_name["image"].config == {"shape": (6, 6, 2)}
    assert isinstance(by_name["conv1"].config["kernel_quantizer"], Quantizer)
    assert by_name["conv1"].config["bias_quantizer"] is None
    assert by_name["conv1"].config["activation"].kind == "quantized_relu"
    assert by_name["conv1"].config["kernel_size"] == (3, 3) and by_name["norm"].config["axis"] == 3
    assert by_name["dense"].config["activation"] is None
    for name, items in weights.items():
        assert by_name[name].weights.keys() == items.keys()
        assert all(np.array_equal(by_name[name].weights[key], value) for key, value in items.items())
        assert all(value.dtype == np.float32 for value in by_name[name].weights.values())
    shapes = output_shapes(network)
    assert shapes["pool"] == (3, 3, 2) and shapes["dense"] == (3,)


def one_layer(class_name: str, shape: tuple[int, ...] = (6, 6, 2), **config: Any) -> Json:
    return functional([image(shape), layer(class_name, "it", ["image"], **config)])


def load_config(tmp_path: Path, config: Json, weights: dict[str, Any] | None = None) -> Any:
    return load(write_h5(tmp_path / "net.h5", config, weights or {}))


SHAPES: list[tuple[str, tuple[int, ...], Json, tuple[int, ...]]] = [
    ("ZeroPadding2D", (6, 6, 2), {"padding": [[1, 0], [2, 3]]}, (7, 11, 2)),
    ("ZeroPadding1D", (6, 2), {"padding": [1, 2]}, (9, 2)),
    ("Cropping2D", (6, 6, 2), {"cropping": 1}, (4, 4, 2)),
    ("UpSampling2D", (6, 5, 2), {"size": [2, 3], "interpolation": "nearest"}, (12, 15, 2)),
    ("Permute", (6, 5, 2), {"dims": [3, 1, 2]}, (2, 6, 5)),
    ("Reshape", (6, 5, 2), {"target_shape": [4, -1]}, (4, 15)),
    ("Flatten", (6, 5, 2), {}, (60,)),
    ("GlobalAveragePooling2D", (6, 5, 2), {"keepdims": True}, (1, 1, 2)),
    ("GlobalMaxPooling1D", (6, 2), {}, (2,)),
    ("AveragePooling2D", (6, 5, 2), {"pool_size": 2, "padding": "SAME"}, (3, 3, 2)),
    ("MaxPooling2D", (6, 5, 2), {"pool_size": [3, 3], "strides": [1, 2]}, (4, 2, 2)),
    ("Dropout", (6,), {"rate": 0.5, "seed": None, "noise_shape": None}, (6,)),
    ("LeakyReLU", (6,), {"alpha": 0.1}, (6,)),
    ("Softmax", (6,), {"axis": -1}, (6,)),
    ("Activation", (6,), {"activation": "relu"}, (6,)),
]


@pytest.mark.parametrize(("class_name", "shape", "config", "result"), SHAPES, ids=lambda value: str(value)[:30])
def test_shapes(class_name: str, shape: tuple[int, ...], config: Json, result: tuple[int, ...], tmp_path: Path) -> None:
    network = load_config(tmp_path, one_layer(class_name, shape, **config))
    assert output_shapes(network)["it"] == result


REFUSED: list[tuple[str, Json, str]] = [
    ("Lambda", one_layer("Lambda", function="x"), "never executed"),
    (
        "function of a pooling layer",
        one_layer("QAveragePooling2D", activation={"module": "builtins", "class_name": "function", "config": "relu"}),
        "it: its function 'relu' was saved as code",
    ),
    ("unknown class", one_layer("Attention"), "'Attention' is not supported"),
    ("TFOpLambda", one_layer("TFOpLambda", function="math.add"), "bare TensorFlow"),
    ("QAdaptiveActivation", one_layer("QAdaptiveActivation", activation="quantized_relu"), "range"),
    ("QConv2DTranspose", one_layer("QConv2DTranspose"), "cannot be built"),
    ("PruneLowMagnitude", one_layer("PruneLowMagnitude"), "strip_pruning"),
    ("LSTM", one_layer("LSTM"), "recurrent"),
    ("state kept between calls", one_layer("QLSTM", (6, 2), units=3, stateful=True), "stateful"),
    ("state as an output", one_layer("QSimpleRNN", (6, 2), units=3, return_state=True), "return_state"),
    ("reset after the product", one_layer("QGRU", (6, 2), units=3, reset_after=True), "reset_after"),
    ("hard sigmoid of a gate", one_layer("QGRU", (6, 2), units=3, recurrent_activation="hard_sigmoid"), "hard_sigmoid"),
    ("unknown setting", one_layer("Flatten", colour="red"), "'colour'"),
    ("missing setting", one_layer("Reshape"), "lacks"),
    ("channels_first", one_layer("Flatten", data_format="channels_first"), "data_format"),
    ("float16", one_layer("Flatten", dtype="float16"), "float32"),
    (
        "dtype policy",
        one_layer("Flatten", dtype={"class_name": "Policy", "config": {"name": "mixed_float16"}}),
        "float32",
    ),
    ("bilinear as a list", one_layer("UpSampling2D", interpolation=["nearest"]), "interpolation"),
    ("NaN slope", one_layer("LeakyReLU", alpha=float("nan")), "alpha"),
    ("stride 0", one_layer("MaxPooling2D", strides=[0, 1]), "strides"),
    ("three strides", one_layer("MaxPooling2D", strides=[1, 1, 1]), "strides"),
    ("window too large", one_layer("MaxPooling2D", pool_size=[7, 7]), "(0, 0, 2)"),
    ("crops all", one_layer("Cropping2D", cropping=[[3, 3], [0, 0]]), "gives"),
    ("permutes twice", one_layer("Permute", dims=[1, 1, 2]), "gives"),
    ("reshape does not fit", one_layer("Reshape", target_shape=[5, -1]), "gives"),
    ("wrong rank", one_layer("MaxPooling1D"), "input of shape"),
    ("norm axis", one_layer("BatchNormalization", axis=[1]), "axis 1"),
    ("custom activation", one_layer("Activation", activation="mine"), "'mine'"),
    ("layer as activation", one_layer("Activation", activation={"class_name": "LeakyReLU", "config": {}}), "LeakyReLU"),
    ("QKeras's hard_tanh", one_layer("QActivation", activation="hard_tanh"), "hard_tanh"),
    ("open shape", functional([image((None, None, 3)), layer("Flatten", "it", ["image"])]), "fixed shape"),  # type: ignore[arg-type]
    ("huge shape", functional([image((65536, 65536, 65536)), layer("Flatten", "it", ["image"])]), "gives"),
    (
        "integer input",
        functional([layer("InputLayer", "image", batch_input_shape=[None, 3], dtype="int32")]),
        "float32",
    ),
    ("sparse input", functional([layer("InputLayer", "image", batch_input_shape=[None, 3], sparse=True)]), "sparse"),
    ("cycle", functional([image(), layer("Flatten", "a", ["b"]), layer("Flatten", "b", ["a"])]), "circle"),
    ("unknown source", functional([image(), layer("Flatten", "a", ["nobody"])]), "unknown"),
    ("unknown output", functional([image(), layer("Flatten", "a", ["image"])], outputs=["b"]), "outputs"),
    (
        "twice the name",
        functional([image(), layer("Flatten", "a", ["image"]), layer("Flatten", "a", ["a"])]),
        "same name",
    ),
    ("one addend", functional([image(), layer("Add", "a", ["image"])]), "1 inputs"),
    ("two inputs to one", functional([image(), layer("Flatten", "a", ["image", "image"])]), "2 inputs"),
    (
        "ranks differ",
        functional([image(), layer("Flatten", "a", ["image"]), layer("Add", "b", ["a", "image"])]),
        "ranks",
    ),
    ("no layers", {"class_name": "Functional", "config": {"name": "x", "layers": []}}, "0 layers"),
    ("subclassed", {"class_name": "MyModel", "config": {"name": "x"}}, "Sequential or Functional"),
    ("foreign module", one_layer("Flatten", x_initializer={"module": "os", "class_name": "system"}), "module 'os'"),
    ("function", one_layer("Flatten", x_initializer={"module": "keras", "class_name": "function"}), "never executed"),
]


@pytest.mark.parametrize(("config", "word"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused_config(config: Json, word: str, tmp_path: Path) -> None:
    with pytest.raises(McugenError) as caught:
        load_config(tmp_path, config)
    assert word in str(caught.value)


def changed(change: Callable[[list[Json], dict[str, Any]], None]) -> tuple[Json, dict[str, Any]]:
    config, weights = sample()
    change(config["config"]["layers"], weights)
    return config, weights


def set_weight(layer_name: str, weight: str, value: Any) -> Callable[[list[Json], dict[str, Any]], None]:
    return lambda layers, weights: weights[layer_name].update({weight: value})


BAD_WEIGHTS: list[tuple[str, Callable[[list[Json], dict[str, Any]], None], str]] = [
    ("wrong shape", set_weight("dense", "bias", np.zeros(4, np.float32)), "shape (4,), not (3,)"),
    ("double", set_weight("dense", "bias", np.zeros(3)), "not float32"),
    ("integers", set_weight("dense", "bias", np.zeros(3, np.int32)), "not float32"),
    ("NaN", set_weight("conv1", "bias", np.asarray([np.nan, 0], np.float32)), "NaN"),
    ("infinity", set_weight("conv1", "bias", np.asarray([np.inf, 0], np.float32)), "infinity"),
    ("negative variance", set_weight("norm", "moving_variance", np.asarray([1, -1], np.float32)), "negative"),
    ("one too many", set_weight("dense", "extra", np.zeros(3, np.float32)), "weight arrays"),
    ("one missing", lambda layers, weights: weights["norm"].pop("beta"), "weight arrays"),
    ("layer missing", lambda layers, weights: weights.pop("dense"), "weight arrays"),
]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(("change", "word"), [case[1:] for case in BAD_WEIGHTS], ids=[case[0] for case in BAD_WEIGHTS])
def test_refused_weights(change: Any, word: str, kind: str, tmp_path: Path) -> None:
    config, weights = changed(change)
    with pytest.raises(McugenError) as caught:
        load(WRITERS[kind](tmp_path / f"net.{kind}", config, weights))
    assert word in str(caught.value) or kind != "h5"


def test_order_of_names_is_checked(tmp_path: Path) -> None:
    config, weights = sample()
    weights["norm"] = dict(reversed(weights["norm"].items()))
    with pytest.raises(McugenError, match="in the place of gamma"):
        load(write_h5(tmp_path / "net.h5", config, weights))


def test_shared_layers_get_numbered_names(tmp_path: Path) -> None:
    shared = layer("Dense", "d", ["image"], units=4, use_bias=False)
    shared["inbound_nodes"].append([["d", 0, 0, {}]])
    config = functional([image((4,)), shared, layer("Add", "sum", ["d"])])
    config["config"]["layers"][2]["inbound_nodes"] = [[["d", 0, 0, {}], ["d", 1, 0, {}]]]
    weights = {"d": {"kernel": np.eye(4, dtype=np.float32)}}
    network = load_config(tmp_path, config, weights)
    assert [item.name for item in network.layers] == ["image", "d", "d@1", "sum"]
    assert network.layers[2].inputs == ("d",) and network.layers[3].inputs == ("d", "d@1")
    assert network.layers[1].weights["kernel"] is network.layers[2].weights["kernel"]


def test_call_arguments_that_change_inference_are_refused(tmp_path: Path) -> None:
    for extra, fine in (({}, True), ({"training": False}, True), ({"training": True}, False), ({"mask": 1}, False)):
        config = one_layer("Dropout", rate=0.5)
        config["config"]["layers"][1]["inbound_nodes"][0][0][3] = extra
        if fine:
            load_config(tmp_path, config)
        else:
            with pytest.raises(McugenError, match="extra arguments"):
                load_config(tmp_path, config)


def test_dead_layers_inside_models_are_dropped(tmp_path: Path) -> None:
    inner = functional(
        [image((4,), "in"), layer("ReLU", "used", ["in"]), layer("ReLU", "dead", ["in"])], ["in"], ["used"]
    )
    nested = {**layer("Functional", "inner", ["image"]), "config": {**inner["config"], "name": "inner"}}
    config = functional([image((4,)), nested], outputs=["inner"])
    config["config"]["output_layers"] = [["inner", 1, 0]]
    network = load_config(tmp_path, config)
    assert [item.name for item in network.layers] == ["image", "inner/used"] and network.outputs == ("inner/used",)


def test_doubling_models_are_stopped(tmp_path: Path) -> None:
    config: Json = functional([image((4,), "in0"), layer("ReLU", "last", ["in0"])])
    for depth in range(1, 8):
        inner = {"class_name": "Functional", "name": "m", "config": copy.deepcopy(config["config"])}
        inner["inbound_nodes"] = [[["in", 0, 0, {}]]] + [[["m", number, 0, {}]] for number in range(1, 20)]
        config = functional([image((4,), "in"), inner], ["in"], ["m"])
        config["config"]["output_layers"] = [["m", 20, 0]]
        config["config"]["name"] = f"depth{depth}"
    with pytest.raises(McugenError, match="layers"):
        load_config(tmp_path, config)


def test_too_deep_models_are_refused(tmp_path: Path) -> None:
    config: Json = {"class_name": "Sequential", "config": {"name": "s", "layers": [image((4,))]}}
    for _ in range(12):
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": [image((4,)), config]}}
    with pytest.raises(McugenError, match="deep"):
        load_config(tmp_path, config)


@pytest.mark.parametrize(
    "text", ["[" * 100000, '{"a":' * 3000 + "1" + "}" * 3000, "{}", "[]", "1e999", "\x00", '{"config": NaN}']
)
def test_odd_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "x"
        file.create_group("model_weights")
    path2 = tmp_path / "net.keras"
    stream = io.BytesIO()
    h5py.File(stream, "w").close()
    with zipfile.ZipFile(path2, "w") as archive:
        archive.writestr("config.json", text)
        archive.writestr("model.weights.h5", stream.getvalue())
    for name in (path, path2):
        with pytest.raises(McugenError):
            load(name)


def test_zip_bombs_are_stopped(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("config.json", "w") as stream:
        for _ in range(64):
            stream.write(b" " * (1 << 20))
    with pytest.raises(McugenError, match="unpacks to more"):
        load(path)


def test_members_twice_are_refused(tmp_path: Path) -> None:
    config, weights = sample()
    path = write_keras(tmp_path / "net.keras", config, weights)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("config.json", "{}")
    with pytest.raises(McugenError, match=r"one config\.json"):
        load(path)


@pytest.mark.parametrize("link", ["external", "soft"])
def test_links_are_refused(link: str, tmp_path: Path) -> None:
    config, weights = sample()
    path = write_h5(tmp_path / "net.h5", config, weights)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.zeros(3, np.float32)
    with h5py.File(path, "a") as file:
        group = file["model_weights/dense/dense"]
        del group["bias:0"]
        group["bias:0"] = h5py.ExternalLink(str(other), "secret") if link == "external" else h5py.SoftLink("/secret")
    with pytest.raises(McugenError, match="somewhere else"):
        load(path)


def test_external_and_virtual_data_are_refused(tmp_path: Path) -> None:
    config, weights = sample()
    path = write_h5(tmp_path / "net.h5", config, weights)
    (tmp_path / "raw").write_bytes(bytes(12))
    for kind in ("external", "virtual", "chunks"):
        with h5py.File(path, "a") as file:
            group = file["model_weights/dense/dense"]
            del group["bias:0"]
            if kind == "external":
                group.create_dataset("bias:0", (3,), np.float32, external=[(str(tmp_path / "raw"), 0, 12)])
            elif kind == "virtual":
                layout = h5py.VirtualLayout((3,), np.float32)
                layout[:] = h5py.VirtualSource(str(tmp_path / "x.h5"), "y", (3,))
                group.create_virtual_dataset("bias:0", layout)
            else:
                group.create_dataset(
                    "bias:0", (3,), np.float32, chunks=(1 << 26,), maxshape=(None,), compression="gzip"
                )
        with pytest.raises(McugenError, match="unusual"):
            load(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"PK\x03\x04" + bytes(100), b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(500), b"hello"],
)
def test_garbage(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(content)
    with pytest.raises(McugenError):
        load(path)


def test_missing_files_and_directories(tmp_path: Path) -> None:
    with pytest.raises(McugenError, match="no such file"):
        load(tmp_path / "absent.h5")
    with pytest.raises(McugenError, match="no SavedModel"):
        load(tmp_path)


def test_json_needs_its_weights(tmp_path: Path) -> None:
    path = write_json(tmp_path / "net.json", *sample())
    one = load(path).digest
    path.with_suffix(".weights.h5").unlink()
    with pytest.raises(McugenError, match=r"net\.json: the file holds no weights, and neither net\.weights\.h5 nor net\.h5"):
        load(path)
    write_h5(path.with_suffix(".h5"), *sample())  # a whole model's weights do as well
    assert load(path).digest != one
    path.with_suffix(".h5").write_bytes(b"no HDF5")
    with pytest.raises(McugenError, match=r"net\.h5: the file is damaged"):
        load(path)


def test_weights_only_files_are_explained(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_group("model_weights")
    with pytest.raises(McugenError, match="only weights"):
        load(tmp_path / "w.h5")


def test_keras_3_files_are_explained(tmp_path: Path) -> None:
    config = one_layer("Flatten")
    config["config"]["layers"][1]["inbound_nodes"] = [{"args": [], "kwargs": {}}]
    with pytest.raises(McugenError, match="Keras 3"):
        load_config(tmp_path, config)


def test_sequential_without_input_layer(tmp_path: Path) -> None:
    first = conv("c", "x", batch_input_shape=[None, 6, 6, 2])
    config = {"class_name": "Sequential", "config": [first, layer("Flatten", "f")]}
    weights = {"c": {"kernel": np.zeros((3, 3, 2, 3), np.float32), "bias": np.zeros(3, np.float32)}}
    network = load(write_h5(tmp_path / "net.h5", config, weights))  # type: ignore[arg-type]
    assert [item.name for item in network.layers] == ["c_input", "c", "f"] and network.inputs == ("c_input",)


def test_long_lists_of_names_are_joined(tmp_path: Path) -> None:
    config, weights = sample()
    path = write_h5(tmp_path / "net.h5", config, weights)
    with h5py.File(path, "a") as file:
        group = file["model_weights/norm"]
        names = list(group.attrs["weight_names"])
        del group.attrs["weight_names"]
        group.attrs["weight_names0"], group.attrs["weight_names1"] = names[:1], names[1:]
    assert load(path).layers[4].weights.keys() == weights["norm"].keys()


def test_quantizers_of_layers_are_refused_with_the_layer(tmp_path: Path) -> None:
    config = functional([image(), conv("c7", "image", kernel_quantizer=bits(99))])
    with pytest.raises(McugenError) as caught:
        load_config(tmp_path, config)
    assert caught.value.node == "c7" and json.dumps(config)
