"""TensorFlow's side: builds models from specs, saves them and runs them in the golden environment, one after another.

Reads JSON lines {"spec", "path"} from standard input; for each writes the model to path, PATH.npz with the inputs and
the output of every layer that `mcugen.load` lists, and answers with a JSON line {"error": message or null}.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mcugen import reference
from mcugen.errors import McugenError
from mcugen.load import hdf5, load
from tests.fuzzing.maker import layer_shape
from tests.fuzzing.sound import contents_here

Json = dict[str, Any]


def quantizers(value: Any) -> Any:
    from qkeras.quantizers import get_quantizer

    if isinstance(value, dict) and "class_name" in value:
        return get_quantizer({"class_name": value["class_name"], "config": dict(value["config"])})
    return value


def make_layer(item: Json) -> Any:
    """The Keras layer of one entry of a spec."""
    import qkeras
    import tf_keras

    cls = getattr(qkeras, item["class"]) if item["class"].startswith("Q") else getattr(tf_keras.layers, item["class"])
    return cls(**{key: quantizers(value) for key, value in item["config"].items()})


def part(spec: Json) -> list[Json]:
    """Up to three layers, each read by the next one alone, from layer spec["part"] on; they become a model of their own."""
    start = spec.get("part")
    chain: list[Json] = []
    for item in spec["layers"][start : start + 3] if start is not None else ():
        before = chain[-1]["name"] if chain else item["inputs"][0]
        users = [each["name"] for each in spec["layers"] if before in each["inputs"]]
        shared = any(item["name"] in (each.get("share"), item.get("share")) for each in spec["layers"])
        open_end = chain and (users != [item["name"]] or before in spec["outputs"])
        if item["inputs"] != [before] or "share" in item or shared or open_end:
            break
        chain.append(item)
    return chain


def nested(chain: list[Any], source: Any, sequential: bool) -> Any:
    """A chain of layers as a model."""
    import tf_keras

    if sequential:
        return tf_keras.Sequential(chain, name="part")
    first = made = tf_keras.Input(source.shape[1:])
    for layer in chain:
        made = layer(made)
    return tf_keras.Model(first, made, name="part")


def shapes_of(spec: Json) -> dict[str, tuple[int, ...]]:
    """Every layer's output shape by the loader's rules."""
    shapes = {name: tuple(shape) for name, shape in spec["inputs"].items()}
    real = {item["name"]: item for item in spec["layers"]}
    for item in spec["layers"]:
        own = real[item.get("share", item["name"])]
        shapes[item["name"]] = layer_shape(own["class"], own["config"], [shapes[name] for name in item["inputs"]])
    return shapes


@contextlib.contextmanager
def zeros_for(spec: Json, made: dict[str, Any]) -> Iterator[None]:
    """While a model is wired its layers give zeros of their shape: tracing what they compute takes most of the time.

    `answer` runs all of them afterwards, so a wrong shape would show. Layers with a folded normalization make weights when
    they are called.
    """
    import tensorflow as tf

    shapes = shapes_of(spec)
    stubs = {name: layer for name, layer in made.items() if not type(layer).__name__.endswith("Batchnorm")}
    for name, layer in stubs.items():

        def zeros(inputs: Any, *_: Any, shape: tuple[int, ...] = shapes[name], **__: Any) -> Any:
            first = inputs[0] if isinstance(inputs, list | tuple) else inputs
            return tf.zeros((tf.shape(first)[0], *shape))

        layer.call = zeros
    yield
    for layer in stubs.values():
        del layer.call


def build(spec: Json) -> Any:
    """The Keras model of a spec, its weights drawn from the spec's seed."""
    made = {item["name"]: make_layer(item) for item in spec["layers"] if "share" not in item}
    with zeros_for(spec, made):
        model = wired(spec, made)
    randomize(model, spec)
    return model


