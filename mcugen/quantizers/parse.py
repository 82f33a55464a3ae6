"""From the quantizers found in model files, objects or strings, to `Quantizer`; by white lists, never by `eval`.

Objects are `{"class_name": ..., "config": {...}}` with a few more keys; strings look like `quantized_relu(4,2)` and are
read as QKeras's `safe_eval` reads them; where that reader does something nobody means (`alpha=None` becomes 'on',
nested parentheses give the defaults, a blank after a value cuts it), the string is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from mcugen.checks import Check, flag, integer, number, only, optional
from mcugen.errors import McugenError
from mcugen.quantizers.quantizer import Quantizer

MAX_TEXT = 300
MODULES = (None, "qkeras.quantizers", "qkeras")
OBJECT_KEYS = {"class_name", "config", "module", "registered_name", "shared_object_id", "__passive_serialization__"}


def alpha(value: Any) -> float | str | None:
    if value is None or value in ("auto", "auto_po2"):
        return value  # type: ignore[no-any-return]
    if isinstance(value, int | float) and not isinstance(value, bool) and 2.0**-60 <= value <= 2.0**60:
        return float(value)
    raise ValueError("must be None, 'auto', 'auto_po2' or one positive number")


def slope(value: Any) -> float:
    if value == 0:
        return 0.0
    if isinstance(value, int | float) and 2.0**-16 <= value <= 2.0**16 and math.frexp(value)[0] == 0.5:
        return float(value)
    raise ValueError("must be 0 or a power of two")


Keys = dict[str, tuple[Any, Check]]

BITS = (8, integer(1, 24))
INTEGER = (0, integer(0, 24))  # QKeras itself fails on negative numbers
NOISE: Keys = {  # arguments without effect at inference, or refused unless they are
    "qnoise_factor": (1.0, only(1)),
    "var_name": (None, lambda value: value),
    "use_ste": (True, only(True)),
    "use_variables": (False, flag),
}
STOCHASTIC = (False, flag)
BITS_KEYS: Keys = {
    "bits": BITS,
    "integer": INTEGER,
    "symmetric": (False, flag),
    "keep_negative": (True, flag),
    "alpha": (None, alpha),
    "use_stochastic_rounding": STOCHASTIC,
    "scale_axis": (None, only(None)),
    **NOISE,
}
TEMPERATURE = (1.0, number(0, 1e9))
REAL = (False, flag)
PO2_TAIL: Keys = {
    "use_stochastic_rounding": STOCHASTIC,
    "quadratic_approximation": (False, flag),
    "log2_rounding": ("rnd", only("rnd", "floor")),
    **NOISE,
}
THRESHOLD = (None, optional(number(0, 1e9)))
UNROLLS = (5, integer(1, 100))
MAX_VALUE = (None, optional(number(2.0**-60, 2.0**60)))

KINDS: dict[str, Keys] = {  # the arguments of each constructor in its order: default and check
    "quantized_bits": BITS_KEYS,
    "quantized_relu": {
        "bits": BITS,
        "integer": INTEGER,
        "use_sigmoid": (False, flag),
        "negative_slope": (0.0, slope),
        "use_stochastic_rounding": STOCHASTIC,
        "relu_upper_bound": (None, optional(number(0, 2.0**60))),
        "is_quantized_clip": (True, flag),
        **NOISE,
    },
    "quantized_tanh": {
        "bits": BITS,
        "use_stochastic_rounding": STOCHASTIC,
        "symmetric": (False, flag),
        "use_real_tanh": REAL,
    },
    "quantized_sigmoid": {
        "bits": BITS,
        "symmetric": (False, flag),
        "use_real_sigmoid": REAL,
        "use_stochastic_rounding": STOCHASTIC,
    },
    "quantized_hswish": {
        **{key: value for key, value in BITS_KEYS.items() if key != "keep_negative"},
        "relu_shift": (3, integer(1, 1 << 20)),
        "relu_upper_bound": (6, integer(1, 1 << 20)),
    },
    "quantized_ulaw": {
        "bits": (8, integer(2, 16)),
        "integer": INTEGER,
        "symmetric": (False, flag),
        "u": (255.0, number(1e-6, 1e9)),
    },
    "quantized_po2": {"bits": (8, integer(2, 8)), "max_value": MAX_VALUE, **PO2_TAIL},
    "quantized_relu_po2": {
        "bits": (8, integer(1, 8)),
        "max_value": MAX_VALUE,
        "negative_slope": (0.0, slope),
        **PO2_TAIL,
    },
    "binary": {"use_01": (False, flag), "alpha": (None, alpha), "use_stochastic_rounding": STOCHASTIC},
    "stochastic_binary": {"alpha": (None, alpha), "temperature": TEMPERATURE, "use_real_sigmoid": (True, flag)},
    "ternary": {
        "alpha": (None, alpha),
        "threshold": THRESHOLD,
        "use_stochastic_rounding": STOCHASTIC,
        "number_of_unrolls": UNROLLS,
    },
    "stochastic_ternary": {
        "alpha": (None, alpha),
        "threshold": THRESHOLD,
        "temperature": TEMPERATURE,
        "use_real_sigmoid": (True, flag),
        "number_of_unrolls": UNROLLS,
    },
}
REFUSED = {
    "bernoulli": ("is random at inference", "use binary(use_01=True)"),
    "quantized_linear": ("does not exist in QKeras 0.9.0", "use quantized_bits"),
}


def parse(config: Any, layer: str) -> Quantizer | None:
    """The quantizer that a model file describes.

    Args:
        config: None, a string like "binary" or "quantized_relu(4,2)", or an object with class_name and config.
        layer: the layer's name, for messages.

    Raises:
        McugenError: an unknown quantizer or argument, or one whose result the compiler cannot reproduce.
    """
    if config is None:
        return None
    if isinstance(config, str):
        kind, args = read_string(config, layer)
    elif isinstance(config, dict):
        kind, args = read_object(config, layer)
    else:
        raise McugenError(layer, f"a quantizer is given as {type(config).__name__}", "give an object or a string")
    quantizer = Quantizer(kind, checked(kind, args, layer), layer)
    refuse_contradictions(quantizer)
    return quantizer


def read_object(config: Mapping[str, Any], layer: str) -> tuple[str, dict[str, Any]]:
    """Class name and arguments of a serialized quantizer; anything unexpected is refused."""
    kind, args = config.get("class_name"), config.get("config")
    if not isinstance(kind, str) or not isinstance(args, dict):
        raise McugenError(layer, "a quantizer object lacks class_name or config", "save it with QKeras 0.9.0")
    kind = kind.removeprefix("qkeras>")
    unknown = sorted(set(map(str, config)) - OBJECT_KEYS)
    module, registered = config.get("module"), config.get("registered_name")
    if unknown or module not in MODULES or registered not in (None, kind, f"qkeras>{kind}"):
        what = f"unknown key {unknown[0]!r}" if unknown else f"module {module!r}, registered name {registered!r}"
        raise McugenError(layer, f"quantizer {kind[:40]} has {what}"[:200], "use the quantizers of QKeras 0.9.0")
    args = dict(args)
    if kind == "quantized_hswish" and args.pop("keep_negative", True) is not True:
        raise McugenError(layer, "quantized_hswish has keep_negative=False", "leave keep_negative out")
    if kind in KINDS:
        for key in args:
            if key not in KINDS[kind]:
                raise McugenError(layer, f"{kind} has no argument {str(key)[:40]!r}", "save it with QKeras 0.9.0")
    return kind, args


def read_string(text: str, layer: str) -> tuple[str, dict[str, Any]]:
    """Class name and arguments of a quantizer's string."""
    match = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)(?:\((.*)\))?", text[: MAX_TEXT + 1], re.DOTALL)
    shown = repr(text[:60])
    if match is None or len(text) > MAX_TEXT:
        raise McugenError(layer, f"cannot read the quantizer {shown}", "write it as in 'quantized_bits(8,0,1,alpha=1)'")
    kind, inside = match.group(1), match.group(2)
    args: dict[str, Any] = {}
    if inside is None or not inside.strip():
        return kind, args
    if "(" in inside or ")" in inside:
        fact = f"{shown} has nested parentheses, for which QKeras silently takes the default arguments"
        raise McugenError(layer, fact, "write plain numbers")
    names = list(KINDS.get(kind, ()))
    for position, piece in enumerate(inside.split(",")):
        key, equals, value = piece.partition("=")
        if not equals:
            key, value = names[position] if position < len(names) else "", piece
            if "=" in ",".join(inside.split(",")[:position]):
                fact = f"{shown} has a positional argument after a named one"
                raise McugenError(layer, fact, "name the last arguments")
        key = key.strip()
        if kind in KINDS and (key not in KINDS[kind] or key in args):
            raise McugenError(layer, f"{shown} has an unknown or repeated argument {key[:40]!r}", "correct it")
        args[key] = literal(value, shown, layer)
    return kind, args


