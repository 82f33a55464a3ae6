"""The layer classes the compiler reads, their config keys with checks, and the classes refused with a reason.

A key outside these lists is refused, since an unknown key may change what the layer computes; keys that matter only
while training (initializers, regularizers, constraints, ranges, momentum) are dropped.
"""

from __future__ import annotations

from typing import Any

from mcugen.checks import Check, flag, integer, number, only, optional
from mcugen.errors import McugenError
from mcugen.quantizers import parse
from mcugen.quantizers.parse import KINDS

REQUIRED = object()
Keys = dict[str, tuple[Any, Check]]

SIZE = integer(1, 1 << 16)
CHANNELS_LAST = ("channels_last", optional(only("channels_last")))
ACTIVATIONS = ("linear", "relu", "relu6", "softmax", "sigmoid", "tanh", "hard_sigmoid", "elu", "softplus", "swish")
IGNORED_KEYS = {"name", "trainable", "dtype", "batch_input_shape", "autocast", "momentum", "synchronized", "fused"}
IGNORED_ENDS = ("_initializer", "_regularizer", "_constraint", "_range")
QUANTIZER_KEYS = {
    "kernel_quantizer",
    "bias_quantizer",
    "depthwise_quantizer",
    "recurrent_quantizer",
    "state_quantizer",
    "pointwise_quantizer",
    "average_quantizer",
    "gamma_quantizer",
    "beta_quantizer",
    "mean_quantizer",
    "variance_quantizer",
}


def sizes(count: int, low: int = 1) -> Check:
    """A checker of `count` whole numbers, given as a list or as one number for all."""
    one = integer(low, 1 << 16)

    def check(value: Any) -> tuple[int, ...]:
        if isinstance(value, list | tuple):
            if len(value) != count:
                raise ValueError(f"must have {count} numbers")
            return tuple(one(item) for item in value)
        return (one(value),) * count

    return check


def margins(count: int) -> Check:
    """A checker of (before, after) pairs for `count` axes: a number, one number an axis, or the pairs."""
    pair = sizes(2, 0)

    def check(value: Any) -> tuple[tuple[int, int], ...]:
        if not isinstance(value, list | tuple):
            value = [value] * count
        elif count == 1 and all(isinstance(item, int) for item in value):
            value = [value]
        if len(value) != count:
            raise ValueError(f"must have {count} pairs")
        return tuple(pair(item) for item in value)

    return check


def whole_list(low: int, high: int) -> Check:
    one = integer(low, high)

    def check(value: Any) -> tuple[int, ...]:
        if not isinstance(value, list | tuple) or not 0 < len(value) <= 8:
            raise ValueError("must be a list of whole numbers")
        return tuple(one(item) for item in value)

    return check


