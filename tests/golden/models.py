"""Small models for the golden tests, built in the oracle's process: every layer class, and random stacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from qkeras import (
    QActivation,
    QAveragePooling2D,
    QBatchNormalization,
    QConv1D,
    QConv2D,
    QConv2DBatchnorm,
    QDense,
    QDepthwiseConv2D,
    QDepthwiseConv2DBatchnorm,
    QGlobalAveragePooling2D,
    QMobileNetSeparableConv2D,
    QSeparableConv1D,
    QSeparableConv2D,
    binary,
    quantized_bits,
    quantized_po2,
    quantized_relu,
    quantized_tanh,
    stochastic_binary,
    stochastic_ternary,
    ternary,
)

L = tf.keras.layers


def every_layer_2d() -> Any:
    image = tf.keras.Input((8, 8, 3), name="image")
    x = QActivation(quantized_bits(8, 0, 1), name="in_q")(image)
    x = QConv2D(4, 3, padding="same", kernel_quantizer=quantized_bits(4, 0, alpha=None), name="conv",
                bias_quantizer="quantized_bits(8,2,1)", activation="quantized_relu(4,2)")(x)  # fmt: skip
    x = QDepthwiseConv2D(3, strides=2, padding="same", depthwise_quantizer=binary(alpha=1), name="depthwise",
                         activation=quantized_relu(4, 1), bias_quantizer=quantized_bits(8, 2, alpha=1))(x)  # fmt: skip
    x = QActivation("quantized_relu(6,2)", name="act")(L.BatchNormalization(name="norm")(x))
    y = QConv2DBatchnorm(4, 3, padding="same", kernel_quantizer=quantized_bits(6, 0, 1, alpha=1), name="folded",
                         bias_quantizer=quantized_bits(12, 3))(x)  # fmt: skip
    z = QDepthwiseConv2DBatchnorm(3, padding="same", depthwise_quantizer="quantized_bits(6,0,1,alpha=1)",
                                  name="folded_depthwise", use_bias=False,
                                  bias_quantizer=quantized_bits(12, 3))(x)  # fmt: skip
    x = L.Add(name="add")([y, z])
    x = QActivation(quantized_tanh(5), name="tanh")(QBatchNormalization(name="qnorm")(x))
    x = QSeparableConv2D(5, 3, depthwise_quantizer=quantized_po2(4), pointwise_quantizer=ternary(), name="separable",
                         bias_quantizer=quantized_bits(8, 1), padding="same", depth_multiplier=2)(x)  # fmt: skip
    x = QAveragePooling2D(2, average_quantizer=quantized_bits(8, 0, 1), activation=quantized_bits(8, 2))(x)
    x = L.ReLU(max_value=6, negative_slope=0.25)(L.PReLU(shared_axes=[1, 2], name="prelu")(x))
    x = QDense(6, kernel_quantizer=stochastic_ternary(), bias_quantizer=quantized_bits(8, 1))(L.Flatten()(x))
    return tf.keras.Model(image, L.Activation("softmax")(L.Dropout(0.3)(x)), name="every2d")


def plain_2d() -> Any:
    image = tf.keras.Input((6, 6, 4), name="image")
    x = L.ZeroPadding2D(((1, 0), (2, 1)))(image)
    x = L.Conv2D(4, (3, 2), strides=(2, 1), groups=2, activation="relu")(x)
    x = L.LeakyReLU(0.125)(L.UpSampling2D(2)(x))
    x = L.SeparableConv2D(3, 3, depth_multiplier=2, use_bias=False)(x)
    x = L.Cropping2D(((0, 1), (1, 0)))(L.DepthwiseConv2D(2, depth_multiplier=2)(x))
    a, b = L.MaxPooling2D(2)(x), L.AveragePooling2D(2)(x)
    x = L.Concatenate()([L.Subtract()([a, b]), L.Multiply()([a, b]), L.Maximum()([a, b])])
    x = L.Reshape((-1, 3))(L.Permute((2, 1, 3))(x))
    x = L.Dense(4, activation="tanh")(L.Flatten()(x))
    return tf.keras.Model(image, [x, L.Softmax()(x), L.UnitNormalization()(x)], name="plain2d")


def sequential_1d() -> Any:
    return tf.keras.Sequential(
        [
            QConv1D(4, 3, input_shape=(16, 2), kernel_quantizer=binary(), bias_quantizer=quantized_bits(4, 0)),
            QActivation("binary"),
            L.MaxPooling1D(2),
            QSeparableConv1D(
                3,
                3,
                padding="same",
                depthwise_quantizer="quantized_bits(4,0,1,alpha='auto')",
                pointwise_quantizer=stochastic_binary(alpha="auto"),
            ),
            L.BatchNormalization(scale=False),
            L.Conv1D(3, 2, dilation_rate=2, padding="causal"),
            L.BatchNormalization(center=False),
            L.GlobalAveragePooling1D(keepdims=True),
            L.Flatten(),
            QDense(3, kernel_quantizer=quantized_bits(3, 0, 1), use_bias=False),
        ],
        name="sequential",
    )


def nested() -> Any:
    def chain(name: str) -> Any:
        dense = QDense(4, kernel_quantizer=quantized_bits(3, 0, 1), input_shape=(4,), name="dense")
        return tf.keras.Sequential([dense, L.BatchNormalization(), QActivation("binary", name="sign")], name=name)

    inner = chain("inner")
    a = tf.keras.Input((3,), name="a")
    middle_in = tf.keras.Input((3,))
    middle = tf.keras.Model(middle_in, chain("chain")(L.BatchNormalization(name="before")(L.Dense(4)(middle_in))), name="middle")
    b = tf.keras.Input((4,), name="b")
    shared = L.Dense(4, name="shared")
    x = L.Concatenate()([middle(a), inner(b), shared(b), shared(shared(b))])
    out = L.Dense(2, name="out")(x)
    return tf.keras.Model([a, b], [out, x], name="nested")


def branches() -> Any:
    """A model of two outputs inside a model, QKeras's function that makes several layers, quantizers in plain layers."""
    inside = tf.keras.Input((6, 6, 2))
    first = L.Conv2D(4, 3, padding="same", activation=quantized_relu(4, 1), name="conv")(inside)
    body = tf.keras.Model(inside, [first, L.MaxPooling2D(2)(first)], name="body")
    image = tf.keras.Input((6, 6, 2), name="image")
    fine, coarse = body(image)
    x = QMobileNetSeparableConv2D(4, 3, padding="same", depthwise_quantizer=quantized_bits(4, 0, 1, alpha=1),
                                  pointwise_quantizer=ternary(), depthwise_activation=quantized_relu(4, 1),
                                  activation=quantized_bits(8, 2), name="mobile")(fine)  # fmt: skip
    x = L.Add()([L.Concatenate()([x, L.UpSampling2D(2)(coarse)]), L.Concatenate()([fine, fine])])
    return tf.keras.Model(image, x, name="branches")


