"""Moves powers of two through float32 steps until they meet: fewer multiplications, the same bits.

Scaling by a power of two changes exponents alone, so v * p is carried as v, with p beside it, through all that follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mcugen.ir import Array, TensorType
from mcugen.numerics.epilogue import Step

_LARGEST = 2.0**40  # of constants, so that nothing overflows or leaves the normal floats; sums are below 2^53


def fold_scales(steps: Sequence[Step], sources: Sequence[TensorType]) -> tuple[tuple[Step, ...], Array | None]:
    """Steps that give a last rounding the same codes, and the factor, a scalar or by channel, that it is left with.

    The steps as they are and None where that is not known to be safe. sources: of the node; the `value` of a *_tensor step
    replaces its operand's scale.
    """
    last = steps[-1] if steps else Step("mul")
    if last.kind != "quantize" or last.rounding is None or any(kind.kind != "int" for kind in sources):
        return tuple(steps), None
    made: list[Step] = []
    pending: Array = np.ones(())
    for step in steps[:-1]:
        if step.kind == "mul" and _powers(step.constant):
            pending = pending * step.constant.astype(np.float64)
            continue
        moved = _moved(step, pending, last.rounding, sources)
        if moved is None or not _safe(moved):
            return tuple(steps), None
        made.append(moved)
        pending = np.full((), 1 / last.rounding) if step.kind == "mul" else pending
    factor = (pending * last.rounding).astype(np.float32)
    return ((*made, last), factor) if _safe(Step("mul", factor)) else (tuple(steps), None)


def _moved(step: Step, pending: Array, rounding: float, sources: Sequence[TensorType]) -> Step | None:
    """The step on v instead of v * pending; a multiplication takes that in and leaves 1 / rounding."""
    if step.kind in ("div", "slope", "div_count", "mul_tensor"):
        return step
    if step.kind == "mul":
        return replace(step, value=(step.constant * pending * rounding).astype(np.float32))
    if step.kind in ("add", "sub"):
        return replace(step, value=(step.constant / pending).astype(np.float32))
    if pending.ndim:
        return None
    if step.kind == "clip":
        return replace(step, value=(step.constant / pending).astype(np.float32))
    if step.kind.endswith("_tensor") and _powers(np.float32(sources[step.operand].scale)):
        return replace(step, value=np.float32(sources[step.operand].scale / pending))
    return None


def _powers(values: Array | np.float32) -> bool:
    """Whether all are positive powers of two."""
    return bool((np.frexp(values)[0] == 0.5).all())


def _safe(step: Step) -> bool:
    """Whether its constants are 0 or of moderate size; limits may be infinite."""
    if step.value is None:
        return True
    sizes = np.abs(step.constant)
    moderate = (sizes == 0) | ((sizes >= 1 / _LARGEST) & (sizes <= _LARGEST))
    return bool((moderate | (np.isinf(sizes) & (step.kind == "clip"))).all())
