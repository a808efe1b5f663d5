"""Rows of results: the names of their fields, and those of earlier results."""

from typing import Any

# Fields of the committed results, and their present names.
_RENAMED = {"direction": "pass", "floor_bytes": "lower_bound_bytes"}


def current_names(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the present names of its fields."""
    return {_RENAMED.get(name, name): value for name, value in row.items()}
