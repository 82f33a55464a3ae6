"""Kernels that work on bytes, not on sums of products: elementwise steps, pooling, copies; against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen.ir import Array, Node, TensorType
from mcugen.kernels import BYTES
from mcugen.kernels.bytes_map import lookup
from mcugen.numerics.epilogue import Epilogue, Step
from mcugen.ops import OPERATORS
from mcugen.quantizers import parse
from mcugen.shapes import pool_shape
from tests.kernel_batch import Batch, Layer, make_batch, run_as_arm_code, run_natively

INT8, UINT8, SEVEN = (-128, 127), (0, 255), (-127, 127)
F = np.float32


def quantizer(text: str) -> Any:
    found = parse(text, "act")
    assert found is not None
    return found


def layer(op: str, name: str, kinds: Sequence[TensorType], shape: tuple[int, ...], **attrs: Any) -> Layer:
    """A node whose type follows from its steps or its inputs, with one random image of both extremes."""
    rng = np.random.default_rng(sum(map(ord, name)))
    inputs: list[Array] = []
    for kind in kinds:
        codes = rng.normal(size=(1, *kind.shape)).astype(F)
        if kind.bipolar:
            codes = rng.choice([-1, 1], codes.shape)
        elif kind.kind == "int":
            codes = np.where(rng.random(codes.shape) < 0.5, *rng.integers(kind.lo, kind.hi + 1, (2, *codes.shape)))
            codes.reshape(-1)[:2] = kind.lo, kind.hi
        inputs.append(codes)
    names = tuple(f"{name}_in{k}" for k in range(len(kinds)))
    if "epilogue" in attrs:
        last = attrs["epilogue"].quantizer
        made = TensorType.of_codes(shape, last.lo, last.hi, last.step, last.bipolar)
    else:
        made = OPERATORS[op].infer(Node(name, op, names, TensorType(shape), attrs), kinds)
    return Node(name, op, names, made, attrs), tuple(kinds), inputs


def codes(shape: tuple[int, ...], ends: tuple[int, int], scale: float = 1 / 32) -> TensorType:
    return TensorType(shape, "int", *ends, scale)


def map_layer(name: str, shape: tuple[int, ...], kinds: Sequence[tuple[tuple[int, int], float]], text: str, *more: Step,
              join: str = "add_tensor") -> Layer:  # fmt: skip
    steps = [Step("mul", F(kinds[0][1])), *(Step(join, operand=k) for k in range(1, len(kinds))), *more]
    epilogue = Epilogue((*steps, Step("quantize", quantizer=quantizer(text))))
    return layer("map", name, [codes(shape, *kind) for kind in kinds], shape, epilogue=epilogue)


BITS, RELU = "quantized_bits(8,2,{},alpha=1)", "quantized_relu(8,3)"
SYM, WHOLE = BITS.format(1), BITS.format(0)
MAPS = [
    map_layer("add_sym", (12, 12, 16), [(SEVEN, 1 / 32)] * 2, SYM),
    map_layer("add_whole", (5, 5, 5), [(INT8, 1 / 32)] * 2, WHOLE),
    map_layer("add_unsigned", (5, 5, 3), [(UINT8, 1 / 32)] * 2, RELU),
    map_layer("add_small", (1, 1, 3), [((0, 100), 1 / 32), (SEVEN, 1 / 32)], SYM),
    map_layer("add_relu", (7, 5, 8), [(INT8, 1 / 16)] * 2, "quantized_relu(7,3)"),
    map_layer("subtract", (6, 6, 6), [(INT8, 1 / 32)] * 2, WHOLE, join="sub_tensor"),
    map_layer("subtract_unsigned", (6, 6, 6), [(UINT8, 1 / 32)] * 2, RELU, join="sub_tensor"),
    map_layer("add_finer", (16, 16, 9), [(INT8, 1 / 32), (INT8, 1 / 64)], SYM),
    map_layer("add_coarser", (4, 4, 9), [(INT8, 1 / 64), (UINT8, 1 / 16)], SYM),
    map_layer("subtract_finer", (4, 4, 9), [(INT8, 1 / 64), (UINT8, 1 / 16)], SYM, join="sub_tensor"),
    map_layer("add_three", (4, 4, 9), [(INT8, 1 / 64), (SEVEN, 1 / 64), (UINT8, 1 / 32)], SYM),
    map_layer("add_mixed", (5, 4, 4), [(UINT8, 1 / 32), (INT8, 1 / 32)], SYM),
    map_layer("ties", (16, 16, 1), [(INT8, 1 / 128)], SYM),
    map_layer("relu", (16, 16, 17), [(INT8, 1 / 32)], "quantized_relu(8,3)"),
    map_layer("clipped", (9, 9, 1), [(INT8, 1 / 32)], SYM, Step("clip", np.array([-1, 2], F))),
    map_layer("scaled", (3, 5, 2), [(INT8, 1 / 32)], SYM, Step("mul", F(0.3)), Step("add", F(0.123))),
    map_layer("leaky", (16, 16, 1), [(INT8, 1 / 32)], SYM, Step("slope", F(0.125))),
    map_layer("tanh", (30, 16, 1), [(UINT8, 1 / 99)], "quantized_tanh(8)"),
    map_layer("sigmoid", (300,), [(INT8, 1 / 32)], "quantized_sigmoid(8,symmetric=True)"),
]


def pool_layer(op: str, name: str, kind: TensorType, size: tuple[int, int], strides: tuple[int, int] | None = None,
               pads: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Layer:  # fmt: skip
    strides = strides or size
    height, width = pool_shape(kind.shape[:2], size, strides, pads)
    attrs: dict[str, Any] = {"size": size, "strides": strides, "pads": pads}
    if op == "avgpool":
        steps = [Step("mul", F(kind.scale)), Step("div", F(size[0] * size[1])), Step("quantize", quantizer=quantizer(WHOLE))]
        if any(pads):
            ones = np.pad(np.ones(kind.shape[:2], np.int64), (pads[:2], pads[2:]))
            view = np.lib.stride_tricks.sliding_window_view(ones, size)[:: strides[0], :: strides[1]]
            attrs["counts"] = view.sum(axis=(2, 3))[:height, :width, None]
            steps[1] = Step("div_count")
        attrs["epilogue"] = Epilogue(tuple(steps))
    return layer(op, name, [kind], (height, width, kind.channels), **attrs)


POOLS = [
    pool_layer("maxpool", "max", codes((24, 24, 16), INT8), (2, 2)),
    pool_layer("maxpool", "max_unsigned", codes((7, 8, 5), UINT8), (2, 3)),
    pool_layer("maxpool", "max_overlap", codes((9, 9, 7), SEVEN), (3, 3), (2, 2), (1, 1, 1, 1)),
    pool_layer("maxpool", "max_edge", codes((8, 8, 4), UINT8), (3, 3), (2, 2), (0, 1, 0, 1)),
    pool_layer("maxpool", "max_wide", codes((6, 12, 6), INT8), (5, 6)),
    pool_layer("avgpool", "mean", codes((24, 24, 16), INT8), (2, 2)),
    pool_layer("avgpool", "mean_odd", codes((7, 8, 5), UINT8), (2, 3)),
    pool_layer("avgpool", "mean_padded", codes((9, 9, 7), SEVEN), (3, 3), (2, 2), (1, 1, 1, 1)),
    pool_layer("avgpool", "mean_all", codes((12, 12, 64), UINT8), (12, 12)),
    pool_layer("avgpool", "mean_large", codes((30, 17, 6), INT8), (30, 17)),
    pool_layer("avgpool", "mean_large_unsigned", codes((30, 17, 6), UINT8), (30, 17)),
    pool_layer("avgpool", "mean_tall", codes((70, 4, 4), UINT8), (64, 4), (1, 1), (3, 3, 0, 0)),
]


def copied(op: str, name: str, kinds: Sequence[TensorType], shape: tuple[int, ...], **attrs: Any) -> Layer:
    return layer(op, name, kinds, shape, **attrs)


PACKED = TensorType.of_codes((5, 6, 6), -8, 7, 1.0)
COPIES = [
    copied("concat", "concat", [codes((20, 20, 24), INT8), codes((20, 20, 8), INT8)], (20, 20, 32)),
    copied("concat", "concat_odd", [codes((3, 4, 7), UINT8), codes((3, 4, 1), UINT8), codes((3, 4, 22), UINT8)], (3, 4, 30)),
    copied("concat", "concat_wide", [codes((3, 4, 3), (-999, 999)), codes((3, 4, 2), (-999, 999))], (3, 4, 5)),
    copied("concat", "concat_packed", [PACKED, TensorType.of_codes((5, 6, 3), -8, 7, 1.0)], (5, 6, 9)),
    copied("concat", "concat_float", [TensorType((2, 2, 3), "float"), TensorType((2, 2, 1), "float")], (2, 2, 4)),
    *(
        copied("concat", f"concat_bits{number}", [TensorType.of_codes((19, 20, n), -1, 1, 1.0, True) for n in parts],
               (19, 20, sum(parts)))
        for number, parts in enumerate([(16, 16), (24, 24), (1, 1), (5, 27, 33), (40, 64, 7), (31, 2), (96, 31), (32, 32)])
    ),
    copied("pad", "pad", [codes((20, 20, 16), INT8)], (22, 22, 16), pads=(1, 1, 1, 1)),
    copied("pad", "pad_odd", [codes((5, 6, 3), UINT8)], (8, 11, 3), pads=(3, 0, 1, 4)),
    copied("pad", "pad_wide", [codes((5, 6, 3), (-999, 999))], (6, 8, 3), pads=(0, 1, 2, 0)),
    copied("pad", "pad_packed", [PACKED], (6, 7, 6), pads=(1, 0, 0, 1)),
    copied("resize", "crop", [codes((22, 22, 16), INT8)], (18, 17, 16), offset=(1, 3), repeat=(1, 1)),
    copied("resize", "repeat", [codes((9, 9, 24), INT8)], (18, 27, 24), offset=(0, 0), repeat=(2, 3)),
    copied("resize", "crop_repeat", [PACKED], (6, 4, 6), offset=(2, 1), repeat=(2, 1)),
    copied("resize", "bits", [TensorType.of_codes((3, 3, 40), -1, 1, 1.0, True)], (6, 6, 40), offset=(0, 0), repeat=(2, 2)),
]


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch([*MAPS, *POOLS, *COPIES], BYTES)


def test_native_code_with_sanitizers(batch: Batch) -> None:
    run_natively(batch, lambda name: batch.graph[name].type)


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
def test_arm_code(batch: Batch, toolchain: str, tmp_path: Path) -> None:
    run_as_arm_code(batch, toolchain, tmp_path, lambda name: not name.startswith("mean"))


def words(name: str) -> bool:
    node, sources, _ = next(layer for layer in MAPS if layer[0].name == name)
    found = lookup(node, sources)
    assert found is not None
    return found.saturates(sources) is not None


def test_which_maps_need_no_table() -> None:
    names = [node.name for node, _, _ in MAPS]
    assert {name for name in names if words(name)} == {
        "add_sym", "add_whole", "add_unsigned", "add_small", "subtract", "subtract_unsigned", "relu", "clipped", "add_relu",
    }  # fmt: skip


def test_what_is_refused() -> None:
    fast = BYTES["map"][0]
    per_channel = map_layer("n", (3, 3, 4), [(INT8, 1 / 32)], SYM, Step("mul", np.arange(1, 5, dtype=F)))
    assert not fast.applies(*per_channel[:2])  # a table a channel
    rounded = map_layer("n", (3, 3, 4), [(INT8, 0.3), (INT8, 0.1)], SYM)
    assert not fast.applies(*rounded[:2])  # the float32 sum is no function of a sum of codes
    far = map_layer("n", (3, 3, 4), [(INT8, 1.0), (INT8, 1 / 64)], SYM)
    assert not fast.applies(*far[:2])  # a large table
    product = map_layer("n", (3, 3, 4), [(INT8, 1 / 8), (INT8, 1 / 8)], SYM, join="mul_tensor")
    assert not fast.applies(*product[:2])
    few = pool_layer("maxpool", "n", codes((4, 4, 3), INT8), (2, 2))
    assert not BYTES["maxpool"][0].applies(*few[:2])
    other = copied("concat", "n", [codes((2, 2, 4), INT8), codes((2, 2, 4), (-999, 999))], (2, 2, 8))
    assert not any(kernel.applies(*other[:2]) for kernel in BYTES["concat"])
    bits = [TensorType.of_codes((1, 1, n), -1, 1, 1.0, True) for n in (300, 200)]
    many = copied("concat", "n", bits, (1, 1, 500))
    assert not any(kernel.applies(*many[:2]) for kernel in BYTES["concat"])
