"""Writes the files of this folder with TensorFlow 2.15.1: see test_older_files.py."""

import os
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0", CUDA_VISIBLE_DEVICES="-1")

import numpy as np
import tensorflow as tf
from qkeras import (
    QActivation,
    QConv2D,
    QConv2DBatchnorm,
    QDense,
    QDepthwiseConv2D,
    binary,
    quantized_bits,
    quantized_relu,
    ternary,
)

L = tf.keras.layers
HERE = Path(__file__).parent


def network() -> tf.keras.Model:
    image = tf.keras.Input((6, 6, 2), name="image")
    x = QActivation("quantized_bits(8,0,1)", name="in_q")(image)
    x = QConv2D(4, 3, padding="same", kernel_quantizer=quantized_bits(4, 0, 1), bias_quantizer="quantized_bits(8,2,1)",
                activation=quantized_relu(4, 2), name="conv")(x)  # fmt: skip
    y = QDepthwiseConv2D(3, padding="same", depthwise_quantizer=binary(alpha=1), use_bias=False, name="depthwise")(x)
    y = L.BatchNormalization(name="norm")(y)
    x = QActivation("quantized_relu(6,2)", name="act")(L.Add(name="add")([x, y]))
    x = QConv2DBatchnorm(3, 3, kernel_quantizer=quantized_bits(6, 0, 1, alpha=1), bias_quantizer=quantized_bits(12, 3),
                         name="folded")(x)  # fmt: skip
    x = QActivation("quantized_bits(8,3,1,alpha=1)", name="grid")(x)
    x = QDense(5, kernel_quantizer=ternary(alpha="auto_po2"), bias_quantizer=quantized_bits(8, 2, alpha=1),
               name="dense")(L.Flatten(name="flat")(x))  # fmt: skip
    return tf.keras.Model(image, x, name="written_by_tf_2_15")


def main() -> None:
    model, rng = network(), np.random.default_rng(215)
    for variable in model.variables:
        if variable.dtype == tf.float32:
            value = rng.normal(size=variable.shape) * 0.5
            variable.assign(np.abs(value) + 0.1 if "variance" in variable.name else value)
    fed = rng.normal(size=(3, 6, 6, 2)).astype(np.float32)
    variables = [(layer.name, variable) for layer in model.layers for variable in layer.variables]
    weights = {f"{name}|{v.name.split('/')[-1].split(':')[0]}": v.numpy() for name, v in variables}
    np.savez_compressed(HERE / "tf_2_15.npz", input=fed, output=model(fed, training=False).numpy(), **weights)
    model.save(HERE / "tf_2_15.h5")
    model.save(HERE / "tf_2_15.keras")
    model.save_weights(HERE / "tf_2_15.weights.h5")
    (HERE / "tf_2_15.json").write_text(model.to_json())


if __name__ == "__main__":
    main()
