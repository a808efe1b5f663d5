"""Conversion of results for JSON."""

from typing import Any

import numpy as np


def to_jsonable(value: Any) -> Any:
    """Converts arrays to lists and NumPy scalars to numbers, recursively; NaN becomes None."""
    if isinstance(value, dict):
        return {key: to_jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return to_jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [to_jsonable(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
