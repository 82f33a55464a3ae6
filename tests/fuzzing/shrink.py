"""Makes a failing spec smaller while it still fails, and keeps it as a small model file."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from mcugen.errors import McugenError
from tests.fuzzing.batch import HostBatch
from tests.fuzzing.campaign import Campaign, Failure, equal, examine
from tests.fuzzing.maker import Json, layer_shape
from tests.fuzzing.specs import pruned


def reason(campaign: Campaign, spec: Json) -> str | None:
    """Why the spec fails, None where it does not; the files stay in the campaign's folder under "shrink"."""
    path = campaign.folder / f"shrink.{spec['format']}"
    campaign.worker.send(spec, path)
    if campaign.worker.receive()["error"]:
        return None
    try:
        case = examine(spec, path)
        equal(case.reference, HostBatch([case.made], sanitize=True).trace(0, case.inputs))
    except McugenError as error:
        return None if "tool refused" not in str(error) else str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def smaller(spec: Json) -> Iterator[Json]:
    """Specs with one thing less: later layers, a layer, a setting."""
    names = [layer["name"] for layer in spec["layers"]]
    for name in names[:-1]:
        yield pruned({**spec, "outputs": [name]})
    for output in spec["outputs"] if len(spec["outputs"]) > 1 else ():
        yield pruned({**spec, "outputs": [output]})
    for layer in spec["layers"]:
        for source in layer["inputs"]:
            yield without(spec, layer["name"], source)
    for key, value in (("part", None), ("sequential", False), ("extreme", False), ("format", "h5"), ("images", 1)):
        if spec[key] != value:
            yield {**spec, key: value}
    simple = {"use_bias": False, "activation": None, "strides": [1, 1], "dilation_rate": [1, 1], "depth_multiplier": 1}
    for number, layer in enumerate(spec["layers"]):
        for key, value in simple.items():
            if key in layer["config"] and layer["config"][key] != value and layer["class"] not in ("QActivation", "Activation"):
                changed = {**layer, "config": {**layer["config"], key: value}}
                yield {**spec, "layers": [*spec["layers"][:number], changed, *spec["layers"][number + 1 :]]}


def without(spec: Json, name: str, source: str) -> Json:
    """The spec with a layer's users reading its input instead."""

    def moved(other: str) -> str:
        return source if other == name else other

    layers = [{**layer, "inputs": [moved(x) for x in layer["inputs"]]} for layer in spec["layers"] if layer["name"] != name]
    return pruned({**spec, "layers": layers, "outputs": [moved(x) for x in spec["outputs"]]})


def valid(spec: Json) -> bool:
    shapes = {name: tuple(shape) for name, shape in spec["inputs"].items()}
    by_name = {layer["name"]: layer for layer in spec["layers"]}
    if not spec["layers"] or any(layer.get("share", layer["name"]) not in by_name for layer in spec["layers"]):
        return False
    try:
        for layer in spec["layers"]:
            real = by_name[layer.get("share", layer["name"])]
            shapes[layer["name"]] = layer_shape(real["class"], real["config"], [shapes[x] for x in layer["inputs"]])
    except McugenError:
        return False
    return True


def kind_of(why: str | None) -> str | None:
    """A failure without its names and numbers: sanitizer findings, refused C and differences must not be mixed up."""
    return None if why is None else re.sub(r"[\d.]+", "#", why.split("@")[0])[:40]


def shrink(campaign: Campaign, spec: Json, tries: int = 60) -> Json:
    """The smallest spec found that fails in the same way."""
    best, progress = spec, True
    kind = kind_of(reason(campaign, spec))
    while progress and tries > 0:
        progress = False
        for candidate in smaller(best):
            if not valid(candidate) or tries <= 0:
                continue
            tries -= 1
            if kind_of(reason(campaign, candidate)) == kind:
                best, progress = candidate, True
                break
    return best


def save_regression(campaign: Campaign, failure: Failure, folder: Path) -> Path:
    """Shrinks a failure and writes NAME.h5 (or .keras), its golden outputs and its spec."""
    spec = shrink(campaign, failure.spec)
    why = reason(campaign, spec)
    if why is None:  # only the whole model fails
        spec, why = failure.spec, reason(campaign, failure.spec) or failure.reason
    made = campaign.folder / f"shrink.{spec['format']}"
    target = folder / f"seed{failure.seed}.{spec['format']}"
    folder.mkdir(exist_ok=True)
    shutil.copy(made, target)
    shutil.copy(made.with_suffix(made.suffix + ".npz"), target.with_suffix(target.suffix + ".npz"))
    target.with_suffix(".json").write_text(json.dumps({"reason": why[:500], "spec": spec}, indent=1) + "\n")
    return target
