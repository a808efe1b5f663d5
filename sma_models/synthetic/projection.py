"""From face coordinates to pixels: a shallow head, turned, and seen from far away."""

import numpy as np

# Fixed-point bits of OpenCV's drawing functions: sixteenths of a pixel.
SHIFT = 4
# Half a face width, in widths of the picture.
_HALF_FACE = 0.305
# The head turns about a point this far in front of the plane of its outline, so that it stays in place.
_PIVOT = 0.3


def depth(points):
    """How far points [n, 2] of the face stand out towards the viewer, float64 [n]."""
    x, y = points[:, 0], points[:, 1]
    skull = 0.60 * np.sqrt(np.maximum(0.0, 1.0 - (x / 1.1) ** 2 - (y / 1.55) ** 2))
    nose = 0.20 * np.exp(-((x / 0.14) ** 2) - ((y - 0.2) / 0.25) ** 2)
    return skull + nose


def project(points, scene, canvas, flat=False):
    """Fixed-point pixels, int32 [n, 2], of face points [n, 2]; flat points lie in the plane of the outline."""
    z = -_PIVOT if flat else depth(points) - _PIVOT
    x = points[:, 0] * np.cos(scene.yaw) + z * np.sin(scene.yaw)
    y = points[:, 1] * np.cos(scene.pitch) + z * np.sin(scene.pitch)
    unit = _HALF_FACE * scene.scale * canvas
    turn, lift = np.cos(scene.roll) * unit, np.sin(scene.roll) * unit
    out = np.empty((len(points), 2))
    out[:, 0] = turn * x - lift * y + (0.5 + scene.shift[0] * 0.5) * canvas
    out[:, 1] = lift * x + turn * y + (0.49 + scene.shift[1] * 0.5) * canvas
    return np.rint(out * (1 << SHIFT)).astype(np.int32)
