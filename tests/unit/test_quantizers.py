"""Reading quantizers, and properties of their grids; equality with QKeras is tested in tests/golden."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mcugen.errors import McugenError
from mcugen.quantizers import Quantizer, parse


def read(config: Any) -> Quantizer:
    quantizer = parse(config, "layer")
    assert quantizer is not None
    return quantizer


def spec(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": config}


def test_none_is_no_quantizer() -> None:
    assert parse(None, "layer") is None


def test_objects_and_strings_mean_the_same() -> None:
    args = {"bits": 4, "integer": 1, "symmetric": 1, "alpha": 1.0, "keep_negative": True,
            "use_stochastic_rounding": False, "qnoise_factor": 1.0}  # fmt: skip
    one = read({"module": "qkeras.quantizers", "class_name": "quantized_bits", "config": args,
                "registered_name": "quantized_bits", "shared_object_id": 7})  # fmt: skip
    assert one == read("quantized_bits(4,1,1,alpha=1)") == read("quantized_bits(bits=4, integer=1, symmetric=True,alpha=1.0)")
    assert read("binary") == read("binary()") == read(spec("binary"))
    assert read({**spec("binary", alpha=1), "__passive_serialization__": True}).step == 1.0


def test_defaults_are_those_of_qkeras() -> None:
    assert dict(read("quantized_relu").args) == {
        "bits": 8, "integer": 0, "use_sigmoid": False, "negative_slope": 0.0, "use_stochastic_rounding": False,
        "relu_upper_bound": None, "is_quantized_clip": True, "qnoise_factor": 1.0, "var_name": None, "use_ste": True,
        "use_variables": False,
    }  # fmt: skip
    assert read("quantized_tanh(4,True)").args["use_stochastic_rounding"] is True


REFUSED: list[tuple[Any, str]] = [
    ("quantized_bits(4,0,alpha=None)", "'on'"),
    ("quantized_bits(4,0,alpha=max(1,2))", "nested parentheses"),
    ("quantized_bits((4),0)", "nested parentheses"),
    ("quantized_bits(4,0,alpha='auto' )", "without blanks"),
    ("quantized_bits(4,alpha=1,0)", "positional"),
    ("quantized_bits(4,bits=4)", "repeated"),
    ("quantized_bits(4,0,1,True,1,False,None)", "'on'"),
    ("quantized_bits(1,2,3,4,5,6,7,8,9,10,11,12)", "argument"),
    ("quantized_bits(4,0,colour=1)", "'colour'"),
    ("quantized_bits(0)", "bits"),
    ("quantized_bits(99)", "bits"),
    ("quantized_bits(4.5)", "bits"),
    ("quantized_bits(4,-1)", "integer"),
    ("quantized_bits(4,0,alpha=-1)", "alpha"),
    ("quantized_bits(4,0,alpha=0)", "alpha"),
    ("quantized_bits(4,0,alpha='best')", "alpha"),
    ("quantized_bits(1,0,alpha='auto')", "use binary"),
    ("quantized_bits(4,0,scale_axis=0)", "scale_axis"),
    ("quantized_bits(4,0,qnoise_factor=0.5)", "qnoise_factor"),
    ("quantized_bits(4,0,use_ste=False)", "use_ste"),
    ("quantized_bits(4", "cannot read"),
    ("quantized_bits(4)+1", "cannot read"),
    ("__import__('os').system('x')", "nested parentheses"),
    ("os.system", "cannot read"),
    ("quantized_bits(4," + "1," * 400 + ")", "cannot read"),
    ("bernoulli", "random"),
    ("quantized_linear(4)", "does not exist"),
    ("get_quantizer", "unknown quantizer"),
    ("quantized_relu(4,negative_slope=0.3)", "power of two"),
    ("quantized_relu(1,negative_slope=0.5)", "1 bit"),
    ("quantized_relu(4,1,1,0.5)", "use_sigmoid"),
    ("quantized_relu(4,1,relu_upper_bound=0.3,is_quantized_clip=False)", "multiple"),
    ("ternary(alpha='auto',threshold=0.5)", "threshold"),
    ("ternary(threshold='auto')", "threshold"),
    ("quantized_po2(4,max_value=-1)", "max_value"),
    ("quantized_po2(4,log2_rounding='up')", "log2_rounding"),
    (spec("quantized_bits", bits=4, unknown=1), "'unknown'"),
    (spec("quantized_bits", alpha=[1, 2]), "alpha"),
    (spec("quantized_bits", alpha={"class_name": "__ndarray__"}), "alpha"),
    (spec("quantized_bits", bits="4"), "bits"),
    (spec("quantized_bits", bits=float("inf")), "bits"),
    (spec("quantized_bits", bits=True, integer=None), "integer"),
    (spec("quantized_hswish", keep_negative=False), "keep_negative"),
    ({"class_name": "binary", "config": {}, "module": "os"}, "module 'os'"),
    ({"class_name": "binary", "config": {}, "registered_name": "other"}, "other"),
    ({"class_name": "binary", "config": {}, "code": "x"}, "'code'"),
    ({"class_name": "binary"}, "lacks"),
    ({"config": {}}, "lacks"),
    ({"class_name": "Lambda", "config": {}}, "unknown quantizer"),
    (7, "int"),
    (["binary"], "list"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "word"), REFUSED, ids=lambda value: str(value)[:50])
def test_refused_by_name(config: Any, word: str) -> None:
    with pytest.raises(McugenError) as caught:
        parse(config, "conv7")
    assert caught.value.node == "conv7" and word in str(caught.value)


@given(st.text(alphabet="quantized_bits()=,.0123456789'\" alphNone*[]{}:\n", max_size=60))
def test_any_string_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(McugenError):
        parse(text, "layer")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["quantized_bits", "quantized_relu", "binary", "ternary", "quantized_po2", "quantized_ulaw"]),
    st.dictionaries(st.sampled_from(["bits", "integer", "alpha", "symmetric", "max_value", "negative_slope", "u"]), JSON),
)
def test_any_object_is_read_or_refused(kind: str, config: dict[str, Any]) -> None:
    with contextlib.suppress(McugenError):
        parse(spec(kind, **config), "layer")


@pytest.mark.parametrize("text", ["binary(alpha='auto')", "quantized_bits(4,0,1,alpha='auto_po2')", "ternary(alpha='auto')"])
def test_scales_that_depend_on_the_batch_are_refused_in_activations(text: str) -> None:
    with pytest.raises(McugenError, match="depends on the batch"):
        _ = read(text).grid


def test_po2_grids_wider_than_16_bits_are_refused() -> None:
    with pytest.raises(McugenError, match="16 bits"):
        _ = read("quantized_po2(6)").grid
    tiny = np.asarray([[1.0, 1e-6]], np.float32)
    with pytest.raises(McugenError, match="16 bits"):
        read("quantized_po2(8)").weights(tiny)
    assert read("quantized_po2(8)").weights(np.asarray([[1.0, 0.25]], np.float32)).codes.tolist() == [[4, 1]]


def test_ulaw_has_levels_and_quantizes_no_weights() -> None:
    quantizer = read("quantized_ulaw(4)")
    assert quantizer.levels is not None and len(quantizer.levels) == quantizer.hi + 1
    with pytest.raises(McugenError, match="levels"):
        quantizer.weights(np.ones((2, 2), np.float32))


def test_kernel_alpha_none_becomes_auto_po2_and_symmetric_but_not_in_a_bias() -> None:
    w = np.asarray([[1.0], [0.5], [-1.0]], np.float32)
    quantizer = read("quantized_bits(3,0,0)")
    assert quantizer.weights(w).scale.ravel().tolist() == [0.25] and quantizer.weights(w).lo == -3
    assert quantizer.bias(w).codes.ravel().tolist() == [3, 2, -4] and quantizer.bias(w).lo == -4


def test_a_depthwise_kernel_has_one_scale() -> None:
    w = np.random.default_rng(0).normal(size=(3, 3, 5, 1)).astype(np.float32)
    assert read("quantized_bits(4,0,1)").weights(w).scale.shape == (1, 1, 1, 1)
    assert read("quantized_bits(4,0,1)").weights(w.reshape(3, 3, 1, 5)).scale.shape == (1, 1, 1, 5)


def test_a_channel_of_zeros_has_scale_zero() -> None:
    w = np.zeros((4, 2), np.float32)
    w[:, 1] = [1, -1, 0.5, 0.25]
    found = read("quantized_bits(4,0,1,alpha='auto')").weights(w)
    assert found.scale.ravel()[0] == 0 and not found.values[:, 0].any()


def test_exact_says_whether_the_scale_is_a_power_of_two() -> None:
    w = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    assert read("quantized_bits(4,0,1,alpha=0.5)").weights(w).exact
    assert not read("quantized_bits(4,0,1,alpha=0.3)").weights(w).exact


TEXTS = st.sampled_from([
    "quantized_bits(4,1)", "quantized_bits(8,0,1,alpha=1)", "quantized_relu(4,2)", "quantized_tanh(4)", "ternary",
    "binary", "quantized_relu(6,2,negative_slope=0.25)", "binary(use_01=True)", "quantized_sigmoid(4)",
    "quantized_po2(4)", "quantized_relu_po2(3)", "quantized_relu(4,0,1)", "quantized_ulaw(5)", "quantized_hswish(8,3)",
])  # fmt: skip
FLOATS = arrays(np.float32, st.integers(0, 5).map(lambda packets: 8 * packets), elements=st.floats(-1000, 1000, width=32))


@given(TEXTS, FLOATS)
def test_codes_are_on_the_grid_monotone_and_give_the_values(text: str, x: Any) -> None:
    quantizer = read(text)
    codes = quantizer.codes(x)
    assert codes.dtype == np.int64 and codes.shape == x.shape
    assert (codes >= quantizer.lo).all() and (codes <= quantizer.hi).all()
    assert np.array_equal(quantizer.dequantize(codes), quantizer.values(x))
    if quantizer.monotone:
        assert (np.diff(codes[np.argsort(x)]) >= 0).all()
    if quantizer.linear:
        whole = np.clip(np.rint(x.astype(np.float64) / quantizer.step), quantizer.lo, quantizer.hi)
        assert np.array_equal(codes, whole)


def test_values_serve_parameters_of_any_span() -> None:
    quantizer = read("quantized_relu_po2(6, 2048)")
    assert quantizer.values(np.asarray([0, -1, 1, 3000], np.float32)).tolist() == [2.0**-32, 2.0**-32, 1, 2048]
    automatic = read("quantized_bits(4,0,1,alpha='auto')")
    assert automatic.values(np.asarray([[1.0], [-0.5]], np.float32)).ravel().tolist() == [1, pytest.approx(-3 / 7)]
