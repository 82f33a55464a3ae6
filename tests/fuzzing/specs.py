"""Random models as JSON: which layers, their settings, how they are wired; drawn from one integer without TensorFlow.

A spec is {"seed", "extreme", "inputs": {name: shape}, "layers": [{"class", "name", "inputs", "config"}], "outputs",
"format", "images"}. A layer's "share" names an earlier layer that is called once more; "part" groups layers into a model
inside the model; quantizers are strings or serialized objects.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from mcugen.errors import McugenError
from mcugen.load.classes import checked_config
from mcugen.load.shapes import output_shape
from tests.fuzzing.quantizers import BIASES, INPUTS, ODD_ACTIVATIONS, ODD_WEIGHTS, PLAIN_ACTIVATIONS, PLAIN_WEIGHTS

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

    def act(self, source: str, *choices: Any) -> str:
        choices = choices or (ODD_ACTIVATIONS if self.odd and self.chance(0.2) else PLAIN_ACTIVATIONS)
        return self.add("QActivation", source, activation=self.pick(*choices))

    def weight(self) -> Any:
        return self.pick(*(ODD_WEIGHTS if self.odd and self.chance(0.4) else PLAIN_WEIGHTS))

    def inner(self) -> Any:
        """The activation argument of a layer."""
        return self.pick(None, None, *PLAIN_ACTIVATIONS) if self.chance(0.4) else None


def layer_shape(class_name: str, config: Json, inputs: list[Shape]) -> Shape:
    """Shape of a layer's output by the loader's own rules; raises McugenError where it refuses."""
    return output_shape(class_name, checked_config(class_name, config, config["name"]), inputs, config["name"])


def kernel(m: Maker, rank: int, spatial: Shape) -> Json:
    """Size, strides, dilation and padding of a window that fits an image."""
    size = [m.pick(1, 1, 2, 3, 3, 5) for _ in range(rank)]
    strides, dilation = [1] * rank, [1] * rank
    if m.chance(0.3):
        strides = [m.pick(1, 2, 3)] * rank
    elif m.chance(0.3):
        dilation = [m.pick(1, 2)] * rank
    fits = all((k - 1) * d < n for k, d, n in zip(size, dilation, spatial, strict=True))
    padding = m.pick("same", "valid") if fits else "same"
    return {"kernel_size": size, "strides": strides, "dilation_rate": dilation, "padding": padding}


def conv(m: Maker, source: str) -> str:
    """Any of the convolutions, with its quantizers."""
    shape = m.shapes[source]
    if len(shape) == 1:
        return dense(m, source)
    rank = len(shape) - 1
    config = {**kernel(m, rank, shape[:-1]), "use_bias": m.chance(0.5), "bias_quantizer": m.pick(*BIASES)}
    config["activation"] = m.inner()
    filters = m.pick(1, 3, 4, 8, 17, 33)
    kind = m.pick("conv", "conv", "conv", "depthwise", "depthwise", "separable", "folded", "folded_depthwise", "dense")
    if kind == "dense":
        return dense(m, source)
    if kind == "separable":
        config |= {"filters": min(filters, 8), "depth_multiplier": m.pick(1, 1, 2)}
        config |= {"depthwise_quantizer": m.weight(), "pointwise_quantizer": m.weight()}
        return m.add(f"QSeparableConv{rank}D", source, **config)
    if rank == 1:
        config["padding"] = m.pick(config["padding"], "causal")
        return m.add("QConv1D", source, filters=filters, kernel_quantizer=m.weight(), **config)
    if "depthwise" in kind:
        config |= {"depthwise_quantizer": m.weight()}
        if kind == "folded_depthwise":
            return m.add("QDepthwiseConv2DBatchnorm", source, **config)
        return m.add("QDepthwiseConv2D", source, depth_multiplier=m.pick(1, 1, 2), **config)
    config |= {"filters": filters, "kernel_quantizer": m.weight()}
    if kind == "folded":
        return m.add("QConv2DBatchnorm", source, **config)
    if shape[-1] % 2 == 0 and m.chance(0.15):
        config |= {"filters": 6, "groups": 2}
    return m.add("QConv2D", source, **config)


def dense(m: Maker, source: str) -> str:
    units = m.pick(1, 5, 10, 16)
    quantizers = {"kernel_quantizer": m.weight(), "bias_quantizer": m.pick(*BIASES)}
    return m.add("QDense", source, units=units, use_bias=m.chance(0.7), activation=m.inner(), **quantizers)


def norm(m: Maker, source: str) -> str:
    if m.chance(0.15):
        names = ("gamma_quantizer", "beta_quantizer", "mean_quantizer", "variance_quantizer")
        choices = (None, "quantized_bits(8,2,1)", "quantized_po2(6,4)", "quantized_relu_po2(6,4)")
        if m.chance(0.3):  # QKeras's own defaults
            variance = "quantized_relu_po2(6,quadratic_approximation=True)"
            choices = ("quantized_relu_po2(6,2048)", "quantized_po2(5)", "quantized_po2(5)", variance)
            return m.add("QBatchNormalization", source, **dict(zip(names, choices, strict=True)))
        return m.add("QBatchNormalization", source, **{name: m.pick(*choices) for name in names})
    return m.add("BatchNormalization", source, center=m.chance(0.9), scale=m.chance(0.9), epsilon=m.pick(1e-3, 1e-5))


def elementwise(m: Maker, source: str) -> str:
    """A layer between a sum and its quantizer."""
    kind = m.whole(0, 7)
    if kind == 0:
        return m.add("ReLU", source, max_value=m.pick(None, 1.5, 6.0), negative_slope=m.pick(0.0, 0.25))
    if kind == 1:
        return m.add("LeakyReLU", source, alpha=m.pick(0.1, 0.25))
    if kind == 2:
        return m.add("PReLU", source)
    if kind == 3:
        return m.add("Activation", source, activation=m.pick("relu", "relu6", "hard_sigmoid", "linear"))
    if kind == 4:
        return m.add("Dropout", source, rate=0.3)
    if kind == 5:
        return m.add("Rescaling", source, scale=m.pick(0.5, 0.1), offset=m.pick(0.0, 0.3))
    return norm(m, source)


def pool(m: Maker, source: str) -> str:
    shape = m.shapes[source]
    rank = len(shape) - 1
    if rank == 0:
        return source
    size = [m.pick(1, 2, 2, 3) for _ in range(rank)]
    fits = all(k <= n for k, n in zip(size, shape[:-1], strict=True))
    config: Json = {"pool_size": size, "padding": m.pick("same", "valid") if fits else "same"}
    config["strides"] = m.pick(None, [m.pick(1, 2)] * rank)
    kind = m.pick("Max", "Max", "Average", "QAverage" if rank == 2 else "Average")
    if kind == "QAverage":
        config |= {"average_quantizer": m.pick(None, "quantized_bits(8,0,1)", "quantized_bits(4,0,1,alpha=1)")}
        return m.add("QAveragePooling2D", source, activation=m.inner(), **config)
    return m.add(f"{kind}Pooling{rank}D", source, **config)


def global_pool(m: Maker, source: str) -> str:
    rank = len(m.shapes[source]) - 1
    kind = m.pick("Max", "Average", "QAverage" if rank == 2 else "Average")
    keep = m.chance(0.3)
    if kind == "QAverage":
        quantizer = m.pick(None, "quantized_bits(8,0,1)", "quantized_bits(6,0,1,alpha=1)")
        return m.add("QGlobalAveragePooling2D", source, keepdims=keep, average_quantizer=quantizer, activation=m.inner())
    return m.add(f"Global{kind}Pooling{rank}D", source, keepdims=keep)


def reshaping(m: Maker, source: str) -> str:
    """Layers that move values only."""
    shape = m.shapes[source]
    rank = len(shape) - 1
    if rank == 0:
        return m.add("Reshape", source, target_shape=[1, 1, -1])
    kind = m.whole(0, 4)
    if kind == 0:
        sides = [[m.whole(0, 2), m.whole(0, 2)], [m.whole(0, 2), m.whole(0, 2)]]
        return m.add(f"ZeroPadding{rank}D", source, padding=sides if rank == 2 else sides[0])
    if kind == 1 and min(shape[:-1]) > 2:
        return m.add(f"Cropping{rank}D", source, cropping=[[1, m.whole(0, 1)], [0, 1]] if rank == 2 else [1, 1])
    if kind == 2 and max(shape[:-1]) <= 5:
        return m.add(f"UpSampling{rank}D", source, size=[2, m.pick(1, 2)] if rank == 2 else 2)
    if kind == 3:
        return m.add("Permute", source, dims=[int(i) for i in m.rng.permutation(rank + 1) + 1])
    target = m.pick([-1, shape[-1]], [shape[-1], -1], [shape[0], -1]) if rank == 2 else [1, *shape]
    return m.add("Reshape", source, target_shape=target)


def merge(m: Maker, a: str, b: str) -> str:
    """Two tensors become one, by addition and its kin or side by side."""
    if m.shapes[a] == m.shapes[b] and m.chance(0.7):
        kind = m.pick("Add", "Add", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
        others = [a] if kind == "Add" and m.chance(0.1) else []
        pair = (a, b) if m.chance(0.5) else (b, a)
        return m.add(kind, *pair, *others)
    return m.add("Concatenate", *((a, b) if m.chance(0.7) else (b, a, a)))


def joined(m: Maker, made: str, seen: list[str]) -> str:
    """`made` merged with an earlier tensor of equal shape, else of equal height and width, where there is one."""
    equal = [name for name in seen if m.shapes[name] == m.shapes[made]]
    beside = [name for name in seen if m.shapes[name][:-1] == m.shapes[made][:-1]]
    chosen = equal or (beside if m.chance(0.4) else [])
    return merge(m, m.pick(*chosen), made) if chosen else made


def block(m: Maker, source: str, seen: list[str]) -> str:
    """A sum, what follows it, its quantizer, perhaps a merge with an earlier tensor."""
    made = conv(m, source)
    while m.chance(0.45):
        made = elementwise(m, made)
    if m.chance(0.25):
        made = joined(m, made, seen)
    if m.chance(0.96):
        made = m.act(made)
    if m.chance(0.25):
        made = joined(m, made, seen)
        if m.chance(0.7):
            made = m.act(made)
    if m.chance(0.25):
        made = pool(m, made)
        if m.chance(0.6):
            made = m.act(made)
    if m.chance(0.2):
        made = reshaping(m, made)
    return made


def draw(seed: int) -> Json:
    """The spec of model number `seed`; combinations that the loader finds contradictory are drawn again."""
    for attempt in range(100):
        with contextlib.suppress(McugenError):
            return attempted(seed, attempt)
    raise AssertionError(f"no model for seed {seed}")


def attempted(seed: int, attempt: int) -> Json:
    m = Maker(seed, attempt)
    square = (m.whole(3, 8), m.whole(3, 8), m.pick(1, 2, 3, 4, 5))
    image = m.pick(square, square, square, square, (m.whole(4, 12), m.pick(1, 2, 3)), (m.pick(4, 9, 20),))
    source = m.input(image)
    if m.chance(0.9):
        source = m.act(source, *INPUTS)
    if m.chance(0.12):
        other = m.input(image)
        source = merge(m, source, m.act(other, *INPUTS) if m.chance(0.8) else other)
        source = m.act(source)
    seen = [source]
    for _ in range(m.whole(1, 4)):
        if np.prod(m.shapes[source]) > 2500:
            break
        source = block(m, source, seen)
        seen.append(source)
    outputs = [ending(m, source)]
    if m.chance(0.12) and seen[-1] not in (*outputs, *m.inputs):
        outputs.append(seen[-1])
    spec = {"seed": seed, "extreme": m.chance(0.12), "inputs": {k: list(v) for k, v in m.inputs.items()}, "layers": m.layers,
            "outputs": outputs, "format": m.pick("h5", "h5", "keras"), "images": 3, "sequential": m.chance(0.3),
            "part": m.chance(0.1)}  # fmt: skip
    return pruned(spec)


def ending(m: Maker, source: str) -> str:
    """Nothing, or a classifier: pooling or flatten, dense, softmax and its kin."""
    if m.chance(0.3):
        return source
    if len(m.shapes[source]) > 1:
        source = global_pool(m, source) if m.chance(0.5) else m.add("Flatten", source)
    if m.chance(0.5):
        source = m.act(source)
    source = dense(m, source)
    if m.chance(0.1):
        shared = next(layer for layer in m.layers if layer["name"] == source)
        if m.shapes[source] == m.shapes[shared["inputs"][0]] and m.layers[-1] is shared:
            again = m.act(source, *PLAIN_ACTIVATIONS[:6])
            name = f"l{len(m.layers)}"
            m.shapes[name] = m.shapes[source]
            m.layers.append({"class": "", "share": source, "name": name, "inputs": [again], "config": {}})
            source = name
    if m.chance(0.35):
        kind = m.whole(0, 4)
        if kind == 0:
            source = m.add("Softmax", source)
        elif kind == 1:
            source = m.add("UnitNormalization", source)
        elif kind == 2:
            source = m.add("Dropout", source, rate=0.5)
        else:
            source = m.add("Activation", source, activation=m.pick("softmax", "sigmoid", "tanh"))
    return source


def pruned(spec: Json) -> Json:
    """The spec without layers and inputs that no output needs."""
    needed = set(spec["outputs"])
    for layer in reversed(spec["layers"]):
        if layer["name"] in needed:
            needed.update(layer["inputs"])
            needed.update([layer["share"]] if "share" in layer else [])
    layers = [layer for layer in spec["layers"] if layer["name"] in needed]
    return {**spec, "layers": layers, "inputs": {k: v for k, v in spec["inputs"].items() if k in needed}}
