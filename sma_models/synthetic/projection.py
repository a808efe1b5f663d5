"""Projection of face coordinates to pixels: a shallow head, turned, seen from far away."""

import math

import numpy as np

from sma_models.synthetic.scene import Scene
from sma_models.synthetic.types import FloatArray, Pixels, Points

# Fixed-point bits of OpenCV's drawing functions: sixteenths of a pixel.
SHIFT = 4
# Half a face width, in image widths.
_HALF_FACE = 0.305
# The head turns about a point this far in front of the plane of its outline, so that it stays in the image.
_PIVOT = 0.3


def depth(points: Points) -> FloatArray:
    """How far points [n, 2] of the face protrude towards the viewer, float64 [n], in half face widths."""
    x, y = points[:, 0], points[:, 1]
    x2 = x * x
    skull = np.sqrt(np.maximum(0.0, 1.0 - x2 / 1.21 - y * y / 2.40))
    y = y - 0.2
    nose = np.exp(x2 * -50.0 - y * y * 16.0)
    return 0.60 * skull + 0.20 * nose


class Projection:
    """Maps face points to fixed-point pixels of a canvas that is `canvas` pixels wide."""

    def __init__(self, scene: Scene, canvas: int) -> None:
        unit = _HALF_FACE * scene.scale * canvas * (1 << SHIFT)
        cosine, sine = math.cos(scene.roll) * unit, math.sin(scene.roll) * unit
        roll = np.array([[cosine, sine], [-sine, cosine]])
        self._plane: FloatArray = np.array([[math.cos(scene.yaw), 0.0], [0.0, math.cos(scene.pitch)]]) @ roll
        self._out: FloatArray = np.array([math.sin(scene.yaw), math.sin(scene.pitch)]) @ roll
        middle = np.array([0.5 + scene.shift[0] * 0.5, 0.49 + scene.shift[1] * 0.5])
        # The conversion to integers truncates; half a unit more makes it round.
        self._origin: FloatArray = middle * (canvas << SHIFT) + 0.5

    def __call__(self, points: Points, flat: bool = False) -> Pixels:
        """int32 [n, 2] for points [n, 2]; flat points lie in the plane of the outline."""
        if flat:
            return (points @ self._plane + (self._origin - _PIVOT * self._out)).astype(np.int32)
        z = depth(points) - _PIVOT
        return (points @ self._plane + z[:, None] * self._out + self._origin).astype(np.int32)
