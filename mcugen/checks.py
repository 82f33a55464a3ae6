"""Checkers of values that come from files: each returns the plain Python value or raises ValueError("must be ...")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Check = Callable[[Any], Any]


def integer(low: int, high: int) -> Callable[[Any], int]:
    """A checker of whole numbers; booleans and whole floats count as such."""

    def check(value: Any) -> int:
        if isinstance(value, bool | int | float) and low <= value <= high and value == int(value):
            return int(value)
        raise ValueError(f"must be a whole number from {low} to {high}")

    return check


def flag(value: Any) -> bool:
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise ValueError("must be true or false")


def number(low: float, high: float) -> Callable[[Any], float]:
    """A checker of finite numbers between two limits, both included."""

    def check(value: Any) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise ValueError(f"must be a number from {low:g} to {high:g}")

    return check


def optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


def only(*allowed: Any) -> Callable[[Any], Any]:
    """A checker of a few values; 1 and 1.0 are the same."""

    def check(value: Any) -> Any:
        if value in allowed and not isinstance(value, list | dict):
            return value
        raise ValueError(f"must be {' or '.join(map(repr, allowed))}")

    return check
