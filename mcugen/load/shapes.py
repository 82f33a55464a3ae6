"""Shapes of layers (batch axis left out) and of the weights they own, inferred from configs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcugen.errors import McugenError

Shape = tuple[int, ...]
Config = Mapping[str, Any]
MAX_ELEMENTS = 1 << 26
RECURRENT = {"QSimpleRNN": 1, "QGRU": 3, "QLSTM": 4}  # gates
MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")


@dataclass(frozen=True)
class Weight:
    """One variable; `trainable` as Keras counts it; `part` is "", "batchnorm" or "cell", a layer inside the layer."""

    name: str
    shape: Shape
    trainable: bool = True
    part: str = ""


def expect(condition: bool, layer: str, fact: str) -> None:
    if not condition:
        raise McugenError(layer, fact, "check the layer's settings and its input's shape")


def window(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    """Output length of a convolution or pooling along one axis; 0 or less if the window does not fit."""
    if padding in ("same", "causal"):
        return -(-size // stride)
    return (size - (kernel - 1) * dilation - 1) // stride + 1


def windows(config: Config, spatial: Shape, kernel: Shape, dilation: Shape) -> Shape:
    strides = config["strides"] or kernel
    every = zip(spatial, kernel, strides, dilation, strict=True)
    return tuple(window(size, k, s, d, config["padding"]) for size, k, s, d in every)


def conv(config: Config, shape: Shape) -> Shape:
    spatial = windows(config, shape[:-1], config["kernel_size"], config["dilation_rate"])
    return (*spatial, config["filters"] if "filters" in config else shape[-1] * config["depth_multiplier"])


def pool(config: Config, shape: Shape) -> Shape:
    return (*windows(config, shape[:-1], config["pool_size"], (1,) * (len(shape) - 1)), shape[-1])


def global_pool(config: Config, shape: Shape) -> Shape:
    return (*((1,) * (len(shape) - 1) if config["keepdims"] else ()), shape[-1])


def resized(config: Config, shape: Shape) -> Shape:
    """ZeroPadding, Cropping and UpSampling."""
    if "size" in config:
        return (*(a * b for a, b in zip(shape[:-1], config["size"], strict=True)), shape[-1])
    sign, pairs = (1, config["padding"]) if "padding" in config else (-1, config["cropping"])
    return (*(a + sign * sum(pair) for a, pair in zip(shape[:-1], pairs, strict=True)), shape[-1])


def permute(config: Config, shape: Shape) -> Shape:
    if sorted(config["dims"]) != list(range(1, len(shape) + 1)):
        return ()
    return tuple(shape[axis - 1] for axis in config["dims"])


def reshape(config: Config, shape: Shape) -> Shape:
    """The target shape with at most one -1 resolved; () where it does not fit."""
    target, total = list(config["target_shape"]), math.prod(shape)
    known = math.prod(size for size in target if size != -1)
    if target.count(-1) > 1 or known <= 0:
        return ()
    if -1 in target:
        target[target.index(-1)] = total // known
    return tuple(target) if math.prod(target) == total else ()


SPATIAL1 = ["ZeroPadding1D", "Cropping1D", "UpSampling1D"]
SPATIAL2 = ["ZeroPadding2D", "Cropping2D", "UpSampling2D", "QConv2DBatchnorm", "QDepthwiseConv2DBatchnorm"]


def rank_of(class_name: str) -> int | None:
    """Number of axes of a layer's input, where it is fixed."""
    if class_name in RECURRENT or class_name in SPATIAL1 or class_name.endswith(("Conv1D", "Pooling1D")):
        return 2
    if class_name in SPATIAL2 or class_name.endswith(("Conv2D", "Pooling2D")):
        return 3
    return None


Rule = Callable[[Config, Shape], Shape]


def rule_of(class_name: str) -> Rule:
    """How a class of one input maps shapes; the identity for elementwise classes."""
    if "Global" in class_name:
        return global_pool
    if "Pooling" in class_name:
        return pool
    if "Conv" in class_name:
        return conv
    if class_name.startswith(("ZeroPadding", "Cropping", "UpSampling")):
        return resized
    if class_name in RECURRENT:
        return lambda config, shape: (*(shape[:1] if config["return_sequences"] else ()), config["units"])
    others: dict[str, Rule] = {
        "Dense": lambda config, shape: (*shape[:-1], config["units"]),
        "QDense": lambda config, shape: (*shape[:-1], config["units"]),
        "Permute": permute,
        "Reshape": reshape,
        "Flatten": lambda config, shape: (math.prod(shape),),
    }
    return others.get(class_name, lambda config, shape: shape)


