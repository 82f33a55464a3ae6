"""What random models consist of: layers, quantizers by place, windows, wiring; drawn without running anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.fuzzing.maker import Json
from tests.fuzzing.specs import draw

PLACES = ("activation", "recurrent_activation")


def census(seeds: Iterable[int]) -> dict[str, Counter[str]]:
    """Counts by heading: "layers", "wiring", "windows", and each setting that holds a quantizer."""
    found: dict[str, Counter[str]] = {"layers": Counter(), "wiring": Counter(), "windows": Counter()}
    for seed in seeds:
        spec = draw(seed)
        found["wiring"].update(wiring(spec))
        for layer in spec["layers"]:
            found["layers"][layer["class"] or "(shared)"] += 1
            for key, value in layer["config"].items():
                if key.endswith("_quantizer") or key in PLACES:
                    found.setdefault(key, Counter())[kind(value)] += 1
            found["windows"].update(windows(layer))
    return found


def kind(quantizer: Any) -> str:
    """The class of a quantizer in any of its forms."""
    return str(quantizer["class_name"] if isinstance(quantizer, dict) else quantizer).split("(")[0]


def wiring(spec: Json) -> list[str]:
    facts = {
        f"file {spec['format']}": True,
        "several inputs": len(spec["inputs"]) > 1,
        "several outputs": len(spec["outputs"]) > 1,
        "shared layer": any("share" in layer for layer in spec["layers"]),
        "model in model": spec["part"] is not None and spec["part"] < len(spec["layers"]),
        "Sequential asked for": spec["sequential"],
        "extreme weights": spec["extreme"],
        **{f"{len(shape)} axes": True for shape in spec["inputs"].values()},
    }
    return [name for name, true in facts.items() if true]


def windows(layer: Json) -> list[str]:
    """Which unusual windows a layer has."""
    config, found = layer["config"], []
    for key in ("kernel_size", "pool_size", "strides", "dilation_rate"):
        value = config.get(key) or [1]
        found += [f"{layer['class']} {key} unequal"] * (len(set(value)) > 1)
        found += [f"{layer['class']} {key} > 1"] * (max(value) > 1)
    found += [f"{layer['class']} depth_multiplier > 1"] * (config.get("depth_multiplier", 1) > 1)
    found += [f"{layer['class']} groups > 1"] * (config.get("groups", 1) > 1)
    padding = config.get("padding")
    return found + [f"{layer['class']} padding {padding}"] * isinstance(padding, str)


def text(found: dict[str, Counter[str]]) -> str:
    return "\n".join(f"{name}: " + ", ".join(f"{key} {n}" for key, n in counts.most_common()) for name, counts in found.items())
