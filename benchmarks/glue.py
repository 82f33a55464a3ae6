"""Steps between the layers that multiply: residual additions, elementwise steps, pooling, copies; one network each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mcugen.ir import Layer, Network
from mcugen.quantizers import parse

ACT8, FINER = "quantized_bits(8,2,1,alpha=1)", "quantized_bits(8,1,1,alpha=1)"


@dataclass(frozen=True)
class Glue:
    """Keras class and config of the step; the quantizers of its inputs, and of an activation after it, if any."""

    name: str
    size: int
    channels: int
    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = (ACT8,)
    after: str = ""


POOL = {"padding": "valid", "pool_size": (2, 2), "strides": (2, 2)}
GLUE = (
    Glue("residual add 24x24x64", 24, 64, "Add", inputs=(ACT8, ACT8), after=ACT8),
    Glue("residual add 24x24x64, grids differ", 24, 64, "Add", inputs=(ACT8, FINER), after=ACT8),
    Glue("relu of int8 24x24x64", 24, 64, "QActivation", {"activation": "quantized_relu(8,2)"}),
    Glue("tanh of int8 24x24x64", 24, 64, "QActivation", {"activation": "quantized_tanh(8)"}),
    Glue("max pooling 2x2 24x24x64", 24, 64, "MaxPooling2D", POOL),
    Glue("max pooling 3x3 s2 24x24x64", 24, 64, "MaxPooling2D", {"padding": "same", "pool_size": (3, 3), "strides": (2, 2)}),
    Glue("average pooling 2x2 24x24x64", 24, 64, "AveragePooling2D", POOL, after=ACT8),
    Glue("global average pooling 12x12x64", 12, 64, "GlobalAveragePooling2D", after=ACT8),
    Glue("concatenation 24x24x64 twice", 24, 64, "Concatenate", inputs=(ACT8, ACT8)),
    Glue("zero padding 24x24x64", 24, 64, "ZeroPadding2D", {"padding": ((1, 1), (1, 1))}),
    Glue("upsampling 12x12x64 twice", 12, 64, "UpSampling2D", {"size": (2, 2)}),
)


def network(glue: Glue) -> Network:
    """Inputs of their own, each behind its quantizer."""
    layers, names = [], []
    shape = (glue.size, glue.size, glue.channels)
    for k, text in enumerate(glue.inputs):
        layers.append(Layer(f"image{k}", "InputLayer", {"shape": shape}, ()))
        layers.append(Layer(f"x{k}", "QActivation", {"activation": parse(text, "bench")}, (f"image{k}",)))
        names.append(f"x{k}")
    config = {key: parse(value, "bench") if key == "activation" else value for key, value in glue.config.items()}
    layers.append(Layer("step", glue.kind, config, tuple(names)))
    if glue.after:
        layers.append(Layer("y", "QActivation", {"activation": parse(glue.after, "bench")}, ("step",)))
    return Network("bench", tuple(layers), tuple(f"image{k}" for k in range(len(names))), (layers[-1].name,))
