"""Smooth curves through few points, as products with constant matrices."""

from functools import cache

import numpy as np


@cache
def spline(points, closed, steps):
    """Matrix [n, points] of a Catmull-Rom curve that passes through its control points."""
    segments = points if closed else points - 1
    t = np.arange(steps) / steps
    basis = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1
    )
    matrix = np.zeros((segments * steps + (not closed), points))
    for segment in range(segments):
        for neighbour in range(4):
            at = segment + neighbour - 1
            at = at % points if closed else min(max(at, 0), points - 1)
            matrix[segment * steps : (segment + 1) * steps, at] += basis[:, neighbour]
    if not closed:
        matrix[-1, -1] = 1.0
    return matrix


def smooth(control, closed=False, steps=4):
    """Points [n, 2] of the smooth curve through control points [m, 2]."""
    control = np.asarray(control, float)
    return spline(len(control), closed, steps) @ control


_T = np.linspace(0.0, 1.0, 7)
_BEZIER = np.stack([(1 - _T) ** 2, 2 * _T * (1 - _T), _T**2], axis=1)
_TURN = np.linspace(0.0, 2.0 * np.pi, 14, endpoint=False)
CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def arcs(triples):
    """Points [n, 7, 2] of arcs from start, handle and end [n, 3, 2]."""
    return np.einsum("tk,nkd->ntd", _BEZIER, np.asarray(triples, float))


def ellipses(parameters):
    """Outlines [n, 14, 2] of ellipses given as rows (x, y, horizontal radius, vertical radius)."""
    parameters = np.asarray(parameters, float)
    return parameters[:, None, :2] + CIRCLE[None] * parameters[:, None, 2:]
