"""Arguments that are wrong are named, with what came and what was expected."""

import operator


def whole_number(name, value, low, high=None):
    """`value` as an int within [low, high]; ValueError otherwise."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < low or (high is not None and number > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} is {value!r}; expected a whole number {bounds}")
    return number


def one_of(name, value, allowed):
    """`value` if it is allowed; ValueError otherwise."""
    if isinstance(value, bool) or value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, allowed))}")
    return value