def wired(spec: Json, made: dict[str, Any]) -> Any:
    import tf_keras

    tensors: dict[str, Any] = {name: tf_keras.Input(shape, name=name) for name, shape in spec["inputs"].items()}
    inputs = list(tensors.values())
    inside = {item["name"] for item in part(spec)}
    for item in spec["layers"]:
        layer = made[item.get("share", item["name"])]
        if item["name"] in inside:
            if item is part(spec)[-1]:
                chain = [made[each["name"]] for each in part(spec)]
                source = tensors[part(spec)[0]["inputs"][0]]
                tensors[item["name"]] = nested(chain, source, spec.get("sequential"))(source)
            continue
        sources = [tensors[name] for name in item["inputs"]]
        tensors[item["name"]] = layer(sources if len(sources) > 1 else sources[0])
    outputs = [tensors[name] for name in spec["outputs"]]
    straight = all(item["inputs"] == [before] for item, before in zip(spec["layers"], [*spec["inputs"], *made], strict=False))
    if spec.get("sequential") and straight and len(inputs) == len(outputs) == 1 and not inside:
        model = tf_keras.Sequential(list(made.values()))
        model.build((None, *inputs[0].shape[1:]))
        return model
    return tf_keras.Model(inputs, outputs)


def randomize(model: Any, spec: Json) -> None:
    """Weights with negative and zero gammas; extreme models have saturated kernels and tiny variances."""
    rng = np.random.default_rng([spec["seed"], 5])
    for variable in model.variables:
        name, shape = variable.name, tuple(variable.shape)
        if variable.dtype.name != "float32":
            continue
        value = rng.normal(0, 0.5, shape)
        if "gamma" in name:
            value = np.where(rng.random(shape) < 0.1, 0.0, rng.normal(0.4, 0.6, shape))
        elif "variance" in name:
            value = rng.random(shape) * (1e-3 if spec["extreme"] else 1.0) + 1e-4
        elif "kernel" in name and spec["extreme"]:
            value = np.sign(value) * 4
        variable.assign(value.astype(np.float32))


def samples(spec: Json) -> dict[str, np.ndarray[Any, Any]]:
    """Pictures on the grid of 1/128: random, and one of extremes."""
    rng = np.random.default_rng([spec["seed"], 6])
    made = {}
    for name, shape in spec["inputs"].items():
        pixels = rng.integers(-128, 128, (spec["images"], *shape))
        pixels[-1] = np.where(rng.random(shape) < 0.5, -128, 127)
        made[name] = (pixels / 128).astype(np.float32)
    return made


def answer(tf: Any, spec: Json, path: Path) -> None:
    model = build(spec)
    model.save(path, save_format="keras" if path.suffix == ".keras" else "h5")
    network = load(path)
    given = samples(spec)
    fed = dict(zip(network.inputs, given.values(), strict=True))
    if spec["seed"] % 4 == 0:  # slow, and the same as the model in memory
        tf.keras.backend.clear_session()
        model = reference.load_model(str(path))
    found = reference.run_layers(tf, model, network.layers, fed)
    reference.compare_with_whole(model, network, fed, found)
    names = [layer.name for layer in network.layers]
    arrays = {f"output{i}": np.asarray(found[name]) for i, name in enumerate(names)}
    fed_arrays = {f"input{i}": value for i, value in enumerate(fed.values())}
    np.savez(path.with_suffix(path.suffix + ".npz"), names=np.array(names), **arrays, **fed_arrays)


def answer_fast(tf: Any, spec: Json, path: Path) -> None:
    """Without AutoGraph, whose rewriting of each layer's Python takes most of the time; with it where a layer needs it."""
    from tensorflow.python.autograph.core import ag_ctx

    try:
        with ag_ctx.ControlStatusCtx(status=ag_ctx.Status.DISABLED):
            answer(tf, spec, path)
    except McugenError:
        raise
    except Exception:
        tf.keras.backend.clear_session()
        answer(tf, spec, path)


def main() -> None:
    os.environ.update(reference.ENVIRONMENT)
    hdf5.contents = contents_here
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever TensorFlow prints must not mix with the replies
    tf = reference.imported()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    for line in sys.stdin:
        request = json.loads(line)
        reply: Json = {"error": None, "kind": None}
        try:
            answer_fast(tf, request["spec"], Path(request["path"]))
        except McugenError as error:
            reply = {"error": str(error), "kind": "refused"}
        except Exception as error:
            trace = traceback.format_exc().strip().splitlines()
            reply = {"error": f"{type(error).__name__}: {error}"[:1500] + " @ " + trace[-3].strip()[:200], "kind": "keras"}
        tf.keras.backend.clear_session()
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