def frozen() -> Any:
    image = tf.keras.Input((5, 5, 2), name="image")
    x = QConv2DBatchnorm(3, 3, kernel_quantizer=quantized_bits(4, 0, 1, alpha=1), name="folded")(image)
    inner = tf.keras.Sequential([L.Conv2D(2, 2, input_shape=(3, 3, 3)), L.BatchNormalization()], name="backbone")
    x = QGlobalAveragePooling2D(average_quantizer=quantized_bits(8, 0, 1), activation=quantized_bits(8, 2))(inner(x))
    model = tf.keras.Model(image, x, name="frozen")
    model.get_layer("folded").trainable = False
    inner.layers[0].trainable = False
    return model


ACTIVATIONS: list[Callable[[], Any]] = [
    lambda: quantized_bits(8, 2, 1),
    lambda: quantized_relu(4, 2),
    lambda: "quantized_relu(6,1)",
    lambda: binary(alpha=1),
    lambda: ternary(alpha=0.5, threshold=0.25),
    lambda: "quantized_tanh(4)",
    lambda: "quantized_sigmoid(5)",
    lambda: "quantized_hswish(8,3)",
]
WEIGHTS: list[Callable[[], Any]] = [
    lambda: quantized_bits(8, 0, 1, alpha=1),
    lambda: quantized_bits(4, 0),
    lambda: quantized_bits(3, 0, 1, alpha="auto"),
    lambda: binary(),
    lambda: ternary(alpha="auto"),
    lambda: quantized_po2(4, 1),
    lambda: "quantized_bits(2,0,1,alpha=1)",
]


def random_model(seed: int) -> Any:
    """A stack of random quantized layers with a residual addition where shapes allow."""
    rng = np.random.default_rng(seed)

    def pick(choices: list[Callable[[], Any]]) -> Any:
        return choices[rng.integers(len(choices))]()

    size, channels = int(rng.integers(5, 10)), int(rng.integers(1, 5))
    image = tf.keras.Input((size, size, channels), name="image")
    x = QActivation(pick(ACTIVATIONS))(image)
    for _ in range(int(rng.integers(2, 5))):
        before, kind = x, rng.integers(4)
        bias = pick([lambda: None, lambda: quantized_bits(8, 2, 1)])
        common = {
            "padding": str(rng.choice(["same", "valid"])),
            "bias_quantizer": bias,
            "use_bias": bool(rng.integers(2)),
        }
        filters, kernel = int(rng.integers(1, 10)), int(rng.integers(1, 4))
        if kind == 0:
            x = QConv2D(filters, kernel, strides=int(rng.integers(1, 3)), kernel_quantizer=pick(WEIGHTS), **common)(x)
        elif kind == 1:
            x = QDepthwiseConv2D(kernel, depthwise_quantizer=pick(WEIGHTS), **common)(x)
        elif kind == 2:
            x = QSeparableConv2D(filters, kernel, depthwise_quantizer=pick(WEIGHTS), pointwise_quantizer=pick(WEIGHTS),
                                 **common)(x)  # fmt: skip
        else:
            x = QConv2DBatchnorm(filters, kernel, kernel_quantizer=pick(WEIGHTS), **common)(x)
        if rng.integers(2):
            x = L.BatchNormalization()(x)
        x = QActivation(pick(ACTIVATIONS))(x)
        if before.shape[1:] == x.shape[1:]:
            x = L.Add()([before, x])
        if x.shape[1] < 3:
            break
    x = QDense(int(rng.integers(1, 5)), kernel_quantizer=pick(WEIGHTS))(L.Flatten()(x))
    return tf.keras.Model(image, x, name=f"random{seed}")


def randomize(model: Any, seed: int) -> Any:
    """Random weights; variances positive. Changes the model in place and returns it."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype == tf.float32:
            value = rng.normal(size=variable.shape) * 0.5
            variable.assign(np.abs(value) + 0.1 if "variance" in variable.name else value)
    return model


def models() -> dict[str, Any]:
    made = {"every2d": every_layer_2d(), "plain2d": plain_2d(), "sequential": sequential_1d(), "nested": nested(),
            "branches": branches(), "frozen": frozen()}  # fmt: skip
    made.update({f"random{seed}": random_model(seed) for seed in range(12)})
    return {name: randomize(model, index) for index, (name, model) in enumerate(made.items())}
