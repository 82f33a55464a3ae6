"""Convolutions with 2- and 4-bit weights against the reference: natively with sanitizers, and as Arm code, emulated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.ir import Array, Node, TensorType
from mcugen.kernels import SUBBYTE
from mcugen.kernels.subbyte_pack import pack_fields, pack_nested, parts_of
from mcugen.numerics.epilogue import Epilogue, Fixed, Raw, Step, Threshold
from mcugen.ops import OPERATORS
from mcugen.shapes import same_pads
from tests.kernel_batch import Batch, make_batch, run_as_arm_code, run_natively

BOARD = load_board("nucleo-h743zi")
CODES = {
    "u8": (0, 255), "s8": (-128, 127), "n8": (-127, 127), "u4": (0, 15), "s4": (-8, 7), "u2": (0, 3), "s2": (-2, 1),
    "t": (-1, 1), "raw": (-(1 << 28), 1 << 28), "bit": (-1, 1), "u6": (0, 63), "s16": (-32768, 32767), "u16": (0, 65535),
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One random layer: kinds of codes in, weights and codes out; fill: (weight, code) of an extreme."""

    shape: tuple[int, int, int]
    filters: int
    takes: str
    weights: str
    makes: str
    size: tuple[int, int] = (3, 3)
    stride: int = 1
    pads: str | tuple[int, int, int, int] = "same"
    dilation: int = 1
    residual: str = ""
    fill: tuple[int, int] | None = None
    op: str = "conv2d"
    even: bool = False  # whether the output stage rounds halves to even


LAYERS = [
    Layer((7, 7, 16), 8, "u8", "s4", "u8"),
    Layer((6, 5, 8), 6, "s8", "s4", "s8"),
    Layer((5, 4, 5), 7, "u8", "s4", "u4"),
    Layer((9, 9, 3), 9, "s8", "s4", "s4", stride=2),
    Layer((5, 5, 24), 12, "u8", "s2", "u2", (1, 1)),
    Layer((4, 6, 7), 5, "s8", "t", "s8", (2, 3), pads=(1, 0, 0, 2)),
    Layer((6, 6, 8), 10, "u6", "s4", "bit", pads="valid"),
    Layer((3, 3, 12), 3, "n8", "s2", "raw"),
    Layer((5, 5, 64), 8, "u8", "s4", "u8", fill=(-8, 255)),
    Layer((3, 3, 130), 5, "u8", "s4", "raw", fill=(7, 255)),
    Layer((4, 4, 72), 6, "s8", "s4", "raw", fill=(-8, -128)),
    Layer((4, 4, 64), 8, "u8", "s2", "raw", fill=(-2, 255)),
    Layer((6, 6, 16), 8, "u8", "s4", "u8", dilation=2),
    Layer((7, 7, 8), 16, "u8", "s4", "s4", (1, 1), residual="s4"),
    Layer((5, 5, 16), 16, "u8", "s2", "s8", residual="s8"),
    Layer((7, 7, 16), 8, "u4", "s4", "u4"),
    Layer((5, 6, 10), 6, "s4", "s4", "s4"),
    Layer((4, 5, 5), 7, "u4", "s4", "u8"),
    Layer((6, 7, 3), 5, "s4", "s4", "u4", stride=2),
    Layer((5, 5, 64), 12, "u4", "s4", "u4", (1, 1)),
    Layer((4, 4, 64), 6, "u4", "s4", "raw", fill=(7, 15)),
    Layer((4, 4, 70), 6, "s4", "s4", "raw", fill=(-8, -8)),
    Layer((7, 7, 16), 8, "u2", "s2", "u2"),
    Layer((6, 8, 9), 6, "s2", "s2", "s2"),
    Layer((5, 5, 64), 16, "u2", "t", "u2", (1, 1)),
    Layer((3, 4, 120), 6, "u2", "s2", "raw", fill=(1, 3)),
    Layer((4, 4, 33), 5, "u2", "s2", "s4", (2, 2), pads="valid"),
    Layer((5, 7, 12), 6, "u4", "s2", "u4"),
    Layer((5, 5, 31), 6, "s4", "t", "raw", fill=(1, 7)),
    Layer((5, 5, 16), 6, "u2", "s4", "u4"),
    Layer((6, 6, 8), 8, "s2", "s4", "s4", residual="s4"),
    Layer((6, 6, 40), 8, "bit", "s2", "bit"),
    Layer((5, 6, 7), 6, "bit", "t", "u4"),
    Layer((4, 4, 32), 12, "bit", "s4", "s8", (1, 1)),
    Layer((5, 5, 16), 8, "u4", "s4", "u4", dilation=2),
    Layer((6, 6, 16), 16, "u4", "s4", "s4", (1, 1), residual="s4"),
    Layer((6, 6, 16), 16, "u2", "s2", "s2", (1, 1), residual="s2"),
    Layer((1, 1, 40), 9, "u4", "s4", "raw", (1, 1)),
    Layer((1, 1, 300), 9, "u8", "s4", "raw", (1, 1)),
    Layer((12, 13, 32), 16, "u4", "s2", "u4"),
    Layer((7, 7, 16), 8, "u4", "s4", "u4", even=True),
    Layer((5, 5, 24), 9, "u8", "s4", "s8", (1, 1), residual="s8", even=True),
    Layer((8, 8, 8), 8, "u4", "s4", "s4", op="depthwise"),
    Layer((7, 9, 5), 5, "s4", "s4", "s4", op="depthwise"),
    Layer((9, 8, 6), 6, "s4", "s2", "u8", stride=2, op="depthwise"),
    Layer((30, 40, 8), 8, "u2", "s2", "s2", op="depthwise"),
    Layer((5, 5, 7), 7, "s2", "n8", "raw", pads="valid", op="depthwise"),
    Layer((6, 7, 4), 4, "s2", "t", "bit", stride=2, op="depthwise"),
    Layer((6, 6, 8), 8, "s4", "s4", "s4", residual="s4", op="depthwise"),
    Layer((5, 5, 6), 6, "u4", "n8", "u4", fill=(-127, 15), op="depthwise"),
]


