"""Results and their rows: the names of their fields, and those of earlier results."""

from typing import Any

# Fields of the committed results, and their present names.
_RENAMED = {"direction": "pass", "floor_bytes": "lower_bound_bytes", "machine": "environment"}


def current_names(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the present names of its fields; earlier results had one merge."""
    return {"merge": "max"} | {_RENAMED.get(name, name): value for name, value in row.items()}
