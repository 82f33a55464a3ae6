"""Do two formats get the same pairs right? Equal accuracy can hide different answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import McugenError
from mcugen.metrics.embeddings import Flags


@dataclass(frozen=True)
class Agreement:
    """Correct sets A (reference) and B (other) compared; shares are None where the set they divide by is empty.

    overlap = |A and B| / |A|; jaccard = |A and B| / |A or B|; gained = |B - A|; lost = |A - B|.
    `p_value`: exact McNemar test, the probability of a gained/lost split at least this uneven if both formats were
    equally good (two-sided; 1 if nothing was gained or lost).
    """

    both: int
    neither: int
    gained: int
    lost: int
    overlap: float | None
    jaccard: float | None
    p_value: float


def agreement(reference: NDArray[Any], other: NDArray[Any]) -> Agreement:
    """Compare the correct sets of two formats, given as (N,) booleans over the same pairs.

    Raises:
        McugenError: not two boolean arrays of the same length.
    """
    a, b = _flags("reference", reference), _flags("other", other)
    if a.shape != b.shape:
        raise McugenError("agreement", f"{a.size} and {b.size} answers", "compare formats on the same pairs")
    both, either = int((a & b).sum()), int((a | b).sum())
    gained, lost = int((b & ~a).sum()), int((a & ~b).sum())
    return Agreement(
        both,
        int(a.size) - either,
        gained,
        lost,
        overlap=both / int(a.sum()) if a.any() else None,
        jaccard=both / either if either else None,
        p_value=_mcnemar(gained, lost),
    )


def venn(correct: Mapping[str, NDArray[Any]]) -> dict[tuple[str, ...], int]:
    """How many pairs exactly these formats (and no other) get right: all 2^k - 1 regions, and () for none.

    Keys hold names in the order of `correct`; the counts add up to N.

    Raises:
        McugenError: no format, more than 10, or answers of different lengths.
    """
    names = list(correct)
    sets = [_flags(name, correct[name]) for name in names]
    if not 1 <= len(names) <= 10 or len({each.size for each in sets}) != 1:
        raise McugenError(
            "agreement",
            f"{len(names)} formats with {[each.size for each in sets]} answers",
            "compare 1 to 10 formats on the same pairs",
        )
    codes = sum((each.astype(np.int64) << bit for bit, each in enumerate(sets)), np.zeros(sets[0].size, np.int64))
    counts = np.bincount(codes, minlength=1 << len(names))
    return {
        tuple(name for bit, name in enumerate(names) if code >> bit & 1): int(counts[code])
        for code in range(1 << len(names))
    }


def _flags(name: str, values: NDArray[Any]) -> Flags:
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype != np.bool_:
        raise McugenError(name, f"answers are {array.dtype} of shape {array.shape}", "give one true or false a pair")
    return array


def _mcnemar(gained: int, lost: int) -> float:
    changed = gained + lost
    tail = sum(comb(changed, k) for k in range(min(gained, lost) + 1))
    return float(min(1.0, 2 * tail / 2**changed))
