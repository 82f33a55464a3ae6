"""Fast binary kernels against the reference: natively with sanitizers, as Arm code on the emulated Cortex-M7, in networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.engines.host import HostEngine
from mcugen.interpret import encode_inputs, interpret
from mcugen.ir import Array, Layer, Network, Node, TensorType
from mcugen.kernels import BINARY
from mcugen.kernels.binary_pack import groups_of_codes, groups_of_words, pack_tables
from mcugen.numerics.epilogue import Epilogue, Fixed, Raw, Step, Threshold
from mcugen.numerics.requantize import Chain
from mcugen.ops.base import Kernel
from mcugen.ops.conv2d import Conv2D
from mcugen.ops.depthwise import Depthwise
from mcugen.ops.map import Map
from mcugen.pipeline import compile_graph, lower
from mcugen.quantizers import Quantizer, parse
from mcugen.shapes import same_pads
from tests.kernel_batch import Batch, make_batch, run_as_arm_code, run_natively

BOARD = load_board("nucleo-h743zi")
OPERATORS = {"conv2d": Conv2D(), "depthwise": Depthwise(), "map": Map()}
BIT = TensorType((), "int", -1, 1, bipolar=True)


@dataclass(frozen=True)
class Case:
    """One random layer. filters 0: depthwise, of codes: only a comparison; fill: (weight, activation) of an extreme; stage:
    what follows the sums."""

    shape: tuple[int, int, int]
    filters: int = 0
    size: tuple[int, int] = (3, 3)
    stride: int = 1
    pads: Any = "same"
    codes: bool = False  # int8 codes instead of words of bits
    stage: str = "fixed"  # fixed, residual, some (residual, a few channels unproved), bits, raw
    limits: tuple[int, int] = (-128, 127)
    fill: tuple[int, int] | None = None
    groups: int = 1


CASES = [
    Case((6, 5, 16), 16, codes=True, stage="residual"),
    Case((5, 4, 24), 24, codes=True, stage="residual", limits=(-127, 127)),
    Case((3, 3, 128), 40, codes=True, stage="residual", limits=(-127, 127)),
    Case((6, 7, 64), 20, codes=True, stage="some", limits=(-127, 127)),
    Case((4, 4, 33), 9, stage="some"),
    Case((9, 9, 1), 1, codes=True),
    Case((1, 1, 1), 3, stage="raw"),
    Case((7, 6, 3), 5, stride=2, codes=True, limits=(0, 255)),
    Case((8, 7, 5), 33, stride=2, stage="bits"),
    Case((5, 5, 17), 8, pads="valid", stage="bits"),
    Case((6, 6, 40), 48, (2, 2), pads=(1, 0, 0, 1), codes=True, stage="bits"),
    Case((4, 9, 20), 16, (5, 5), codes=True, limits=(0, 15)),
    Case((9, 2, 7), 6, (1, 3), stage="raw"),
    Case((2, 2, 90), 17, codes=True, stage="raw"),
    Case((5, 7, 16), 24, (1, 1), limits=(-8, 7)),
    Case((4, 3, 130), 31, (1, 1), stride=2, stage="bits"),
    Case((3, 3, 300), 4, codes=True, stage="raw"),
    Case((1, 1, 700), 40, (1, 1), stage="bits"),
    Case((2, 3, 260), 5, pads="valid", size=(2, 3), codes=True),
    Case((12, 13, 32), 32, stage="bits"),
    Case((20, 16, 16), 16, codes=True, stage="residual"),
    Case((6, 6, 28), 16, codes=True, stage="raw", fill=(1, 1)),
    Case((6, 6, 28), 16, codes=True, stage="raw", fill=(1, -1)),
    Case((5, 5, 64), 16, stage="raw", fill=(-1, -1)),
    Case((5, 5, 25), 16, stage="raw", fill=(-1, 1)),
    Case((4, 5, 8), 300, codes=True, pads="valid", stage="bits"),
    Case((4, 4, 8), 260, codes=True, pads="valid"),
    Case((6, 5, 48), 32, codes=True, groups=2, stage="residual"),
    Case((5, 6, 66), 12, groups=2, stage="some", limits=(-127, 127)),
    Case((4, 5, 128), 32, groups=2, stage="bits"),
    Case((7, 4, 15), 9, stride=2, codes=True, groups=3, stage="bits"),
    Case((5, 3, 99), 51, (1, 1), groups=3),
    Case((4, 4, 140), 20, groups=4, stage="raw"),
    Case((6, 6, 16), stage="bits"),
    Case((5, 7, 33), stride=2, stage="bits"),
    Case((4, 4, 64), pads="valid", stage="raw"),
    Case((5, 5, 3), size=(5, 5), stage="bits"),
    Case((3, 3, 40), size=(1, 3), stage="fixed"),
    Case((1, 1, 5), stage="bits"),
    Case((6, 5, 24), size=(2, 2), stride=2, pads="valid", stage="bits"),
    Case((5, 5, 32), stage="raw", fill=(1, 1)),
    Case((5, 5, 32), stage="raw", fill=(-1, 1)),
    Case((6, 7, 33), limits=(-127, 127), stage="residual"),
    Case((7, 5, 40), size=(5, 5), stride=2, stage="some", limits=(-127, 127)),
    Case((9, 3, 70), size=(1, 1), stage="fixed", limits=(0, 255)),
    Case((5, 4, 64), codes=True),
    Case((3, 5, 37), codes=True, limits=(0, 255)),
    Case((4, 3, 24), codes=True, limits=(-100, 90)),
    Case((7, 2, 3), codes=True),
]


def draw(seed: int) -> Case:
    """Any shape, size, stride, border and output, odd numbers of channels, extremes now and then."""
    rng = np.random.default_rng([7, seed])

    def pick(*options: Any) -> Any:
        return options[int(rng.integers(len(options)))]

    filters, groups = pick(0, 1, 3, 8, 16, 17, 31, 40), pick(1, 1, 1, 2, 3)
    size = (pick(1, 2, 3, 3, 5), pick(1, 2, 3, 3, 4))
    shape = (int(rng.integers(size[0], 9)), int(rng.integers(size[1], 9)), pick(1, 2, 5, 16, 21, 32, 36, 67, 96))
    pads = pick("same", "valid", tuple(int(rng.integers(0, k)) for k in (size[0], size[0], size[1], size[1])))
    limits = pick((-128, 127), (-127, 127), (0, 255), (-8, 7))
    stage = pick("fixed", "residual", "some", "bits", "raw")
    if stage == "some":
        limits = pick((-128, 127), (-127, 127))
    fill = (pick(-1, 1), pick(-1, 1)) if rng.random() < 0.1 else None
    if filters == 0 or filters % groups or shape[-1] % groups:
        groups = 1
    codes = bool(rng.random() < 0.5) and filters > 0
    return Case(shape, filters, size, pick(1, 1, 2, 3), pads, codes, stage, limits, fill, groups)


CASES += [draw(seed) for seed in range(30)]


def _stage(case: Case, rng: Any, channels: int, terms: int) -> tuple[Epilogue, TensorType]:
    kind = TensorType((), "int", *case.limits, 1.0)
    if case.stage == "raw":
        kind = TensorType((), "int", -(1 << 26), 1 << 26)
        form = Raw(2 ** rng.integers(0, 2, channels), rng.integers(-9999, 9999, channels))
        return Epilogue((Step("mul", np.float32(1)),), form), kind
    if case.stage == "bits":
        threshold = rng.integers(-terms // 3 - 2, terms // 3 + 3, channels)
        return Epilogue((), Threshold(threshold, rng.integers(0, 2, channels).astype(bool))), replace(BIT, layout="words")
    slope = rng.uniform(0.3, 3, channels) * rng.choice([-1, 1], channels) * 60 / np.sqrt(terms)
    residual = case.stage in ("residual", "some")
    if case.stage == "some":
        text = "quantized_bits(8,7,1,alpha=1)" if case.limits[0] == -127 else "quantized_bits(8,7,0,alpha=1)"
        steps = (
            Step("mul", slope.astype(np.float32)), Step("add", rng.normal(0, 20, channels).astype(np.float32)),
            Step("add_tensor", operand=1), Step("quantize", quantizer=parse(text, "act")),
        )  # fmt: skip
        reach = np.full(channels, terms)
        found = Chain(steps, -reach, reach).fixed(*case.limits, (-128, 127), 1.0)
        assert found is not None
        few = np.arange(channels) % max(3, channels // 2) > 0
        return Epilogue(steps, replace(found, proved=found.proved & few)), kind
    pre, post = max(0, 30 - terms.bit_length()), int(rng.integers(6, 16))
    mult = np.rint(np.clip(slope * 2.0 ** (post + 32 - pre), 1 - 2.0**31, 2.0**31 - 1)).astype(np.int64)
    offset = np.rint(rng.uniform(-40, 40, channels) * 2**post).astype(np.int64)
    steps = (Step("mul", np.float32(1)), *([Step("add_tensor", operand=1)] if residual else []))
    proved = np.ones(channels, bool)
    return Epilogue(steps, Fixed(pre, post, post if residual else None, *case.limits, mult, offset, proved)), kind


def comparison(case: Case, name: str, rng: Any) -> tuple[Node, tuple[TensorType, ...], list[Array]]:
    """A map of codes to bits."""
    lo, hi = case.limits
    channels = case.shape[-1]
    form = Threshold(rng.integers(lo - 20, hi + 20, channels), rng.integers(0, 2, channels).astype(bool))
    node = Node(name, "map", (f"{name}_in0",), replace(BIT, shape=case.shape, layout="words"), {"epilogue": Epilogue((), form)})
    return node, (TensorType(case.shape, "int", lo, hi),), [rng.integers(lo, hi + 1, (1, *case.shape))]


def make(case: Case, name: str, seed: int) -> tuple[Node, tuple[TensorType, ...], list[Array]]:
    """A node with its input types and two random images."""
    rng = np.random.default_rng(seed)
    if case.codes and not case.filters:
        return comparison(case, name, rng)
    (h, w, depth), (kh, kw) = case.shape, case.size
    pads = {"valid": (0, 0, 0, 0), "same": same_pads((h, w), case.size, (case.stride,) * 2)}
    around = pads.get(case.pads) or case.pads if isinstance(case.pads, str) else case.pads
    out = [(n + sum(p) - k) // case.stride + 1 for n, p, k in zip((h, w), (around[:2], around[2:]), (kh, kw), strict=True)]
    channels = case.filters or depth
    weights = rng.choice([-1, 1], (kh, kw, depth // case.groups, case.filters or 1))
    source = TensorType(case.shape, "int", -128, 127) if case.codes else replace(BIT, shape=case.shape, layout="words")
    image = rng.integers(-128, 128, (1, *case.shape)) if case.codes else rng.choice([-1, 1], (1, *case.shape))
    if case.fill:
        weights[:], image[:] = case.fill
    terms = kh * kw * (weights.shape[2] if case.filters else 1)
    epilogue, kind = _stage(case, rng, channels, terms)
    kind = replace(kind, shape=(*out, channels))
    sources, inputs = [source], [image]
    if case.stage in ("residual", "some"):
        sources.append(TensorType(kind.shape, "int", -128, 127))
        inputs.append(rng.integers(-128, 128, (1, *kind.shape)))
    attrs = {
        "weights": weights, "weight_type": BIT, "strides": (case.stride,) * 2, "dilation": (1, 1), "pads": around,
        "epilogue": epilogue, "acc_lo": np.full(channels, -terms), "acc_hi": np.full(channels, terms),
    }  # fmt: skip
    attrs |= {"groups": case.groups} if case.filters else {}
    attrs |= {"sign_input": True} if case.codes else {}
    names = tuple(f"{name}_in{k}" for k in range(len(sources)))
    return Node(name, "conv2d" if case.filters else "depthwise", names, kind, attrs), tuple(sources), inputs


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch((make(case, f"n{seed}", seed) for seed, case in enumerate(CASES)), BINARY)


def _case(name: str) -> Case:
    return CASES[int(name[1:].split("_")[0])]


def test_native_code_with_sanitizers(batch: Batch) -> None:
    run_natively(batch, _case)


@pytest.mark.parametrize("toolchain", ["gcc", "zig"])
def test_arm_code(batch: Batch, toolchain: str, tmp_path: Path) -> None:
    def measured(name: str) -> bool:
        return _case(name).stage != "some" and not _case(name).fill

    run_as_arm_code(batch, toolchain, tmp_path, measured, least_cycles=5000)


@pytest.mark.parametrize("kernel", [*BINARY["conv2d"], *BINARY["depthwise"]], ids=lambda kernel: kernel.name)
def test_what_is_refused(kernel: Kernel) -> None:
    filters = 4 if kernel in BINARY["conv2d"] else 0
    node, sources, _ = make(Case((3, 3, 4), filters, pads="valid"), "n", 0)
    assert kernel.applies(node, sources)
    assert not kernel.applies(node, (TensorType((3, 3, 4), "int", -128, 127),))
    assert not kernel.applies(node.but(attrs={**node.attrs, "dilation": (2, 2)}), sources)
    assert not kernel.applies(node.but(attrs={**node.attrs, "weight_type": TensorType((), "int", -8, 7)}), sources)


@pytest.mark.parametrize("depth", [1, 4, 5, 16, 17, 20, 24, 33, 64, 90])
def test_groups_have_every_channel_once(depth: int) -> None:
    for groups in (groups_of_codes(depth, True), groups_of_codes(depth, False), groups_of_words(depth)):
        assert sorted(c for row in groups.rows for c in row) == list(range(depth))
        assert max(map(len, groups.rows)) <= (5 if groups.fives else 4)


def test_one_bit_a_weight() -> None:
    weights = np.random.default_rng(0).choice([-1, 1], (3, 3, 64, 64))
    for five in (False, True):
        assert pack_tables(weights, groups_of_codes(64, five), True, True).nbytes == weights.size // 8


NETWORKS = [  # height, width, channels, filters, kernel, stride, padding, output, groups if not 1
    (9, 7, 1, 1, 3, 1, "same", "residual"),
    (5, 5, 3, 3, 3, 1, "same", "residual"),
    (6, 4, 17, 17, 3, 1, "same", "residual"),
    (7, 9, 33, 8, 3, 2, "same", "codes"),
    (8, 8, 40, 24, 3, 2, "valid", "bits"),
    (4, 4, 64, 64, 3, 1, "same", "residual"),
    (3, 3, 128, 40, 3, 1, "same", "bits"),
    (6, 6, 20, 48, 1, 1, "same", "codes"),
    (12, 12, 16, 16, 3, 1, "same", "residual"),
    (1, 1, 5, 9, 3, 1, "same", "counts"),
    (10, 3, 24, 5, 5, 1, "same", "codes"),
    (6, 5, 40, 40, 3, 1, "same", "residual", 4),
    (5, 4, 36, 32, 3, 2, "same", "bits", 2),
]


def quantizer(text: str) -> Quantizer:
    found = parse(text, "test")
    assert found is not None
    return found


def network(case: tuple[Any, ...], words: bool) -> Network:
    height, width, depth, count, kernel, stride, padding, output, *groups = case
    parts = groups[0] if groups else 1
    rng = np.random.default_rng(depth)
    act, sign = quantizer("quantized_bits(8,2,1,alpha=1)"), quantizer("binary(alpha=1)")
    layers = [Layer("image", "InputLayer", {"shape": (height, width, depth)}, ())]
    layers.append(Layer("x", "QActivation", {"activation": sign if words else act}, ("image",)))
    source = "x"
    if not words:
        layers.append(Layer("sign", "QActivation", {"activation": sign}, ("x",)))
        source = "sign"
    config = {"strides": (stride, stride), "padding": padding, "dilation_rate": (1, 1), "groups": parts, "activation": None,
              "use_bias": False, "kernel_quantizer": sign}  # fmt: skip
    weights = rng.normal(size=(kernel, kernel, depth // parts, count)).astype(np.float32)
    layers.append(Layer("sum", "QConv2D", config, (source,), {"kernel": weights}))
    if output == "counts":
        return Network("net", tuple(layers), ("image",), ("sum",))
    spread = np.sqrt(kernel * kernel * depth / parts)
    values = {"gamma": rng.normal(0.5, 0.8, count), "beta": rng.normal(size=count),
              "moving_mean": rng.normal(0, spread / 4, count), "moving_variance": np.full(count, spread**2)}  # fmt: skip
    layers.append(Layer("norm", "BatchNormalization", {"epsilon": 1e-3, "axis": -1}, ("sum",),
                        {key: value.astype(np.float32) for key, value in values.items()}))  # fmt: skip
    last = "norm"
    if output == "residual":
        layers.append(Layer("add", "Add", {}, ("x", "norm")))
        last = "add"
    layers.append(Layer("y", "QActivation", {"activation": sign if output == "bits" else act}, (last,)))
    return Network("net", tuple(layers), ("image",), ("y",))


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("case", NETWORKS)
def test_networks_equal_reference(case: tuple[Any, ...], words: bool) -> None:
    graph = lower(network(case, words))
    compiled = compile_graph(graph, BOARD)
    assert any(call.kernel in BINARY["conv2d"] for call in compiled.calls) or np.prod(case[:4]) < 100
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (5, *case[:3])).astype(np.float32)
    values[0], values[1] = 4, -4
    codes = encode_inputs(graph, [values])
    reference = interpret(graph, codes, keep=True)
    for name, found in HostEngine(graph, compiled.sources, sanitize=True).trace(codes).items():
        assert np.array_equal(found, reference[name].reshape(found.shape)), name
