"""Powers of two moved through float32 steps: the same codes, bit for bit, with fewer multiplications."""

from __future__ import annotations

import numpy as np
import pytest

from mcugen.ir import TensorType
from mcugen.numerics.epilogue import Epilogue, Step, evaluate
from mcugen.quantizers import parse
from mcugen.simplify.fold_scales import fold_scales

OUT = parse("quantized_bits(16,3,1,alpha=1)", "out")
SUMS, CODES = TensorType.of_codes((4,), -1000, 1000, 2.0**-9), TensorType.of_codes((4,), -128, 127, 2.0**-5)


def random_steps(rng: np.random.Generator) -> list[Step]:
    def by_channel(spread: float) -> np.ndarray:
        return rng.normal(0, spread, 4).astype(np.float32)

    scale = np.float32(2.0) ** rng.integers(-12, -4, 4).astype(np.float32)
    middle = [
        Step("sub", by_channel(1)), Step("mul", by_channel(2)), Step("add", by_channel(1)), Step("slope", np.float32(0.1)),
        Step("clip", np.array([-1.3, np.inf], np.float32)), Step("add_tensor", operand=1), Step("mul_tensor", operand=1),
        Step("max_tensor", operand=1), Step("mul", np.float32(0.25)), Step("div", np.float32(3)),
    ]  # fmt: skip
    chosen = [middle[i] for i in rng.permutation(len(middle))[: rng.integers(0, 6)]]
    first = Step("mul", scale if rng.random() < 0.3 else np.float32(2.0**-9))
    return [first, *chosen, Step("quantize", quantizer=OUT)]


def codes(steps: list[Step], factor: np.ndarray | None, acc: np.ndarray, operand: np.ndarray) -> np.ndarray:
    """As the C of mcugen/codegen/stage.py computes: a *_tensor step's `value` takes the place of its operand's scale."""
    v = acc.astype(np.float32)
    for step in steps[:-1]:
        if step.kind.endswith("_tensor"):
            scale = np.float32(CODES.scale) if step.value is None else step.constant
            v = evaluate((Step(step.kind, operand=1),), v, [operand.astype(np.float32) * scale])
        else:
            v = evaluate((step,), v)
    last = v * np.float32(steps[-1].rounding) if factor is None else v * factor.astype(np.float32)
    return np.clip(np.rint(last), OUT.lo, OUT.hi)


@pytest.mark.parametrize("seed", range(60))
def test_codes_stay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = random_steps(rng)
    folded, factor = fold_scales(steps, (SUMS, CODES))
    acc, operand = rng.integers(-(1 << 24), 1 << 24, (5000, 4)), rng.integers(-128, 128, (5000, 4))
    acc[::2] >>= 12
    assert np.array_equal(codes(list(folded), factor, acc, operand), codes(steps, None, acc, operand))


def test_a_normalization_needs_one_multiplication() -> None:
    shift = np.array([0.3, -1.7], np.float32)
    steps = [Step("mul", np.float32(2.0**-9)), Step("sub", shift), Step("mul", shift), Step("add", shift)]
    folded, factor = fold_scales([*steps, Step("quantize", quantizer=OUT)], (SUMS,))
    assert [step.kind for step in folded] == ["sub", "mul", "add", "quantize"] and factor == 1


def test_what_is_not_known_to_be_safe_stays() -> None:
    huge = [Step("mul", np.float32(2.0**-9)), Step("add", np.float32(1e30)), Step("quantize", quantizer=OUT)]
    assert fold_scales(huge, (SUMS,)) == (tuple(huge), None)
    floats = TensorType((4,), kind="float")
    assert fold_scales(huge[::2], (SUMS, floats))[1] is None
    assert Epilogue(tuple(huge)).quantizer is OUT
