"""Single layers of random models with their settings, by family."""

from __future__ import annotations

from tests.fuzzing.maker import Json, Maker, Shape
from tests.fuzzing.quantizers import BIASES, GATES, PLAIN_WEIGHTS, STATES


def kernel(m: Maker, rank: int, spatial: Shape) -> Json:
    """Size, strides, dilation and padding of a window that fits an image."""
    size = [m.pick(1, 1, 2, 3, 3, 5) for _ in range(rank)]
    strides, dilation = [1] * rank, [1] * rank
    if m.chance(0.3):
        strides = [m.pick(1, 2, 3)] * rank
    elif m.chance(0.3):
        dilation = [m.pick(1, 2, 3) for _ in range(rank)]
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
    if max(config["dilation_rate"]) == 1 and m.chance(0.3):
        config["strides"] = [m.pick(1, 2, 3), m.pick(1, 2)]  # TensorFlow's depthwise needs equal strides
    if kind == "folded":
        return m.add("QConv2DBatchnorm", source, **config)
    if shape[-1] % 2 == 0 and m.chance(0.15):
        config |= {"filters": 6, "groups": 2}
    return m.add("QConv2D", source, **config)


def dense(m: Maker, source: str) -> str:
    units = m.pick(1, 5, 10, 16)
    quantizers = {"kernel_quantizer": m.weight(), "bias_quantizer": m.pick(*BIASES)}
    return m.add("QDense", source, units=units, use_bias=m.chance(0.7), activation=m.inner(), **quantizers)


def recurrent(m: Maker, source: str) -> str:
    """A recurrent layer over a few steps, with a state that keeps 0."""
    kind, biased = m.pick("QSimpleRNN", "QLSTM", "QGRU"), m.chance(0.8)
    config = {"units": m.pick(1, 3, 4), "kernel_quantizer": m.pick(*PLAIN_WEIGHTS), "recurrent_quantizer": m.pick(*PLAIN_WEIGHTS),
              "use_bias": biased, "bias_quantizer": m.pick(*BIASES) if biased else None, "activation": m.pick(*STATES, *GATES),
              "state_quantizer": m.pick(*STATES, *([] if kind == "QGRU" else [None])),
              "return_sequences": m.chance(0.5), "go_backwards": m.chance(0.3)}  # fmt: skip
    if kind != "QSimpleRNN":
        config |= {"recurrent_activation": m.pick(*GATES), "implementation": m.pick(1, 2)}
    return m.add(kind, source, **config)


def norm(m: Maker, source: str) -> str:
    if m.chance(0.15):
        names = ("gamma_quantizer", "beta_quantizer", "mean_quantizer", "variance_quantizer")
        choices = (None, "quantized_bits(8,2,1)", "quantized_relu(8,2)", "quantized_po2(6,4)", "quantized_relu_po2(6,4)")
        if m.chance(0.3):  # QKeras's own defaults
            variance = "quantized_relu_po2(6,quadratic_approximation=True)"
            choices = ("quantized_relu_po2(6,2048)", "quantized_po2(5)", "quantized_po2(5)", variance)
            return m.add("QBatchNormalization", source, **dict(zip(names, choices, strict=True)))
        return m.add("QBatchNormalization", source, **{name: m.pick(*choices) for name in names})
    return m.add("BatchNormalization", source, center=m.chance(0.9), scale=m.chance(0.9), epsilon=m.pick(1e-3, 1e-5))


def elementwise(m: Maker, source: str) -> str:
    """A layer between a sum and its quantizer."""
    kind = m.whole(0, 7)
    rank = len(m.shapes[source]) - 1
    if kind == 0:
        return m.add("ReLU", source, max_value=m.pick(None, 1.5, 6.0), negative_slope=m.pick(0.0, 0.25))
    if kind == 1:
        return m.add("LeakyReLU", source, alpha=m.pick(0.1, 0.25))
    if kind == 2:
        return m.add("PReLU", source)
    if kind == 3:
        return m.add("Activation", source, activation=m.pick("relu", "relu6", "hard_sigmoid", "linear"))
    if kind == 4:
        noise: list[tuple[str, Json]] = [("GaussianNoise", {"stddev": 0.1}), ("ActivityRegularization", {"l2": 0.1})]
        kinds = ["Dropout", "GaussianDropout", "AlphaDropout", *([f"SpatialDropout{rank}D"] if rank else [])]
        class_name, config = m.pick(*noise, *((name, {"rate": 0.3}) for name in kinds))
        return m.add(class_name, source, **config)
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
    config["strides"] = m.pick(None, [m.pick(1, 2, 3) for _ in range(rank)])
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