def axis(value: Any) -> int:
    """One axis, as a number or a list of one."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return integer(-8, 8)(value)


def lower(*allowed: str) -> Check:
    def check(value: Any) -> str:
        return str(only(*allowed)(value.lower() if isinstance(value, str) else value))

    return check


def text(value: Any) -> Any:
    if value is None or isinstance(value, str | dict):
        return value
    raise ValueError("must be a name or a quantizer")


def conv(rank: int, padding: Check) -> Keys:
    return {
        "kernel_size": (REQUIRED, sizes(rank)),
        "strides": ((1,) * rank, sizes(rank)),
        "padding": ("valid", padding),
        "data_format": CHANNELS_LAST,
        "dilation_rate": ((1,) * rank, sizes(rank)),
        "groups": (1, SIZE),
        "use_bias": (True, flag),
        "activation": (None, text),
    }


def quantizers(*names: str) -> Keys:
    return {f"{name}_quantizer": (None, text) for name in names}


def pool(rank: int) -> Keys:
    return {
        "pool_size": ((2,) * rank, sizes(rank)),
        "strides": (None, optional(sizes(rank))),
        "padding": ("valid", lower("valid", "same")),
        "data_format": CHANNELS_LAST,
    }


PADDING = lower("valid", "same")
CAUSAL = lower("valid", "same", "causal")
FILTERS: Keys = {"filters": (REQUIRED, SIZE)}
MULTIPLIER: Keys = {"depth_multiplier": (1, SIZE)}
ONE_GROUP: Keys = {"groups": (1, only(1))}
CONV1D: Keys = {**FILTERS, **conv(1, CAUSAL)}
CONV2D: Keys = {**FILTERS, **conv(2, PADDING)}
DEPTHWISE: Keys = {**conv(2, PADDING), **ONE_GROUP, **MULTIPLIER}
SEPARABLE1D: Keys = {**CONV1D, **ONE_GROUP, **MULTIPLIER}
SEPARABLE2D: Keys = {**CONV2D, **ONE_GROUP, **MULTIPLIER}
DENSE: Keys = {"units": (REQUIRED, SIZE), "use_bias": (True, flag), "activation": (None, text)}
NORM: Keys = {
    "axis": (-1, axis),
    "epsilon": (1e-3, number(0, 1e6)),
    "center": (True, flag),
    "scale": (True, flag),
    "renorm": (False, only(False, None)),
    "renorm_clipping": (None, only(None)),
    "renorm_momentum": (0.99, lambda value: value),
    "virtual_batch_size": (None, only(None)),
    "adjustment": (None, only(None)),
}
FOLDING: Keys = {
    **NORM,
    "ema_freeze_delay": (None, lambda value: value),
    "folding_mode": ("ema_stats_folding", only("ema_stats_folding", "batch_stats_folding")),
}
RECURRENCE: Keys = {
    "units": (REQUIRED, SIZE),
    "use_bias": (True, flag),
    "activation": (None, text),
    **quantizers("kernel", "recurrent", "bias", "state"),
    "return_sequences": (False, flag),
    "go_backwards": (False, flag),
    "return_state": (False, only(False)),
    "stateful": (False, only(False)),
    "time_major": (False, only(False)),
    "zero_output_for_mask": (False, flag),
    **{name: (None, lambda value: None) for name in ("unroll", "dropout", "recurrent_dropout")},
}
GATES: Keys = {"recurrent_activation": (None, text), "implementation": (1, only(1, 2))}
GLOBAL_POOL: Keys = {"data_format": CHANNELS_LAST, "keepdims": (False, flag)}
QPOOL: Keys = {**quantizers("average"), "activation": (None, text)}
NOISE: Keys = {name: (None, lambda value: None) for name in ("rate", "noise_shape", "seed", "stddev", "l1", "l2", "data_format")}
NUMBER = number(-1e9, 1e9)
DROPOUTS = [
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
    "ActivityRegularization",
]  # fmt: skip

CLASSES: dict[str, Keys] = {
    "InputLayer": {
        "batch_input_shape": (REQUIRED, lambda value: value),
        "sparse": (False, only(False)),
        "ragged": (False, only(False)),
        "optional": (False, only(False)),
    },
    "Conv1D": CONV1D,
    "Conv2D": CONV2D,
    "DepthwiseConv2D": DEPTHWISE,
    "SeparableConv1D": SEPARABLE1D,
    "SeparableConv2D": SEPARABLE2D,
    "Dense": DENSE,
    "QConv1D": {**CONV1D, **quantizers("kernel", "bias")},
    "QConv2D": {**CONV2D, **quantizers("kernel", "bias")},
    "QDepthwiseConv2D": {**DEPTHWISE, **quantizers("depthwise", "bias")},
    "QSeparableConv1D": {**SEPARABLE1D, "padding": ("valid", PADDING), **quantizers("depthwise", "pointwise", "bias")},
    "QSeparableConv2D": {**SEPARABLE2D, **quantizers("depthwise", "pointwise", "bias")},
    "QDense": {**DENSE, **quantizers("kernel", "bias")},
    "QConv2DBatchnorm": {**CONV2D, **quantizers("kernel", "bias"), **FOLDING},
    "QDepthwiseConv2DBatchnorm": {**DEPTHWISE, **quantizers("depthwise", "bias"), **FOLDING},
    "QSimpleRNN": RECURRENCE,
    "QLSTM": {**RECURRENCE, **GATES, "unit_forget_bias": (True, flag)},
    "QGRU": {**RECURRENCE, **GATES, "reset_after": (False, only(False))},
    "BatchNormalization": NORM,
    "QBatchNormalization": {**NORM, **quantizers("gamma", "beta", "mean", "variance")},
    "QActivation": {"activation": (REQUIRED, text)},
    "Activation": {"activation": (REQUIRED, text)},
    "ReLU": {
        "max_value": (None, optional(number(0, 1e9))),
        "negative_slope": (0.0, NUMBER),
        "threshold": (0.0, NUMBER),
    },
    "LeakyReLU": {"alpha": (0.3, NUMBER)},
    "PReLU": {"shared_axes": (None, optional(whole_list(1, 8)))},
    "Softmax": {"axis": (-1, axis)},
    "UnitNormalization": {"axis": (-1, axis)},
    "Rescaling": {"scale": (REQUIRED, NUMBER), "offset": (0.0, NUMBER)},
    **{name: {} for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")},
    "Concatenate": {"axis": (-1, axis)},
    **{name: pool(2) for name in ("MaxPooling2D", "AveragePooling2D")},
    **{name: pool(1) for name in ("MaxPooling1D", "AveragePooling1D")},
    **{f"Global{name}Pooling{rank}D": GLOBAL_POOL for name in ("Max", "Average") for rank in (1, 2)},
    "QAveragePooling2D": {**pool(2), **QPOOL},
    "QGlobalAveragePooling2D": {**GLOBAL_POOL, **QPOOL},
    "ZeroPadding1D": {"padding": ((1, 1), margins(1)), "data_format": CHANNELS_LAST},
    "ZeroPadding2D": {"padding": (((1, 1), (1, 1)), margins(2)), "data_format": CHANNELS_LAST},
    "Cropping1D": {"cropping": ((1, 1), margins(1)), "data_format": CHANNELS_LAST},
    "Cropping2D": {"cropping": (((0, 0), (0, 0)), margins(2)), "data_format": CHANNELS_LAST},
    "UpSampling1D": {"size": (2, sizes(1))},
    "UpSampling2D": {
        "size": ((2, 2), sizes(2)),
        "data_format": CHANNELS_LAST,
        "interpolation": ("nearest", only("nearest", "bilinear")),
    },
    "Permute": {"dims": (REQUIRED, whole_list(1, 8))},
    "Reshape": {"target_shape": (REQUIRED, whole_list(-1, 1 << 24))},
    "Flatten": {"data_format": CHANNELS_LAST},
    **dict.fromkeys(DROPOUTS, NOISE),
}
MODELS = ("Functional", "Sequential", "Model")

RECURRENT = [
    "QBidirectional", "SimpleRNN", "LSTM", "GRU", "Bidirectional", "RNN", "TimeDistributed",
]  # fmt: skip
REFUSED = {
    "Lambda": ("holds Python code, which is never executed", "replace it by layers of Keras or QKeras"),
    "TFOpLambda": ("is a bare TensorFlow operation", "replace it by a Keras layer such as Add or Multiply"),
    "SlicingOpLambda": ("is a bare TensorFlow slice", "replace it by Cropping2D"),
    "QAdaptiveActivation": (
        "applies to the first call after loading a range other than the learnt one",
        "replace it by QActivation with the learnt number of integer bits",
    ),
    "QConv2DTranspose": ("cannot be built by QKeras 0.9.0", "use UpSampling2D and QConv2D"),
    "Conv2DTranspose": ("is not supported", "use UpSampling2D and QConv2D"),
    "QDenseBatchnorm": ("does not exist in QKeras 0.9.0", "use QDense and BatchNormalization"),
    "PruneLowMagnitude": ("is a training wrapper", "apply strip_pruning of tfmot before saving"),
    **dict.fromkeys(RECURRENT, ("is recurrent, which is not supported", "use QSimpleRNN, QLSTM, QGRU or convolutions")),
}


def checked_config(class_name: str, config: Any, layer: str) -> dict[str, Any]:
    """The validated config of one layer: all keys of its class, defaults filled in, quantizers parsed.

    Args:
        class_name: a key of CLASSES.
        config: the layer's config as the file has it.
        layer: the layer's name, for messages.
    """
    if not isinstance(config, dict):
        raise McugenError(layer, "the layer has no config", "save the model again")
    if "batch_shape" in config:
        raise McugenError(layer, "the model was saved by Keras 3", "build and save it with tf_keras and QKeras 0.9.0")
    keys = CLASSES[class_name]
    check_dtype(config.get("dtype"), layer)
    for key in config:
        if key not in keys and key not in IGNORED_KEYS and not str(key).endswith(IGNORED_ENDS):
            fact = f"{class_name} has the unknown setting {str(key)[:60]!r}"
            raise McugenError(layer, fact, "save it with QKeras 0.9.0")
    done: dict[str, Any] = {}
    for key, (default, check) in keys.items():
        if key not in config and default is REQUIRED:
            raise McugenError(layer, f"{class_name} lacks the setting {key!r}", "save the model again")
        try:
            done[key] = check(config[key]) if key in config else default
        except (ValueError, TypeError, OverflowError) as error:
            fact = f"{class_name} has {key}={str(config[key])[:60]!r}, which {error}"
            raise McugenError(layer, fact[:300], f"change {key}") from None
        if key in QUANTIZER_KEYS:
            done[key] = parse(done[key], layer)
        elif key in ("activation", "recurrent_activation"):
            done[key] = activation(class_name, done[key], layer)
    return done


def activation(class_name: str, value: Any, layer: str) -> Any:
    """A `Quantizer`, the name of a Keras activation, or None for the identity.

    In QKeras's layers a name means first a quantizer and then a Keras activation; in Keras's layers only the latter.
    """
    if value is None or value == "linear":
        return None
    quantized = class_name.startswith("Q")
    if isinstance(value, dict) and value.get("class_name") in KINDS:
        return parse(value, layer)
    if isinstance(value, str):
        if quantized and value.endswith(("_sigmoid", "_tanh")) and not value.startswith("quantized"):
            fact = f"the activation {value[:40]} of QKeras is not supported"
            raise McugenError(layer, fact, "use quantized_sigmoid, quantized_tanh or binary")
        if value in ACTIVATIONS:
            return value
    if quantized:
        return parse(value, layer)
    shown = str(value)[:60] if isinstance(value, str) else str(value.get("class_name"))[:60]
    raise McugenError(layer, f"{class_name} has the activation {shown!r}", "use a QKeras layer or QActivation")


def check_dtype(value: Any, layer: str) -> None:
    """Only float32 models have the arithmetic that the compiler reproduces."""
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner.get("name") if isinstance(inner, dict) else None
        if value is None:
            raise McugenError(layer, "the layer has an unreadable dtype policy", "train in float32")
    if value not in (None, "float32"):
        raise McugenError(layer, f"the layer computes in {str(value)[:40]!r}", "train in float32")
