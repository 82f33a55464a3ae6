"""The rows and columns of docs/coverage.md, and the branch of a model that each cell stands for."""

from __future__ import annotations

from typing import Any

from mcugen.load.classes import CLASSES
from tests.fuzzing.maker import Json
from tests.fuzzing.quantizers import ODD_WEIGHTS, obj

WIDTHS = range(1, 17)
WEIGHTED = ("QConv1D", "QConv2D", "QDepthwiseConv2D", "QSeparableConv1D", "QSeparableConv2D", "QDense", "QConv2DBatchnorm",
            "QDepthwiseConv2DBatchnorm")  # fmt: skip
WEIGHTS: tuple[Any, ...] = (
    *(f"quantized_bits({bits},0,1,alpha=1)" for bits in WIDTHS),
    *(f"quantized_bits({bits},0,1,alpha='auto_po2')" for bits in (2, 4, 8, 16)),
    obj("quantized_bits", bits=4, integer=0, alpha=None),
    obj("quantized_bits", bits=8, integer=0, keep_negative=False, alpha=1),
    *ODD_WEIGHTS,
    "binary(alpha=1)", "binary(alpha='auto_po2')", "binary(use_01=True,alpha=1)", obj("binary", alpha=None),
    "stochastic_binary(alpha=1)",
    "ternary(alpha=1)", "ternary(alpha='auto_po2')", "ternary(alpha=1,threshold=0.5)", obj("ternary", alpha=None, threshold=None),
    "stochastic_ternary(alpha=1)",
    "quantized_po2(3)", "quantized_po2(4,1)", "quantized_relu_po2(3,2)",
    "quantized_relu(4,0)", "quantized_tanh(4)", "quantized_sigmoid(4)", "quantized_ulaw(4)",
    None,
)  # fmt: skip
OPTIONS: dict[str, Json] = {
    "padding='valid'": {"padding": "valid"}, "padding='causal'": {"padding": "causal"},
    "strides=2": {"strides": 2}, "strides=(2, 1)": {"strides": [2, 1]},
    "kernel_size=(1, 3)": {"kernel_size": [1, 3]}, "kernel_size=(4, 2)": {"kernel_size": [4, 2]},
    "dilation_rate=2": {"dilation_rate": 2}, "dilation_rate=(2, 1)": {"dilation_rate": [2, 1]},
    "groups=3": {"groups": 3, "filters": 6}, "depth_multiplier=2": {"depth_multiplier": 2},
    "use_bias=False": {"use_bias": False}, "bias_quantizer=None": {"bias_quantizer": None},
    "activation='quantized_relu(4,1)'": {"activation": "quantized_relu(4,1)"}, "activation='relu'": {"activation": "relu"},
    "data_format='channels_first'": {"data_format": "channels_first"},
}  # fmt: skip
PLACES = ("first layer", "after QConv2D", "after BatchNormalization", "activation= of QDense", "after Add")
ACTIVATIONS: tuple[Any, ...] = (
    *(f"quantized_bits({bits},{min(2, bits - 1)},1,alpha=1)" for bits in WIDTHS),
    "quantized_bits(20,4,1)",
    "quantized_bits(8,2,keep_negative=False)",
    obj("quantized_bits", bits=6, integer=2, alpha=0.5),
    obj("quantized_bits", bits=6, integer=2, alpha=0.3),
    "quantized_bits(8,2,alpha='auto')",
    *(f"quantized_relu({bits},{min(2, bits - 1)})" for bits in WIDTHS),
    "quantized_relu(6,2,negative_slope=0.25)", "quantized_relu(6,2,1)", "quantized_relu(6,2,relu_upper_bound=2)",
    "quantized_tanh(4)", "quantized_tanh(8)", "quantized_tanh(6,use_real_tanh=True)",
    "quantized_sigmoid(4)", "quantized_sigmoid(8)", "quantized_sigmoid(6,use_real_sigmoid=True)",
    "quantized_hswish(8,3)", "quantized_ulaw(6,1)", "quantized_po2(4,2)", "quantized_relu_po2(4,2)",
    "binary", "binary(alpha=1)", "binary(alpha=0.7)", "binary(use_01=True,alpha=1)", "stochastic_binary(alpha=1)",
    "ternary", "ternary(alpha=1)", "stochastic_ternary(alpha=1)",
)  # fmt: skip
INPUT_KINDS: dict[str, Any] = {
    "16 bits": "quantized_bits(16,1,1)",
    "8 bits": "quantized_bits(8,1,1)",
    "8 bits, no sign": "quantized_relu(8,1)",
    "4 bits": "quantized_bits(4,1,1)",
    "2 bits": "quantized_bits(2,1,1)",
    "ternary": "ternary(alpha=1)",
    "binary": "binary(alpha=1)",
    "a sum, float bias": None,
}
LAYERS: dict[str, Json] = {
    "BatchNormalization": {},
    "QBatchNormalization": {"gamma_quantizer": "quantized_bits(8,2,1)", "beta_quantizer": "quantized_bits(8,2,1)"},
    "Activation(relu)": {"activation": "relu"}, "Activation(relu6)": {"activation": "relu6"},
    "Activation(hard_sigmoid)": {"activation": "hard_sigmoid"}, "Activation(sigmoid)": {"activation": "sigmoid"},
    "Activation(sigmoid) last": {"activation": "sigmoid"}, "Activation(tanh) last": {"activation": "tanh"},
    "Activation(elu)": {"activation": "elu"}, "Activation(softplus)": {"activation": "softplus"},
    "Activation(swish)": {"activation": "swish"},
    "ReLU": {}, "ReLU(max_value=6)": {"max_value": 6.0}, "ReLU(negative_slope=0.25)": {"negative_slope": 0.25},
    "ReLU(threshold=1)": {"threshold": 1.0}, "LeakyReLU": {"alpha": 0.1}, "PReLU": {"shared_axes": [1, 2]}, "PReLU()": {},
    "Softmax": {}, "Softmax last": {}, "UnitNormalization last": {}, "Rescaling": {"scale": 0.5, "offset": 0.1},
    "Add": {}, "Subtract": {}, "Multiply": {}, "Average": {}, "Maximum": {}, "Minimum": {}, "Concatenate": {},
    "MaxPooling2D": {}, "MaxPooling2D(same)": {"pool_size": 3, "strides": 2, "padding": "same"},
    "AveragePooling2D": {}, "AveragePooling2D(3)": {"pool_size": 3},
    "AveragePooling2D(same)": {"pool_size": 3, "strides": 2, "padding": "same"},
    "QAveragePooling2D": {"average_quantizer": "quantized_bits(8,0,1)"},
    "QAveragePooling2D(same)": {"pool_size": 3, "padding": "same", "average_quantizer": "quantized_bits(8,0,1)"},
    "GlobalMaxPooling2D": {}, "GlobalAveragePooling2D": {},
    "QGlobalAveragePooling2D": {"average_quantizer": "quantized_bits(8,0,1)"},
    "MaxPooling1D": {}, "AveragePooling1D": {}, "GlobalMaxPooling1D": {}, "GlobalAveragePooling1D": {},
    "ZeroPadding1D": {"padding": 1}, "ZeroPadding2D": {"padding": [[1, 0], [0, 2]]}, "ZeroPadding2D last": {},
    "Cropping1D": {"cropping": 1}, "Cropping2D": {"cropping": [[1, 0], [1, 1]]},
    "UpSampling1D": {"size": 2}, "UpSampling2D": {}, "UpSampling2D(bilinear)": {"interpolation": "bilinear"},
    "Permute": {"dims": [2, 3, 1]}, "Reshape": {"target_shape": [2, -1]}, "Flatten": {},
    **{name: {"rate": 0.3} for name in ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianDropout", "AlphaDropout")},
    "GaussianNoise": {"stddev": 0.1}, "ActivityRegularization": {},
    "Conv1D": {"filters": 3, "kernel_size": 3}, "Conv2D": {"filters": 3, "kernel_size": 3}, "Dense": {"units": 3},
    "DepthwiseConv2D": {"kernel_size": 3}, "SeparableConv1D": {"filters": 3, "kernel_size": 3},
    "SeparableConv2D": {"filters": 3, "kernel_size": 3},
}  # fmt: skip
RECURRENT = ("QSimpleRNN", "QLSTM", "QGRU")
RECURRENT_OPTIONS: dict[str, Json] = {
    "no option": {}, "return_sequences=True": {"return_sequences": True}, "go_backwards=True": {"go_backwards": True},
    "use_bias=False": {"use_bias": False}, "bias_quantizer=None": {"bias_quantizer": None},
    "implementation=2": {"implementation": 2},
    **{f"kernel and recurrent {shown}": {"kernel_quantizer": each, "recurrent_quantizer": each} for shown, each in (
        ("'quantized_bits(8,0,1,alpha=1)'", "quantized_bits(8,0,1,alpha=1)"),
        ("quantized_bits(4,0,alpha=None)", obj("quantized_bits", bits=4, integer=0, alpha=None)),
        ("'quantized_bits(4,0,1,alpha='auto')'", "quantized_bits(4,0,1,alpha='auto')"),
        ("'binary(alpha=1)'", "binary(alpha=1)"), ("'ternary(alpha=1)'", "ternary(alpha=1)"), ("None", None))},
    "state_quantizer=None": {"state_quantizer": None},
    "state_quantizer='binary(alpha=1)'": {"state_quantizer": "binary(alpha=1)"},
    "activation='quantized_bits(8,1,1,alpha=1)'": {"activation": "quantized_bits(8,1,1,alpha=1)"},
    "activation='binary(alpha=1)'": {"activation": "binary(alpha=1)"}, "activation='tanh'": {"activation": "tanh"},
    "recurrent_activation='hard_sigmoid'": {"recurrent_activation": "hard_sigmoid"},
    "recurrent_activation='sigmoid'": {"recurrent_activation": "sigmoid"}, "reset_after=True": {"reset_after": True},
    "return_state=True": {"return_state": True}, "stateful=True": {"stateful": True},
}  # fmt: skip
INPUT, BITS, ACT = "quantized_bits(8,0,1)", "quantized_bits(4,0,1,alpha=1)", "quantized_bits(8,3,1,alpha=1)"


class Branch:
    """Layers from the input on; the last one is an output of the model."""

    def __init__(self, rank: int = 3) -> None:
        self.layers: list[tuple[str, Json, int]] = []
        self.rank = rank

    def add(self, class_name: str, merges: int = 0, **config: Any) -> Branch:
        """`merges`: how many layers back the second input lies, 0 for none."""
        self.layers.append((class_name, config, merges))
        return self


def branch(what: str, weights: Any = "", activation: Any = "", source: str = "") -> Branch:
    """The branch of a cell: a layer with a kernel quantizer, a quantizer in a place, or a layer behind a kind of input."""
    if weights != "":
        return weighted(what, weights)
    return placed(what, activation) if activation != "" else behind(what, source)


def weighted(name: str, quantizer: Any) -> Branch:
    made = Branch(2 if "1D" in name else 3).add("QActivation", activation=INPUT)
    config: Json = {"bias_quantizer": "quantized_bits(8,2,1)", "use_bias": True}
    if "Depthwise" not in name:
        config |= {"units": 5} if name == "QDense" else {"filters": 5}
    if name != "QDense":
        config |= {"kernel_size": 3, "padding": "same"}
    if "Separable" in name:
        config |= {"depthwise_quantizer": quantizer, "pointwise_quantizer": quantizer}
    else:
        config["depthwise_quantizer" if "Depthwise" in name else "kernel_quantizer"] = quantizer
    return made.add(name, **config).add("QActivation", activation=ACT)


def optioned(name: str, option: str) -> Branch | None:
    """A layer of 4-bit weights with one setting changed; None where Keras has no such setting or TensorFlow fails on it."""
    changes = OPTIONS[option]
    if option == "strides=(2, 1)" and ("Depthwise" in name or "Separable" in name):
        return None
    pairs = any(isinstance(value, list) for value in changes.values())
    causal = changes.get("padding") == "causal" and name != "QConv1D"
    if causal or not set(changes) <= set(CLASSES[name]) or (pairs and "1D" in name):
        return None
    made = weighted(name, BITS)
    made.layers[1][1].update(changes)
    return made


def recurrent(name: str, option: str) -> Branch | None:
    """A recurrent layer of 4-bit weights and an 8-bit state with one setting changed; None where it has no such setting."""
    config: Json = {"units": 4, "kernel_quantizer": BITS, "recurrent_quantizer": BITS, "bias_quantizer": "quantized_bits(8,2,1)",
                    "state_quantizer": "quantized_bits(8,1,1,alpha=1)", "activation": "quantized_tanh(6)"}  # fmt: skip
    if name != "QSimpleRNN":
        config["recurrent_activation"] = "quantized_sigmoid(5)"
    changes = RECURRENT_OPTIONS[option]
    takes_kernel = name == "QGRU" and "recurrent_quantizer" in changes and changes["recurrent_quantizer"] is None
    if takes_kernel or not set(changes) <= set(CLASSES[name]):
        return None
    return Branch(2).add("QActivation", activation=INPUT).add(name, **{**config, **changes}).add("QActivation", activation=ACT)


def placed(place: str, quantizer: Any) -> Branch:
    made = Branch()
    if place == "first layer":
        made.add("QActivation", activation=quantizer)
        return made.add("QConv2D", filters=3, kernel_size=3, kernel_quantizer=BITS).add("QActivation", activation=ACT)
    made.add("QActivation", activation=INPUT)
    if place == "activation= of QDense":
        return made.add("QDense", units=4, kernel_quantizer=BITS, activation=quantizer)
    made.add("QConv2D", filters=3, kernel_size=3, padding="same", kernel_quantizer=BITS, bias_quantizer=ACT)
    if place == "after BatchNormalization":
        made.add("BatchNormalization")
    if place == "after Add":
        made.add("Add", merges=2)
    return made.add("QActivation", activation=quantizer)


def behind(name: str, kind: str) -> Branch:
    """Input of this kind, the layer, then a sum that needs integers unless the layer ends the model."""
    class_name, quantizer = name.split("(")[0].split(" ")[0], INPUT_KINDS[kind]
    made = Branch(2 if "1D" in class_name else 3).add("QActivation", activation=INPUT)
    conv = "QConv1D" if made.rank == 2 else "QConv2D"
    made.add(conv, filters=3, kernel_size=1, kernel_quantizer=BITS, activation=quantizer)
    made.add(class_name, merges=2 if class_name in MERGING else 0, **LAYERS[name])
    if name.endswith(" last"):
        return made
    if class_name in FLOATING:
        made.add("QActivation", activation=ACT)
    return made.add("Flatten").add("QDense", units=3, kernel_quantizer=BITS).add("QActivation", activation=ACT)


MERGING = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
FLOATING = ("BatchNormalization", "QBatchNormalization", "Activation", "LeakyReLU", "PReLU", "ReLU", "Rescaling", "Softmax",
            "Add", "Subtract", "Multiply", "Average", "AveragePooling2D", "AveragePooling1D", "QAveragePooling2D",
            "GlobalAveragePooling2D", "GlobalAveragePooling1D", "QGlobalAveragePooling2D")  # fmt: skip

# Ways to build a model: its layers as (name, class or the layer it shares, inputs, settings), and what else its spec says.
CONV: Json = {"filters": 4, "kernel_size": 3, "padding": "same", "kernel_quantizer": BITS, "bias_quantizer": ACT}
CHAIN = (("codes", "QActivation", ("in0",), {"activation": INPUT}), ("conv", "QConv2D", ("codes",), CONV),
         ("act", "QActivation", ("conv",), {"activation": ACT}))  # fmt: skip
TWIN = (*CHAIN, ("other", "QActivation", ("in1",), {"activation": INPUT}), ("again", "=conv", ("other",), {}),
        ("twin", "QActivation", ("again",), {"activation": ACT}), ("both", "Concatenate", ("act", "twin"), {}))  # fmt: skip
WIRINGS: dict[str, tuple[tuple[tuple[str, str, tuple[str, ...], Json], ...], Json]] = {
    "Functional": (CHAIN, {}),
    "Sequential": (CHAIN, {"sequential": True}),
    "Functional inside a Functional": (CHAIN, {"part": 1}),
    "Sequential inside a Functional": (CHAIN, {"part": 1, "sequential": True}),
    "two inputs, one layer shared by both": (TWIN, {}),
    "two inputs, two outputs": (TWIN, {"outputs": ["both", "act"]}),
}


def wiring(name: str, form: str) -> Json:
    """The spec of a model built in one of the ways, saved in one of the formats."""
    layers, extras = WIRINGS[name]
    made = [{"class": "" if kind[0] == "=" else kind, "name": own, "inputs": list(sources), "config": {**config, "name": own}}
            | ({"share": kind[1:]} if kind[0] == "=" else {}) for own, kind, sources, config in layers]  # fmt: skip
    inputs = {source: [6, 5, 3] for layer in made for source in layer["inputs"] if source.startswith("in")}
    return {"seed": 4, "extreme": False, "inputs": inputs, "layers": made, "outputs": [layers[-1][0]], "format": form,
            "images": 4, **extras}  # fmt: skip