def literal(text: str, shown: str, layer: str) -> Any:
    """One argument as QKeras's safe_eval reads it: True, False, a number or a quoted word."""
    value = text.lstrip()
    if value == "None":
        fact = f"{shown} contains None, which QKeras reads as the word 'on'"
        raise McugenError(layer, fact, "leave the argument out of the string")
    if value in ("True", "False"):
        return value == "True"
    if re.fullmatch(r"[+-]?\d{1,15}", value):
        return int(value)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", value):
        return float(value)
    quoted = re.fullmatch(r"'(\w*)'|\"(\w*)\"", value)
    if quoted:
        return quoted.group(1) or quoted.group(2) or ""
    fact = f"{shown} has the argument {text[:30]!r}"
    raise McugenError(layer, fact, "use numbers, True, False or 'words', without blanks after them")


def checked(kind: str, args: Mapping[str, Any], layer: str) -> dict[str, Any]:
    """All arguments of the constructor, defaults filled in, every value checked."""
    if kind in REFUSED:
        fact, remedy = REFUSED[kind]
        raise McugenError(layer, f"{kind} {fact}", remedy)
    if kind not in KINDS:
        raise McugenError(layer, f"unknown quantizer {kind[:60]!r}", f"use one of {', '.join(sorted(KINDS))}")
    done: dict[str, Any] = {}
    for key, (default, check) in KINDS[kind].items():
        try:
            done[key] = check(args[key]) if key in args else default
        except ValueError as error:
            fact = f"{kind} has {key}={str(args[key])[:60]!r}, which {error}"
            raise McugenError(layer, fact, f"change {key}") from None
    return done


