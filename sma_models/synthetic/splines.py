"""Smooth curves through few points, as products with constant matrices."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from sma_models.synthetic.types import FloatArray, Points


@cache
def spline(count: int, closed: bool, steps: int) -> FloatArray:
    """Matrix [n, count] of a Catmull-Rom curve through `count` control points, with `steps` points per segment."""
    segments = count if closed else count - 1
    t = np.arange(steps) / steps
    basis = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1
    )
    matrix = np.zeros((segments * steps + (not closed), count))
    for segment in range(segments):
        for neighbor in range(4):
            column = segment + neighbor - 1
            column = column % count if closed else min(max(column, 0), count - 1)
            matrix[segment * steps : (segment + 1) * steps, column] += basis[:, neighbor]
    if not closed:
        matrix[-1, -1] = 1.0
    return matrix


def smooth(control: ArrayLike, closed: bool = False, steps: int = 4) -> Points:
    """Points [n, 2] of the smooth curve through control points [m, 2]."""
    control = np.asarray(control, float)
    return spline(len(control), closed, steps) @ control


_T = np.linspace(0.0, 1.0, 7)
_BEZIER = np.stack([(1 - _T) ** 2, 2 * _T * (1 - _T), _T**2], axis=1)
_TURN = np.linspace(0.0, 2.0 * np.pi, 14, endpoint=False)
CIRCLE: Points = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def arcs(triples: ArrayLike) -> FloatArray:
    """Points [n, 7, 2] of quadratic Bezier arcs, each defined by start, handle and end [n, 3, 2]."""
    return np.einsum("tk,nkd->ntd", _BEZIER, np.asarray(triples, float))


def ellipses(parameters: ArrayLike) -> FloatArray:
    """Outlines [n, 14, 2] of ellipses, from rows (x, y, horizontal radius, vertical radius)."""
    parameters = np.asarray(parameters, float)
    return parameters[:, None, :2] + CIRCLE[None] * parameters[:, None, 2:]