def _stage(layer: Layer, rng: np.random.Generator, lo: Array, hi: Array) -> Epilogue:
    channels = layer.filters
    plain: tuple[Step, ...] = (Step("mul", np.float32(1)),)
    if layer.makes == "raw":
        return Epilogue(plain, Raw(np.ones(channels, np.int64), rng.integers(-999, 999, channels)))
    if layer.makes == "bit":
        return Epilogue(plain, Threshold(rng.integers(lo // 4, hi // 4 + 1), rng.random(channels) < 0.5))
    reach = int(np.maximum(np.abs(lo), np.abs(hi)).max())
    pre, post = max(0, 30 - reach.bit_length()), 16
    low, high = CODES[layer.makes]
    slope = rng.choice([-1, 1], channels) * rng.uniform(0.5, 2.0, channels) * (high - low + 1) / np.sqrt(hi - lo + 1.0) / 16
    mult = np.rint(np.clip(slope * 2.0 ** (post + 32 - pre), 1 - 2.0**31, 2.0**31 - 1)).astype(np.int64)
    offset = np.rint(rng.uniform(low, high, channels) * 2**post / 2).astype(np.int64)
    steps = (*plain, Step("add_tensor", operand=1)) if layer.residual else plain
    form = Fixed(pre, post, post if layer.residual else None, low, high, mult, offset, np.ones(channels, bool), layer.even)
    return Epilogue(steps, form)


def make(layer: Layer, name: str, seed: int) -> tuple[Node, tuple[TensorType, ...], list[Array]]:
    """A node with its input types and one random image."""
    rng = np.random.default_rng(seed)
    (h, w, depth), (kh, kw), (lo, hi) = layer.shape, layer.size, CODES[layer.takes]
    source = TensorType.of_codes(layer.shape, lo, hi, 1.0, layer.takes == "bit")
    reach = tuple((k - 1) * layer.dilation + 1 for k in (kh, kw))
    named = {"valid": (0, 0, 0, 0), "same": same_pads((h, w), reach, (layer.stride,) * 2)}
    pads = named[layer.pads] if isinstance(layer.pads, str) else layer.pads
    out_h = (h + pads[0] + pads[1] - reach[0]) // layer.stride + 1
    out_w = (w + pads[2] + pads[3] - reach[1]) // layer.stride + 1
    low, high = CODES[layer.weights]
    depthwise = layer.op == "depthwise"
    weights = rng.integers(low, high + 1, (kh, kw, depth, layer.filters // depth if depthwise else layer.filters))
    image = rng.integers(lo, hi + 1, (1, h, w, depth))
    if layer.takes == "bit":
        image = rng.integers(0, 2, (1, h, w, depth)) * 2 - 1
    if layer.fill:
        weights[:], image[:] = layer.fill
    acc_lo, acc_hi = OPERATORS[layer.op].bounds(weights, source)
    kind = TensorType.of_codes((out_h, out_w, layer.filters), *CODES[layer.makes], 1.0, layer.makes == "bit")
    sources, inputs = [source], [image]
    if layer.residual:
        sources.append(TensorType.of_codes(kind.shape, *CODES[layer.residual], 1.0))
        inputs.append(rng.integers(sources[1].lo, sources[1].hi + 1, (1, *kind.shape)))
    attrs = {
        "weights": weights, "weight_type": TensorType((), "int", low, high), "strides": (layer.stride,) * 2,
        "dilation": (layer.dilation,) * 2, "pads": pads, "groups": 1, "epilogue": _stage(layer, rng, acc_lo, acc_hi),
        "acc_lo": acc_lo, "acc_hi": acc_hi,
    }  # fmt: skip
    return Node(name, layer.op, tuple(f"{name}_in{k}" for k in range(len(sources))), kind, attrs), tuple(sources), inputs


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch((make(layer, f"n{seed}", seed) for seed, layer in enumerate(LAYERS)), SUBBYTE)


def _layer(name: str) -> Layer:
    return LAYERS[int(name[1:].split("_")[0])]


def test_native_code_with_sanitizers(batch: Batch) -> None:
    run_natively(batch, _layer)
    for name, wanted in batch.wanted.items():
        assert np.ptp(wanted) > 0 or _layer(name).fill, name


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
def test_arm_code(batch: Batch, toolchain: str, tmp_path: Path) -> None:
    run_as_arm_code(batch, toolchain, tmp_path, lambda name: True, near=(0.5, 1.7))


def test_what_is_refused() -> None:
    fields, nested = SUBBYTE["conv2d"]
    node, sources, _ = make(Layer((5, 5, 8), 4, "u4", "s4", "u4"), "n", 0)
    assert fields.applies(node, sources) and not nested.applies(node, sources)
    assert not fields.applies(node.but(attrs={**node.attrs, "groups": 2}), sources)
    assert not fields.applies(node.but(attrs={**node.attrs, "weight_type": TensorType((), "int", -128, 127)}), sources)
    eight = replace(sources[0], lo=0, hi=255, layout="hwc")
    assert nested.applies(node, (eight,)) and not fields.applies(node, (eight,))
    assert not nested.applies(node, (replace(eight, hi=256),))


@pytest.mark.parametrize("bits", [2, 4])
def test_fields_hold_the_weights(bits: int) -> None:
    rows = np.random.default_rng(bits).integers(-(1 << (bits - 1)), 1 << (bits - 1), (6, 24))
    words = pack_fields(rows, bits).astype(np.uint64)
    for term in range(24):
        word, turn = words[:, term * 2 * bits // 32], np.uint64(term * 2 * bits % 32)
        turned = (word >> turn | word << (np.uint64(32) - turn)) & np.uint64(0xFFFFFFFF)
        np.testing.assert_array_equal((turned & np.uint64((1 << bits) - 1)).astype(int) - (1 << (bits - 1)), rows[0::2, term])
        np.testing.assert_array_equal((turned >> np.uint64(32 - bits)).astype(int) - (1 << (bits - 1)), rows[1::2, term])
    assert words.size * 32 == rows.size * bits


@pytest.mark.parametrize("bits", [2, 4])
def test_nested_words_take_the_weights_own_bits(bits: int) -> None:
    rows = np.random.default_rng(bits).integers(-(1 << (bits - 1)), 1 << (bits - 1), (8, 24))
    assert pack_nested(rows, bits).size * 32 == rows.size * bits


def test_long_sums_are_cut() -> None:
    assert parts_of(np.full((2, 64), 7), 16383, -8, 15) == (1, 64)  # 225 * 64 = 14400
    assert parts_of(np.full((2, 80), 7), 16383, -8, 15) == (2, 40)
    assert parts_of(np.full((2, 80), -8), 16383, -8, 15) == (1, 80)
    assert parts_of(np.full((1, 600), 7), (1 << 19) - 1, 0, 128) == (2, 304)
