"""What happens to an accumulator before it is stored: QKeras's own float32 steps, and integer forms proved equal to them.

The steps are the meaning. `Fixed`, `Threshold` and `Raw` are faster integer forms that `mcugen.numerics.requantize` attaches
where it has proved them equal; rounding rules: docs/numerics.md. The C twin is templates/output.c.j2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mcugen.ir import Array, Float, Int
from mcugen.numerics.align import Align
from mcugen.numerics.step_table import StepTable, step_table
from mcugen.quantizers import Quantizer


@dataclass(frozen=True)
class Step:
    """One float32 operation on the running value v, rounded to float32 after each.

    kind: "mul", "div", "add", "sub" (v op value), "slope" (v if v >= 0 else v * value), "clip" (between value[0] and value[1]),
    "add_tensor", "sub_tensor", "mul_tensor", "max_tensor", "min_tensor" (v op the node's input number `operand`), "div_count"
    (v / number of values in a padded window), "codes" (v to its codes as float32), "quantize" (v to codes; always last).
    value: float32, shape () or (channels,).
    """

    kind: str
    value: Float | np.float32 | None = None
    operand: int = 0
    quantizer: Quantizer | Align | None = None

    @property
    def constant(self) -> Float:
        assert self.value is not None
        return np.asarray(self.value)

    @cached_property
    def table(self) -> StepTable | None:
        """The step function of a quantizer that is not plain rounding."""
        assert self.quantizer is not None
        return None if self.rounding is not None else step_table(self.quantizer)

    @cached_property
    def rounding(self) -> float | None:
        """The factor f, a power of two, where the codes are clip(round half to even(v * f), lo, hi); None elsewhere."""
        assert self.quantizer is not None
        if self.quantizer.linear:
            return 1.0 / self.quantizer.step
        if isinstance(self.quantizer, Quantizer) and self.quantizer.kind == "quantized_bits" and not self.quantizer.bipolar:
            args = self.quantizer.args
            return float(2.0 ** (args["bits"] - args["keep_negative"] - args["integer"]))
        return None


@dataclass(frozen=True)
class Fixed:
    """codes = clip((offset + ((acc << pre) * mult >> 32) + (residual << residual_shift)) >> post, lo, hi), floors.

    mult, offset: int64 arrays (channels,) or (1,); proved: bool array, False where the float32 steps are used instead.
    even: the last shift rounds, halves to even.
    """

    pre: int
    post: int
    residual_shift: int | None
    lo: int
    hi: int
    mult: Int
    offset: Int
    proved: Array
    even: bool = False


@dataclass(frozen=True)
class Threshold:
    """One-bit codes: +1 where (acc >= threshold) differs from flip. threshold: int64 (channels,); flip: bool."""

    threshold: Int
    flip: Array


@dataclass(frozen=True)
class Raw:
    """codes = acc * factor + bias, int32: an exact change of grid. factor, bias: int64 (channels,)."""

    factor: Int
    bias: Int


@dataclass(frozen=True)
class Epilogue:
    """The steps and, where one exists, the proved integer form."""

    steps: tuple[Step, ...]
    form: Fixed | Threshold | Raw | None = None

    @property
    def quantizer(self) -> Quantizer | Align | None:
        return self.steps[-1].quantizer if self.steps and self.steps[-1].kind == "quantize" else None

    @property
    def residual(self) -> Step | None:
        """The one tensor operand, when it is an addition; None otherwise."""
        found = [step for step in self.steps if step.kind.endswith("_tensor")]
        return found[0] if len(found) == 1 and found[0].kind == "add_tensor" else None


def evaluate(steps: Sequence[Step], v: Float, operands: Sequence[Float] = ()) -> Array:
    """Runs the steps on v (..., channels) float32.

    operands[k - 1] is input number k's value; for "div_count" the last one holds the counts. Codes are int64.
    """
    for step in steps:
        if step.kind == "quantize":
            assert step.quantizer is not None
            return step.quantizer.codes(v)
        v = _apply(step, v, operands)
    return v


_PAIRWISE = {
    "add_tensor": np.add,
    "sub_tensor": np.subtract,
    "mul_tensor": np.multiply,
    "max_tensor": np.maximum,
    "min_tensor": np.minimum,
}


def _apply(step: Step, v: Float, operands: Sequence[Float]) -> Float:
    if step.kind.endswith("_tensor"):
        return _PAIRWISE[step.kind](v, operands[step.operand - 1])
    if step.kind == "div_count":
        return v / operands[-1]
    if step.kind == "codes":
        assert step.quantizer is not None
        codes: Array = step.quantizer.codes(v)
        return codes.astype(np.float32)
    if step.kind == "slope":
        return np.where(v >= 0, v, v * step.constant)
    if step.kind == "clip":
        return np.clip(v, step.constant[0], step.constant[1])
    return {"mul": np.multiply, "div": np.divide, "add": np.add, "sub": np.subtract}[step.kind](v, step.constant)


def fixed_codes(form: Fixed, acc: Int, residual: Int | None) -> Int:
    """The integer form on accumulators (..., channels); floor shifts; what rounds is in `offset`, or `even`."""
    total = form.offset + ((acc << form.pre) * form.mult >> 32)
    if residual is not None and form.residual_shift is not None:
        total = total + (residual << form.residual_shift)
    if form.even:
        total = total + (1 << (form.post - 1)) - 1 + ((total >> form.post) & 1)
    codes: Int = np.clip(total >> form.post, form.lo, form.hi)
    return codes


def finish(epilogue: Epilogue, acc: Int, operands: Sequence[Float], residual: Int | None) -> Array:
    """Accumulators (..., channels) to what the node stores: int64 codes, or float32 where nothing quantizes."""
    form = epilogue.form
    if isinstance(form, Threshold):
        return np.where((acc >= form.threshold) != form.flip, 1, -1)
    if isinstance(form, Raw):
        return acc * form.factor + form.bias
    if isinstance(form, Fixed):
        codes = fixed_codes(form, acc, residual)
        if form.proved.all():
            return codes
        return np.where(form.proved, codes, evaluate(epilogue.steps, acc.astype(np.float32), operands))
    return evaluate(epilogue.steps, acc.astype(np.float32), operands)
