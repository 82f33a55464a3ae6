"""Random small networks as the loader would hand them over: no TensorFlow needed. Drawn from one integer seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcugen.ir import Layer, Network
from mcugen.quantizers import parse

ACTIVATIONS = (
    "quantized_bits(8,2,1,alpha=1)",
    "quantized_bits(4,1,1,alpha=1)",
    "quantized_bits(2,1,1,alpha=1)",
    "quantized_bits(16,5,1,alpha=1)",
    "quantized_relu(8,2)",
    "quantized_relu(4,2)",
    "quantized_relu(2,1)",
    "quantized_tanh(6)",
    "quantized_sigmoid(5)",
    "binary(alpha=1)",
    "ternary(alpha=1)",
)
WEIGHTS = (
    "quantized_bits(8,0,1,alpha=1)",
    "quantized_bits(4,0,1,alpha=1)",
    "quantized_bits(2,0,1,alpha=1)",
    "quantized_bits(16,0,1,alpha=1)",
    "quantized_bits(8,0,1,alpha='auto_po2')",
    "quantized_bits(4,0,1,alpha='auto')",
    "ternary(alpha=1)",
    "binary(alpha=1)",
)


class NetworkMaker:
    """Adds layers one by one; keeps every tensor's shape and whether it is quantized."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.layers: list[Layer] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.extreme = self.rng.random() < 0.2

    def add(self, cls: str, config: dict[str, Any], inputs: tuple[str, ...], shape: tuple[int, ...], **weights: Any) -> str:
        name = f"l{len(self.layers)}"
        arrays = {key: np.asarray(value, np.float32) for key, value in weights.items()}
        self.layers.append(Layer(name, cls, config, inputs, arrays))
        self.shapes[name] = shape
        return name

    def pick(self, *options: Any) -> Any:
        return options[self.rng.integers(len(options))]

    def activation(self, source: str, *choices: str) -> str:
        quantizer = parse(self.pick(*(choices or ACTIVATIONS)), "act")
        return self.add("QActivation", {"activation": quantizer}, (source,), self.shapes[source])

    def norm(self, source: str) -> str:
        n = self.shapes[source][-1]
        gamma = self.rng.normal(0.3, 0.5, n)
        gamma[self.rng.random(n) < 0.1] = 0
        scale = 1e-3 if self.extreme else 1.0
        return self.add(
            "BatchNormalization", {"epsilon": 1e-3, "axis": -1}, (source,), self.shapes[source],
            gamma=gamma, beta=self.rng.normal(size=n), moving_mean=self.rng.normal(size=n),
            moving_variance=self.rng.random(n) * scale + 1e-4,
        )  # fmt: skip

    def kernel(self, shape: tuple[int, ...]) -> Any:
        values = self.rng.normal(0, 0.4, shape)
        return np.sign(values) * 4 if self.extreme else values

    def conv(self, source: str) -> str:
        h, w, c = self.shapes[source]
        kh, kw = int(self.pick(1, 2, 3, 5)), int(self.pick(1, 3))
        padding = self.pick("same", "valid") if h >= kh and w >= kw else "same"
        strides = (int(self.pick(1, 2)),) * 2
        dilation = (int(self.pick(1, 1, 2)),) * 2 if strides == (1, 1) and padding == "same" else (1, 1)
        depthwise = self.rng.random() < 0.35
        multiplier = int(self.pick(1, 1, 2))
        out = c * multiplier if depthwise else int(self.pick(1, 3, 8, 17, 33))
        sizes = [-(-n // s) if padding == "same" else (n - k) // s + 1 for n, s, k in ((h, strides[0], kh), (w, strides[1], kw))]
        config = {
            "strides": strides, "padding": padding, "dilation_rate": dilation, "groups": 1, "activation": None,
            "use_bias": bool(self.rng.random() < 0.3), "bias_quantizer": parse("quantized_bits(8,2,1,alpha=1)", "b"),
        }  # fmt: skip
        quantizer = parse(self.pick(*WEIGHTS), "w")
        bias = self.rng.normal(size=out)
        if depthwise:
            kernel = self.kernel((kh, kw, c, multiplier))
            config["depthwise_quantizer"] = quantizer
            return self.add("QDepthwiseConv2D", config, (source,), (*sizes, out), depthwise_kernel=kernel, bias=bias)
        config["kernel_quantizer"] = quantizer
        return self.add("QConv2D", config, (source,), (*sizes, out), kernel=self.kernel((kh, kw, c, out)), bias=bias)

    def dense(self, source: str) -> str:
        n, out = self.shapes[source][-1], int(self.pick(1, 5, 16))
        config = {
            "activation": None, "use_bias": True, "bias_quantizer": parse("quantized_bits(16,2,1)", "b"),
            "kernel_quantizer": parse(self.pick(*WEIGHTS), "w"),
        }  # fmt: skip
        return self.add("QDense", config, (source,), (out,), kernel=self.kernel((n, out)), bias=self.rng.normal(size=out))

    def pool(self, source: str) -> str:
        h, w, c = self.shapes[source]
        config = {"pool_size": (2, 2), "strides": (2, 2), "padding": "same"}
        return self.add("MaxPooling2D", config, (source,), (-(-h // 2), -(-w // 2), c))


def random_network(seed: int) -> Network:
    """A chain with residual additions, concatenations, pooling and a dense end."""
    make = NetworkMaker(seed)
    shape = (int(make.rng.integers(3, 10)), int(make.rng.integers(3, 10)), int(make.pick(1, 2, 3, 5)))
    source = make.add("InputLayer", {"shape": shape}, (), shape)
    source = make.activation(source, "quantized_bits(8,0,1)", "quantized_bits(4,0,1)", "quantized_relu(8,0)")
    for _ in range(int(make.rng.integers(1, 5))):
        source = _block(make, source)
    if make.rng.random() < 0.6:
        size = int(np.prod(make.shapes[source]))
        source = make.dense(make.add("Flatten", {}, (source,), (size,)))
    return Network("random", tuple(make.layers), ("l0",), (source,))


def _block(make: NetworkMaker, source: str) -> str:
    made = make.conv(source)
    if make.rng.random() < 0.8:
        made = make.norm(made)
    if make.shapes[made] == make.shapes[source] and make.rng.random() < 0.8:
        made = make.add("Add", {}, (source, made), make.shapes[made])
    if make.rng.random() < 0.2:
        config = {"max_value": make.pick(None, 1.5), "negative_slope": make.pick(0.0, 0.25)}
        made = make.add("ReLU", config, (made,), make.shapes[made])
    made = make.activation(made)
    if make.shapes[made][:2] == make.shapes[source][:2] and make.rng.random() < 0.3:
        twin = make.activation(source, *[str(a) for a in ACTIVATIONS[:1]])
        made = make.activation(made, ACTIVATIONS[0])
        shape = make.shapes[made]
        made = make.add("Concatenate", {"axis": -1}, (twin, made), (*shape[:2], shape[2] + make.shapes[twin][2]))
    if make.rng.random() < 0.2:
        made = make.pool(made)
    return made
