"""Integer forms against the float32 steps, exhaustively over every reachable sum and residual."""

import numpy as np
import pytest

from mcugen.ir import Graph, Node, TensorType
from mcugen.numerics.epilogue import Epilogue, Fixed, Step, Threshold, evaluate, fixed_codes
from mcugen.numerics.requantize import requantize
from mcugen.quantizers import parse

CHANNELS = 24


def node(quantizer: str, reach: int, seed: int, residual: bool = False) -> tuple[Graph, Node]:
    """A summing node with batch normalization as a trained network has it, and awkward channels: gamma 0, negative, tiny."""
    rng = np.random.default_rng(seed)
    gain = rng.normal(1, 0.4, CHANNELS)
    gain[:3] = [0.0, -1.0, 1e-6]
    parsed = parse(quantizer, "act")
    assert parsed is not None
    steps = [
        Step("mul", np.float32(2**-7 / max(reach / 512, 1))),
        Step("sub", rng.normal(size=CHANNELS).astype(np.float32)),
        Step("mul", gain.astype(np.float32)),
        Step("add", rng.normal(size=CHANNELS).astype(np.float32)),
        *([Step("add_tensor", operand=1)] if residual else []),
        Step("quantize", quantizer=parsed),
    ]
    kind = TensorType((1, 1, CHANNELS), "int", parsed.lo, parsed.hi, parsed.step, parsed.bipolar)
    bounds = {"acc_lo": np.full(CHANNELS, -reach), "acc_hi": np.full(CHANNELS, reach)}
    source = Node("x", "input", (), TensorType((1, 1, CHANNELS), "int", -128, 127, 2**-7))
    other = Node("r", "input", (), kind)
    made = Node("y", "conv2d", ("x", "r") if residual else ("x",), kind, {"epilogue": Epilogue(tuple(steps)), **bounds})
    graph = requantize(Graph("g", (source, other, made), ("x", "r"), ("y",)))
    return graph, graph["y"]


def sums(reach: int) -> np.ndarray:
    return np.repeat(np.arange(-reach, reach + 1)[:, None], CHANNELS, axis=1)


@pytest.mark.parametrize("quantizer", ["quantized_bits(8,2,1,alpha=1)", "quantized_relu(8,2)", "quantized_bits(4,1,1,alpha=1)",
                                       "quantized_relu(2,1)", "ternary(alpha=1)", "quantized_tanh(6)"])  # fmt: skip
@pytest.mark.parametrize("reach", [9, 1000, 70000])
def test_fixed_equals_float_for_every_sum(quantizer: str, reach: int) -> None:
    _, made = node(quantizer, reach, reach)
    epilogue = made.attrs["epilogue"]
    form = epilogue.form
    assert isinstance(form, Fixed) and form.proved.mean() > 0.7
    acc = sums(reach)
    wanted = evaluate(epilogue.steps, acc.astype(np.float32))
    assert (fixed_codes(form, acc, None) == wanted)[:, form.proved].all()


@pytest.mark.parametrize("reach", [144, 576])
def test_fixed_with_residual_equals_float_for_every_pair(reach: int) -> None:
    _, made = node("quantized_bits(8,2,1,alpha=1)", reach, 5, residual=True)
    epilogue, form = made.attrs["epilogue"], made.attrs["epilogue"].form
    assert isinstance(form, Fixed) and form.proved.mean() > 0.7
    acc = sums(reach)
    for code in range(-127, 128, 3):
        value = np.float32(code * made.type.scale)
        wanted = evaluate(epilogue.steps, acc.astype(np.float32), [value])
        got = fixed_codes(form, acc, np.full_like(acc, code))
        assert (got == wanted)[:, form.proved].all()


def test_bits_become_thresholds() -> None:
    _, made = node("binary(alpha=1)", 300, 1)
    epilogue, form = made.attrs["epilogue"], made.attrs["epilogue"].form
    assert isinstance(form, Threshold) and form.flip.any() and not form.flip.all()
    acc = sums(300)
    wanted = evaluate(epilogue.steps, acc.astype(np.float32))
    assert (np.where((acc >= form.threshold) != form.flip, 1, -1) == wanted).all()