def output_shape(class_name: str, config: Config, inputs: list[Shape], layer: str) -> Shape:
    """Shape of a layer's output; refuses inputs that do not fit."""
    if class_name in MERGES or class_name == "Concatenate":
        return merged(class_name, config, inputs, layer)
    expect(len(inputs) == 1, layer, f"{class_name} has {len(inputs)} inputs")
    shape = inputs[0]
    rank = rank_of(class_name)
    expect(rank is None or len(shape) == rank, layer, f"{class_name} has an input of shape {shape}")
    result = rule_of(class_name)(config, shape)
    sized = all(size > 0 for size in result) and math.prod(result) <= MAX_ELEMENTS
    expect(len(result) > 0 and sized, layer, f"{class_name} of an input {shape} gives {result}")
    return result


def merged(class_name: str, config: Config, inputs: list[Shape], layer: str) -> Shape:
    expect(len(inputs) >= 2, layer, f"{class_name} has {len(inputs)} inputs")
    expect(class_name != "Subtract" or len(inputs) == 2, layer, f"Subtract has {len(inputs)} inputs")
    first = inputs[0]
    if class_name != "Concatenate":
        rank = max(map(len, inputs))
        expect(min(map(len, inputs)) == rank, layer, f"{class_name} has inputs {inputs} of different ranks")
        result = tuple(max(sizes) for sizes in zip(*inputs, strict=True))
        fits = all(size in (1, full) for shape in inputs for size, full in zip(shape, result, strict=True))
        expect(fits, layer, f"{class_name} has inputs of shapes {inputs}")
        return result
    axis = config["axis"]
    position = axis - 1 if axis > 0 else axis + len(first)
    expect(axis != 0 and 0 <= position < len(first), layer, f"Concatenate has axis {axis} for an input {first}")
    rest = {shape[:position] + shape[position + 1 :] for shape in inputs}
    fits = len(rest) == 1 and len({len(shape) for shape in inputs}) == 1
    expect(fits, layer, f"Concatenate has inputs of shapes {inputs}")
    total = sum(shape[position] for shape in inputs)
    return (*first[:position], total, *first[position + 1 :])


def weights_of(class_name: str, config: Config, shape: Shape, layer: str) -> list[Weight]:
    """The variables of a layer with an input of `shape`, trainable ones first, in Keras's order of creation."""
    plain = class_name.removeprefix("Q")
    if "BatchNormalization" in plain:
        return norm_weights(config, shape, layer, "")
    if plain in ("Dense", "Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
                 "Conv2DBatchnorm", "DepthwiseConv2DBatchnorm"):  # fmt: skip
        found = kernels(plain, config, shape, layer)
        if plain.endswith("Batchnorm"):
            after = output_shape(class_name, config, [shape], layer)
            iteration = Weight("iteration", (), trainable=False)
            return [*found, iteration, *norm_weights(config, after, layer, "batchnorm")]
        return found
    if class_name in RECURRENT:
        columns = RECURRENT[class_name] * config["units"]
        shapes: dict[str, Shape] = {"kernel": (shape[-1], columns), "recurrent_kernel": (config["units"], columns)}
        shapes |= {"bias": (columns,)} if config["use_bias"] else {}
        return [Weight(name, size, part="cell") for name, size in shapes.items()]
    if plain == "PReLU":
        shared = config["shared_axes"] or ()
        return [Weight("alpha", tuple(1 if axis + 1 in shared else size for axis, size in enumerate(shape)))]
    return []


def kernels(plain: str, config: Config, shape: Shape, layer: str) -> list[Weight]:
    channels = shape[-1]
    if plain == "Dense":
        found, outputs = [Weight("kernel", (channels, config["units"]))], config["units"]
    else:
        size = config["kernel_size"]
        outputs = conv(config, shape)[-1]
        if plain.startswith("Conv"):
            groups = config["groups"]
            fits = channels % groups == 0 and outputs % groups == 0
            expect(fits, layer, f"{groups} groups do not divide {channels} channels and {outputs} filters")
            found = [Weight("kernel", (*size, channels // groups, outputs))]
        else:
            multiplied = channels * config["depth_multiplier"]
            found = [Weight("depthwise_kernel", (*size, channels, config["depth_multiplier"]))]
            if plain.startswith("Separable"):
                found.append(Weight("pointwise_kernel", (*(1,) * len(size), multiplied, outputs)))
    if config["use_bias"]:
        found.append(Weight("bias", (outputs,)))
    return found


def norm_weights(config: Config, shape: Shape, layer: str, part: str) -> list[Weight]:
    axis = config["axis"]
    expect(axis in (-1, len(shape)), layer, f"the normalization runs over axis {axis}, not the last")
    names = [("gamma", True)] * config["scale"] + [("beta", True)] * config["center"]
    names += [("moving_mean", False), ("moving_variance", False)]
    return [Weight(name, (shape[-1],), trainable, part) for name, trainable in names]
