"""Checks of arguments, whose errors name the argument, its value and what was expected."""

import operator
from collections.abc import Sequence
from typing import SupportsIndex, TypeVar

T = TypeVar("T")


def whole_number(name: str, value: SupportsIndex, low: int, high: int | None = None) -> int:
    """`value` as an int within [low, high]; ValueError otherwise."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} is {value!r}; expected a whole number {bounds}")
    return number


def one_of(name: str, value: T, allowed: Sequence[T]) -> T:
    """`value` if it is among the allowed values; ValueError otherwise."""
    if isinstance(value, bool) or value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, allowed))}")
    return value