def refuse_contradictions(quantizer: Quantizer) -> None:
    """Combinations for which QKeras itself fails or gives no number."""
    args, kind, layer = quantizer.args, quantizer.kind, quantizer.layer
    auto = isinstance(args.get("alpha"), str)
    if kind.startswith("quantized_relu") and kind != "quantized_relu_po2":
        if args["negative_slope"] and args["bits"] < 2:
            raise McugenError(layer, "quantized_relu with a negative slope has 1 bit", "use 2 bits or more")
        if args["use_sigmoid"] and args["negative_slope"]:
            raise McugenError(layer, "quantized_relu has use_sigmoid and a negative slope", "use one of the two")
        magnitude = args["bits"] - (args["negative_slope"] != 0)
        steps = (args["relu_upper_bound"] or 0) * 2.0 ** (magnitude - args["integer"])
        if steps != int(steps) and not args["is_quantized_clip"]:
            raise McugenError(layer, "relu_upper_bound is no multiple of the step of quantized_relu", "round it")
    if "ternary" in kind and auto and args["threshold"] is not None:
        raise McugenError(layer, f"{kind} has a threshold and alpha={args['alpha']!r}", "leave one of them out")
    if kind in ("quantized_bits", "quantized_hswish") and auto and args["bits"] == 1:
        raise McugenError(layer, f"{kind} of 1 bit with alpha={args['alpha']!r} gives zeros or NaN", "use binary")
