"""Whole numbers of channels, packed to the width they need: one literal, or the narrowest table and a common shift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mcugen.ir import Array, Int
from mcugen.ops.base import Constant

_TYPES = ("int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t")


@dataclass(frozen=True)
class Narrow:
    """values[c] = stored[c] * 2^shift; `stored` has the element type, and one element where all channels agree."""

    stored: Array
    shift: int = 0

    @staticmethod
    def of(values: Array, shifts: bool = True) -> Narrow:
        """The values (channels,), each of 32 bits; shifts: whether zeros at the end of all may be left out."""
        flat = np.asarray(values, np.int64).reshape(-1)
        if (flat == flat[0]).all():
            return Narrow(flat[:1])
        shift = trailing_zeros(flat) if shifts else 0
        kinds = (np.dtype(name.removesuffix("_t")) for name in _TYPES)
        best = min((kind for kind in kinds if _fits(flat >> shift, kind)), key=lambda kind: kind.itemsize)
        if best.itemsize == 4:
            shift = 0
        return Narrow((flat >> shift).astype(best), shift)

    @property
    def literal(self) -> bool:
        return self.stored.size == 1

    def constants(self, name: str) -> tuple[Constant, ...]:
        """The table, if there must be one."""
        return () if self.literal else (Constant(name, f"{self.stored.dtype.name}_t", self.stored),)

    def at(self, table: str, index: str) -> str:
        """C expression of a channel's value, an int32_t."""
        if self.literal:
            return c_int(int(self.stored[0]))
        return f"{table}[{index}] * {1 << self.shift}" if self.shift else f"{table}[{index}]"


@dataclass(frozen=True)
class Pair:
    """Two numbers of each channel, which one table holds in turn where they have the same type."""

    first: Narrow
    second: Narrow

    @staticmethod
    def of(first: Array, second: Array) -> Pair:
        return Pair(Narrow.of(first), Narrow.of(second))

    @property
    def joined(self) -> bool:
        return not self.first.literal and not self.second.literal and self.first.stored.dtype == self.second.stored.dtype

    @property
    def bytes(self) -> int:
        return sum(constant.values.nbytes for constant in self.constants(""))

    def constants(self, name: str) -> tuple[Constant, ...]:
        """NAME of both in turn, or NAME0 and NAME1 where they need tables."""
        if self.joined:
            return replace(self.first, stored=np.stack([self.first.stored, self.second.stored], axis=-1)).constants(name)
        return (*self.first.constants(f"{name}0"), *self.second.constants(f"{name}1"))

    def at(self, which: int, table: str, index: str) -> str:
        """C expression of number 0 or 1 of a channel."""
        number = self.second if which else self.first
        return number.at(table, f"2 * ({index}) + {which}") if self.joined else number.at(f"{table}{which}", index)


def c_int(value: int) -> str:
    """C literal of an int32_t."""
    return "INT32_MIN" if value == -(1 << 31) else f"({value})" if value < 0 else str(value)


def trailing_zeros(values: Int) -> int:
    """How many of the lowest bits are 0 in all values; of zeros alone 0."""
    together = int(np.bitwise_or.reduce(values.reshape(-1)))
    return (together & -together).bit_length() - 1 if together else 0


def _fits(values: Int, kind: np.dtype[Any]) -> bool:
    limits = np.iinfo(kind)
    return bool(values.min() >= limits.min and values.max() <= limits.max)
