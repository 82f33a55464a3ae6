"""A growing random model: its layers, the shape of every tensor, and the dice."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcugen.load.classes import checked_config
from mcugen.load.shapes import output_shape
from tests.fuzzing.quantizers import ODD_ACTIVATIONS, ODD_WEIGHTS, PLAIN_ACTIVATIONS, PLAIN_WEIGHTS

Json = dict[str, Any]
Shape = tuple[int, ...]


class Maker:
    """Adds layers one by one; keeps every tensor's shape."""

    def __init__(self, seed: int, attempt: int) -> None:
        self.rng = np.random.default_rng([seed, attempt])
        self.layers: list[Json] = []
        self.shapes: dict[str, Shape] = {}
        self.inputs: dict[str, Shape] = {}
        self.odd = self.chance(0.35)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def input(self, shape: Shape) -> str:
        name = f"in{len(self.inputs)}"
        self.inputs[name] = self.shapes[name] = shape
        return name

    def add(self, class_name: str, *sources: str, **config: Any) -> str:
        name = f"l{len(self.layers)}"
        settings = {"name": name, **config}
        if class_name == "PReLU":
            settings["shared_axes"] = list(range(1, len(self.shapes[sources[0]]))) or None
        self.shapes[name] = layer_shape(class_name, settings, [self.shapes[source] for source in sources])
        self.layers.append({"class": class_name, "name": name, "inputs": list(sources), "config": settings})
        return name

    def again(self, layer: str, source: str) -> str:
        """An earlier layer called once more, on a tensor of the same shape: the weights are shared."""
        name = f"l{len(self.layers)}"
        self.shapes[name] = self.shapes[layer]
        self.layers.append({"class": "", "share": layer, "name": name, "inputs": [source], "config": {}})
        return name

    def act(self, source: str, *choices: Any) -> str:
        choices = choices or (ODD_ACTIVATIONS if self.odd and self.chance(0.2) else PLAIN_ACTIVATIONS)
        return self.add("QActivation", source, activation=self.pick(*choices))

    def weight(self) -> Any:
        return self.pick(*(ODD_WEIGHTS if self.odd and self.chance(0.4) else PLAIN_WEIGHTS))

    def inner(self) -> Any:
        """The activation argument of a layer."""
        return self.pick("linear", "relu", *PLAIN_ACTIVATIONS) if self.chance(0.4) else None


def layer_shape(class_name: str, config: Json, inputs: list[Shape]) -> Shape:
    """Shape of a layer's output by the loader's own rules; raises McugenError where it refuses."""
    return output_shape(class_name, checked_config(class_name, config, config["name"]), inputs, config["name"])
