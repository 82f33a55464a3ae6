"""The fast kernels with 8-bit weights against the reference: natively with sanitizers, and as emulated Cortex-M7 code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen.ir import Array, Node, TensorType
from mcugen.kernels import INT8
from mcugen.kernels.int8_pack import pack_pairs
from mcugen.numerics.epilogue import Epilogue, Fixed, Raw, Step, evaluate
from mcugen.numerics.guard import NEVER, POST, Guard, guard
from mcugen.numerics.requantize import Chain
from mcugen.ops.base import Kernel
from mcugen.ops.conv2d import Conv2D
from mcugen.ops.depthwise import Depthwise
from mcugen.quantizers import parse
from tests.kernel_batch import Batch, make_batch, run_as_arm_code, run_natively

SIXTEEN_BITS = ("fast_conv2d", "fast_depthwise")  # templates that take 16-bit codes too
OPERATORS = {"conv2d": Conv2D(), "depthwise": Depthwise()}


@dataclass(frozen=True)
class Layer:
    """One random layer. pads: "same", "valid" or four numbers; fill: (weight, code) of an extreme; stage: what follows."""

    shape: tuple[int, int, int]
    filters: int = 0  # 0: depthwise
    size: tuple[int, int] = (3, 3)
    stride: int = 1
    pads: Any = "same"
    signed: bool = False
    stage: str = "fixed"  # [even] residual, even, some (a few channels unproved: guarded), asked (no guard either), raw
    limits: tuple[int, int] = (0, 255)
    weights: tuple[int, int] = (-127, 127)
    fill: tuple[int, int] | None = None
    bits: int = 8  # of the codes that come in


LAYERS = [
    Layer((7, 7, 4), 6),
    Layer((6, 9, 16), 5, signed=True),
    Layer((5, 5, 3), 8, stride=2),
    Layer((8, 8, 3), 4, signed=True, limits=(-128, 127)),
    Layer((5, 4, 5), 3, (5, 5)),
    Layer((4, 7, 6), 4, (1, 3), pads="valid", stride=2),
    Layer((6, 6, 8), 7, (2, 2), pads=(1, 0, 0, 1)),
    Layer((9, 10, 8), 4, stride=3, pads="valid", limits=(0, 15)),
    Layer((4, 4, 64), 6, limits=(-8, 7)),
    Layer((7, 5, 16), 16, (1, 1)),
    Layer((3, 3, 40), 9, (1, 1), signed=True, limits=(-127, 127)),
    Layer((1, 2, 7), 3, (1, 1)),
    Layer((20, 17, 32), 33, (1, 1)),
    Layer((5, 6, 12), 8, (1, 1), stride=2),
    Layer((6, 6, 8), 12, (1, 1), stage="residual", limits=(-128, 127)),
    Layer((4, 5, 8), 5, stage="residual"),
    Layer((6, 6, 8), 12, (1, 1), stage="even", weights=(-1, 1)),
    Layer((6, 6, 8), 12, stage="even", limits=(-127, 127), signed=True, weights=(-1, 1)),
    Layer((4, 5, 8), 5, stage="even residual", limits=(-128, 127), weights=(-1, 1)),
    Layer((5, 5, 6), 8, (1, 1), stage="even residual", limits=(-127, 127), weights=(-1, 1)),
    Layer((5, 7, 6), stage="even", weights=(-1, 1)),
    Layer((5, 6, 8), 12, stage="some"),
    Layer((4, 4, 24), 9, (1, 1), stage="some", signed=True, limits=(-128, 127)),
    Layer((8, 9, 16), 10, stage="some", signed=True),
    Layer((9, 9, 40), 7, stage="some", limits=(-128, 127)),
    Layer((7, 7, 16), 6, stage="some", weights=(-128, 127)),
    Layer((5, 5, 8), 9, stage="asked"),
    Layer((5, 5, 8), 6, stage="raw"),
    Layer((5, 5, 8), 6, weights=(-128, 127)),
    Layer((5, 5, 16), 6, fill=(-128, 255)),
    Layer((5, 5, 16), 6, signed=True, fill=(-128, -128), limits=(-128, 127)),
    Layer((3, 4, 128), 4, fill=(127, 255)),
    Layer((3, 3, 300), 4, fill=(-128, 255), stage="raw"),
    Layer((6, 6, 48), 90, (3, 3)),
    Layer((1, 1, 70), 10, (1, 1), stage="raw"),
    Layer((1, 1, 600), 6, (1, 1), stage="raw", fill=(127, 255)),
    Layer((3, 3, 6), 7, pads="valid", signed=True),
    Layer((2, 3, 5), 4, (2, 3), pads="valid", stage="residual"),
    Layer((8, 8, 8)),
    Layer((7, 9, 4), signed=True),
    Layer((5, 6, 11), limits=(-128, 127)),
    Layer((9, 8, 8), stride=2),
    Layer((8, 9, 5), stride=2, signed=True, pads="valid"),
    Layer((40, 30, 8)),
    Layer((6, 6, 7), stage="some"),
    Layer((5, 5, 8), stage="residual"),
    Layer((5, 7, 3), stride=2, stage="raw"),
    Layer((6, 6, 8), fill=(-128, 255)),
    Layer((1, 1, 3)),
    Layer((3, 3, 10), pads="valid"),
    Layer((2, 4, 8), size=(2, 4), pads="valid", signed=True, stage="raw"),
    Layer((7, 7, 4), 6, bits=16),
    Layer((6, 9, 5), 5, signed=True, bits=16),
    Layer((5, 5, 3), 8, stride=2, bits=16, stage="raw", weights=(-9, 9)),
    Layer((4, 7, 6), 3, (1, 3), pads="valid", stride=2, bits=16, stage="residual", limits=(-128, 127)),
    Layer((20, 17, 32), 9, (1, 1), bits=16, limits=(-128, 127)),
    Layer((6, 6, 7), 4, (1, 1), signed=True, bits=16),
    Layer((1, 1, 70), 10, (1, 1), stage="raw", bits=16, weights=(-9, 9)),
    Layer((5, 5, 16), 6, fill=(-128, 65535), bits=16),
    Layer((3, 3, 40), 6, signed=True, fill=(-128, -32768), bits=16),
    Layer((8, 8, 8), bits=16),
    Layer((7, 9, 6), signed=True, bits=16),
    Layer((5, 6, 11), limits=(-128, 127), bits=16),
    Layer((9, 8, 5), stride=2, bits=16),
    Layer((8, 9, 7), stride=2, signed=True, pads="valid", bits=16),
    Layer((40, 30, 8), bits=16),
    Layer((5, 7, 3), stride=2, stage="raw", weights=(-9, 9), bits=16),
    Layer((6, 6, 8), fill=(-128, 65535), bits=16),
]


def _around(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _stage(
    layer: Layer, rng: Any, channels: int, acc_lo: Array, acc_hi: Array, spread: float
) -> tuple[Epilogue, tuple[int, int]]:
    reach = int(np.maximum(np.abs(acc_lo), np.abs(acc_hi)).max())
    if layer.stage == "raw":
        form = Raw(2 ** rng.integers(0, 2, channels), rng.integers(-9999, 9999, channels))
        return Epilogue((Step("mul", np.float32(1)),), form), (-(1 << 26), 1 << 26)
    pre, post = max(0, 30 - reach.bit_length()), int(rng.integers(6, 14))
    slope = rng.uniform(0.3, 1.2, channels) * rng.choice([-1, 1], channels) * 60 / spread
    mult = np.rint(np.clip(slope * 2.0 ** (post + 32 - pre), 1 - 2.0**31, 2.0**31 - 1)).astype(np.int64)
    offset = np.rint(rng.uniform(0, 99, channels) * 2**post).astype(np.int64)
    proved = np.ones(channels, bool)
    steps: tuple[Step, ...] = (Step("mul", np.float32(1)),)
    if layer.stage in ("some", "asked"):
        proved[:: max(3, channels // 2)] = False
        text = "quantized_relu(8,8)" if layer.limits[0] == 0 else "quantized_bits(8,7,0,alpha=1)"
        bias = (offset / 2**post).astype(np.float32)
        steps = (
            Step("mul", slope.astype(np.float32)), Step("add", bias), Step("quantize", quantizer=parse(text, "act")),
        )  # fmt: skip
        form = Chain(steps, acc_lo, acc_hi).fixed(*layer.limits, (0, 0), 1.0)
        assert form is not None
        return Epilogue(steps, replace(form, proved=form.proved & proved)), layer.limits
    if layer.stage.startswith("even"):
        post = 5  # of small weights, so that ties are frequent
        mult = rng.choice([-2, -1, 1, 3], channels) << (32 - pre)
        offset = rng.integers(-(30 << post), 30 << post, channels)
    residual = (post if layer.stage == "residual" else post - 2) if layer.stage.endswith("residual") else None
    if residual is not None:
        steps = (*steps, Step("add_tensor", operand=1))
    form = Fixed(pre, post, residual, *layer.limits, mult, offset, proved, even=layer.stage.startswith("even"))
    return Epilogue(steps, form), layer.limits


def make(layer: Layer, name: str, seed: int) -> tuple[Node, tuple[TensorType, ...], list[Array]]:
    """A node with its input types and one random image."""
    rng = np.random.default_rng(seed)
    op = "conv2d" if layer.filters else "depthwise"
    (h, w, depth), (kh, kw) = layer.shape, layer.size
    lo, hi = (-(1 << layer.bits - 1), (1 << layer.bits - 1) - 1) if layer.signed else (0, (1 << layer.bits) - 1)
    source = TensorType(layer.shape, "int", lo, hi, 1.0)
    pads = {"valid": (0, 0, 0, 0), "same": (*_around(h, kh, layer.stride), *_around(w, kw, layer.stride))}
    top, bottom, left, right = pads.get(layer.pads, layer.pads) if isinstance(layer.pads, str) else layer.pads
    out_h, out_w = (h + top + bottom - kh) // layer.stride + 1, (w + left + right - kw) // layer.stride + 1
    channels = layer.filters or depth
    weights = rng.integers(layer.weights[0], layer.weights[1] + 1, (kh, kw, depth, layer.filters or 1))
    image = rng.integers(lo, hi + 1, (1, h, w, depth))
    if layer.fill:
        weights[:], image[:] = layer.fill
    acc_lo, acc_hi = OPERATORS[op].bounds(weights, source)
    spread = np.sqrt(kh * kw * (depth if layer.filters else 1)) * 70 * 90 * 2.0 ** (layer.bits - 8)
    epilogue, limits = _stage(layer, rng, channels, acc_lo, acc_hi, spread)
    kind = TensorType((out_h, out_w, channels), "int", *limits, 1.0)
    sources, inputs = [source], [image]
    if layer.stage.endswith("residual"):
        sources.append(TensorType(kind.shape, "int", -128, 127, 1.0))
        inputs.append(rng.integers(-128, 128, (1, *kind.shape)))
    attrs = {
        "weights": weights, "weight_type": TensorType((), "int", -128, 127), "strides": (layer.stride,) * 2,
        "dilation": (1, 1), "pads": (top, bottom, left, right), "groups": 1, "epilogue": epilogue,
        "acc_lo": acc_lo, "acc_hi": acc_hi,
    }  # fmt: skip
    return Node(name, op, tuple(f"{name}_in{k}" for k in range(len(sources))), kind, attrs), tuple(sources), inputs


def _wide_guard(node: Node) -> Guard | None:
    """A guard wide enough to be met often; of layers called "asked", none."""
    found = guard(node)
    if found is None or _layer(node.name).stage == "asked":
        return None
    return replace(found, width=np.where(found.width < NEVER, np.maximum(found.width, 200), NEVER))


@pytest.fixture(scope="module")
def batch() -> Iterator[Batch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mcugen.kernels.finish.guard", _wide_guard)
        yield make_batch((make(layer, f"n{seed}", seed) for seed, layer in enumerate(LAYERS)), INT8)


def _layer(name: str) -> Layer:
    return LAYERS[int(name[1:].split("_")[0])]


def test_native_code_with_sanitizers(batch: Batch) -> None:
    run_natively(batch, _layer)


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
def test_arm_code(batch: Batch, toolchain: str, tmp_path: Path) -> None:
    run_as_arm_code(batch, toolchain, tmp_path, lambda name: _layer(name).stage not in ("some", "asked"))


@pytest.mark.parametrize("kernel", [*INT8["conv2d"], *INT8["depthwise"]], ids=lambda kernel: kernel.template)
def test_what_is_refused(kernel: Kernel) -> None:
    filters = 4 if kernel in INT8["conv2d"] else 0
    node, sources, _ = make(Layer((3, 3, 4), filters, pads="valid"), "n", 0)
    assert kernel.applies(node, sources)
    wide = node.but(attrs={**node.attrs, "weights": node.attrs["weights"] * 2})
    assert not kernel.applies(wide, sources)
    assert kernel.applies(node, (TensorType((3, 3, 4), "int", -300, 300),)) == kernel.template.startswith(SIXTEEN_BITS)
    assert not kernel.applies(node, (TensorType((3, 3, 4), "int", -300, 70000),))
    assert not kernel.applies(node, (TensorType((3, 3, 4), "float"),))
    assert not kernel.applies(node.but(attrs={**node.attrs, "dilation": (2, 2)}), sources)


@pytest.mark.parametrize("seed", range(6))
def test_guarded_lines_are_right_outside_their_bands(seed: int) -> None:
    layer = Layer((3, 3, 4), 12, stage="some", limits=((0, 255), (-128, 127))[seed % 2], weights=(-40, 40))
    node = make(layer, "n", seed)[0]
    found = guard(node)
    assert found is not None and guard(node) is found
    lo, hi = int(node.attrs["acc_lo"].min()), int(node.attrs["acc_hi"].max())
    acc = np.arange(lo, hi + 1)[:, None]
    reachable = (acc >= node.attrs["acc_lo"]) & (acc <= node.attrs["acc_hi"])
    v = found.offset + ((acc << found.pre) * found.mult >> 32)
    band = v % (1 << POST) < found.width
    wanted = evaluate(node.attrs["epilogue"].steps, acc.astype(np.float32))
    assert ((np.clip(v >> POST, found.lo, found.hi) == wanted) | band | ~reachable).all()
    assert (found.width < 8).all() and band[reachable].mean() < 1e-3


def _unpacked(words: Array, split: bool) -> Array:
    lanes = np.ascontiguousarray(words).view("<i2").astype(np.int64)
    low = (lanes & 255 ^ 128) - 128
    return np.stack([low, lanes >> 8 if split else (lanes - low) >> 8], axis=1).reshape(-1, lanes.shape[1])


@pytest.mark.parametrize("may_negate", [False, True])
@pytest.mark.parametrize("lowest", [-127, -128])
def test_packed_words_hold_the_weights(may_negate: bool, lowest: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(lowest, 128, (8, 64))
    rows[1, :32], rows[0, :32] = -128, 5  # a lane of -128 by a weight that is not negative
    rows[3], rows[2] = -128, -7  # fits only when negated
    packed = pack_pairs(rows, TensorType((), "int", 0, 255), np.full(4, may_negate), 2)
    np.testing.assert_array_equal(_unpacked(packed.words, packed.split) * packed.signs[:, None], rows)
    assert packed.parts == 1 and (packed.split or may_negate)


def test_long_sums_are_cut() -> None:
    packed = pack_pairs(np.full((2, 1000), 127), TensorType((), "int", 0, 255), np.zeros(1, bool), 8)
    assert packed.parts == 4 and not packed.split
    assert packed.words.shape[1] == packed.parts * packed.pairs and packed.pairs * 2 * 127 * 255 < 1 << 23