def test_ties_go_to_even() -> None:
    """Sums that fall exactly between two codes: 0.5 goes to 0, 1.5 to 2."""
    parsed = parse("quantized_bits(8,7,1,alpha=1)", "act")
    assert parsed is not None
    kind = TensorType((1, 1, 1), "int", parsed.lo, parsed.hi, parsed.step)
    epilogue = Epilogue((Step("mul", np.float32(0.5)), Step("quantize", quantizer=parsed)))
    source = Node("x", "input", (), TensorType((1, 1, 1), "int", -128, 127, 1.0))
    made = Node("y", "conv2d", ("x",), kind, {"epilogue": epilogue, "acc_lo": np.array([-100]), "acc_hi": np.array([100])})
    form = requantize(Graph("g", (source, made), ("x",), ("y",)))["y"].attrs["epilogue"].form
    assert evaluate(epilogue.steps, np.array([1.0, 3.0], np.float32)).tolist() == [0, 2]
    assert isinstance(form, Fixed) and form.even
    acc = np.arange(-100, 101)[:, None]
    assert (fixed_codes(form, acc, None) == evaluate(epilogue.steps, acc.astype(np.float32))).all()


def exact(steps: list[Step], other: TensorType | None, reach: int) -> tuple[Epilogue, Fixed | None]:
    """The form of a node with two channels of sums from -reach to reach."""
    parsed = steps[-1].quantizer
    assert parsed is not None
    kind = TensorType((1, 1, 2), "int", parsed.lo, parsed.hi, parsed.step)
    attrs = {"epilogue": Epilogue(tuple(steps)), "acc_lo": np.full(2, -reach), "acc_hi": np.full(2, reach)}
    inputs = [Node("x", "input", (), TensorType((1, 1, 2), "int", -128, 127, 1.0))]
    inputs += [Node("r", "input", (), other)] if other else []
    made = Node("y", "conv2d", tuple(each.name for each in inputs), kind, attrs)
    form = requantize(Graph("g", (*inputs, made), ("x",), ("y",)))["y"].attrs["epilogue"].form
    return attrs["epilogue"], form


@pytest.mark.parametrize("text", ["quantized_bits(8,2,1,alpha=1)", "quantized_bits(8,2,0,alpha=1)", "quantized_relu(8,2)",
                                  "quantized_relu(4,3)", "quantized_bits(16,9,0,alpha=1)"])  # fmt: skip
@pytest.mark.parametrize("bits", [0, 5, 7, 12])
@pytest.mark.parametrize("residual", [None, 2, 5, 9])
def test_steps_that_never_round(text: str, bits: int, residual: int | None) -> None:
    """Biases, scales by channel and residuals on coarser and finer grids, clipped before they are quantized."""
    steps = [
        Step("mul", np.array([2.0**-bits, -3 * 2.0**-bits], np.float32)), Step("add", np.array([0.375, -7 / 64], np.float32)),
        *([] if residual is None else [Step("add_tensor", operand=1)]), Step("clip", np.array([-1.75, np.inf], np.float32)),
        Step("quantize", quantizer=parse(text, "act")),
    ]  # fmt: skip
    other = None if residual is None else TensorType((1, 1, 2), "int", -128, 127, 2.0**-residual)
    epilogue, form = exact(steps, other, 3000)
    assert isinstance(form, Fixed) and form.proved.all()  # `even` where there are ties
    acc = np.repeat(np.arange(-3000, 3001)[:, None], 2, axis=1)
    for code in [0] if other is None else [-128, -77, -2, -1, 0, 1, 126, 127]:
        wanted = evaluate(epilogue.steps, acc.astype(np.float32), [np.float32(code * other.scale if other else 0)])
        assert (fixed_codes(form, acc, np.full_like(acc, code)) == wanted).all()


@pytest.mark.parametrize("steps", [[Step("mul", np.float32(0.3))], [Step("mul", np.float32(2**-5)), Step("add", np.float32(0.1))],
                                   [Step("mul", np.float32(2**-7)), Step("mul", np.float32(1 + 2**-12))]])  # fmt: skip
def test_steps_that_round_have_no_such_form(steps: list[Step]) -> None:
    form = exact([*steps, Step("quantize", quantizer=parse("quantized_bits(8,6,1,alpha=1)", "act"))], None, 1 << 20)[1]
    assert form is None or not form.even
