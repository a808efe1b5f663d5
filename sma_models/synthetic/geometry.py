"""Landmarks of a face as continuous functions of identity and action-unit strengths.

Face coordinates: x to the right of the image, y down, mean in half face widths; (0, 0) lies between the cheekbones.
This module holds every displacement by an action unit; wrinkles and shadows are in `marks.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from sma_models.synthetic.identity import Identity
from sma_models.synthetic.scene import Scene
from sma_models.synthetic.types import Point, Points, Strengths

# Left and right of the image.
SIDES = (-1.0, 1.0)

_LID = np.linspace(-1.0, 1.0, 9)
_ARCH = 1.0 - _LID**2


@dataclass
class Eye:
    """One eye; its lids are curves [9, 2] from the left end to the right end."""

    center: Point
    upper: Points
    lower: Points
    opening: float  # distance between the lids in their middle


@dataclass
class Face:
    """Landmarks in face coordinates; lists of two hold the left and the right of the image."""

    contour: Points  # clockwise from the top
    brows: list[Points]  # [4, 2] each, from the inner to the outer end
    eyes: list[Eye]
    wings: list[Point]  # outermost point of each nostril wing
    corners: list[Point]  # lip corners
    upper_outer: Points  # [7, 2], left corner to right corner
    upper_inner: Points  # [5, 2]
    lower_inner: Points  # [5, 2]
    lower_outer: Points  # [5, 2]
    gap: float  # distance between the lips in their middle
    chin: Point  # center of the chin boss


class _Mouth(TypedDict):
    """The fields of `Face` that belong to the mouth."""

    corners: list[Point]
    upper_outer: Points
    upper_inner: Points
    lower_inner: Points
    lower_outer: Points
    gap: float


def _brow(identity: Identity, side: float, strength: Strengths) -> Points:
    height = -0.50 + identity.brow_height
    inner = 0.20 + 0.5 * identity.brow_distance - 0.085 * strength[4]
    outer = 0.80 * identity.width
    # AU4 lowers and AU9 dips the inner half; AU1 raises the inner end only, AU2 the outer end only.
    raise_inner, raise_outer = -0.17 * strength[1], -0.15 * strength[2]
    lower = 0.085 * strength[4]
    dip = 0.06 * strength[9]
    control = (
        (inner, identity.brow_slant * -0.5, raise_inner + dip + 1.15 * lower),
        (
            inner + 0.33 * (outer - inner) - 0.02 * strength[4],
            -0.5 * identity.brow_arch,
            0.6 * raise_inner + 0.25 * raise_outer + 0.6 * dip + lower,
        ),
        (inner + 0.68 * (outer - inner), -identity.brow_arch, 0.85 * raise_outer + 0.8 * lower),
        (outer, 0.04 + identity.brow_slant * 0.5, raise_outer + 0.45 * lower),
    )
    return np.array([(side * x, height + rest + move) for x, rest, move in control])


def _eye(identity: Identity, scene: Scene, side: float, strength: Strengths) -> Eye:
    x, y = side * identity.eye_distance, -0.21 + identity.eye_height
    half = identity.eye_width
    upper = 0.10 * identity.eye_openness
    lower = 0.062 * (0.5 + 0.5 * identity.eye_openness)
    # AU7 flattens and lifts the lower lid and draws the upper one down; AU6 pushes the lower lid up.
    upper *= 1.0 - 0.32 * strength[7]
    lower = lower * (1.0 - 0.95 * min(strength[7], 1.0)) - 0.042 * strength[6]
    lower = max(lower, 0.012 - upper)
    upper += (0.004 - lower - upper) * scene.blink
    tilt = -side * identity.eye_tilt * _LID
    columns = x + half * _LID
    return Eye(
        center=(x, y),
        upper=np.stack([columns, y + tilt - upper * _ARCH], axis=1),
        lower=np.stack([columns, y + tilt + lower * _ARCH], axis=1),
        opening=upper + lower,
    )


def _mouth(identity: Identity, scene: Scene, jaw: float, left: Strengths, right: Strengths) -> _Mouth:
    mean = {au: 0.5 * (left[au] + right[au]) for au in left}
    center = 0.68 + identity.mouth_height
    narrow = 1.0 - 0.30 * mean[24] - 0.04 * mean[23]
    corners: list[Point] = []
    for side, strength in zip(SIDES, (left, right), strict=True):
        x = identity.mouth_width * narrow + 0.10 * strength[12] - 0.075 * strength[14] + 0.015 * strength[15]
        y = center - identity.mouth_curve - 0.15 * strength[12] + 0.12 * strength[15] + 0.012 * strength[14] + 0.2 * jaw
        corners.append((side * x, y))
    pressed = min(1.0, mean[24])
    gap = 0.15 * mean[25] * (1.0 + 0.9 * mean[26])
    gap = max(gap, 0.15 * scene.speech * (1.0 - pressed))
    # AU17 pushes both lips up in the middle without thinning them.
    middle = center + 0.4 * identity.mouth_curve - 0.065 * mean[17] - 0.03 * mean[12] + 0.25 * jaw
    thin = (1.0 - 0.62 * min(mean[23], 1.1)) * (1.0 - 0.46 * min(mean[24], 1.1))
    upper = identity.upper_lip * thin * (1.0 - 0.15 * mean[12])
    lower = identity.lower_lip * thin * (1.0 - 0.10 * mean[12])
    seam_up, seam_down = middle - 0.22 * gap, middle + 0.78 * gap
    top = middle - upper - 0.22 * gap - 0.105 * mean[10]
    bottom = seam_down + lower + 0.12 * jaw

    def between(t: float, end: float, mid: float, bend: float) -> float:
        return end + (mid - end) * (1.0 - abs(t) ** bend)

    def row(positions: Sequence[float], mid: float, bend: float, peak: float = 0.0) -> Points:
        points = []
        for t in positions:
            end = corners[0] if t < 0 else corners[1]
            # The Cupid's bow: the middle dips below the two peaks beside it.
            lift = peak if 0.0 < abs(t) < 0.5 else 0.0
            points.append((abs(t) * end[0], between(t, end[1], mid, bend) - lift))
        return np.array(points)

    inner = (-1.0, -0.55, 0.0, 0.55, 1.0)
    return {
        "corners": corners,
        "upper_outer": row((-1.0, -0.55, -0.25, 0.0, 0.25, 0.55, 1.0), top, 1.7, 0.22 * upper),
        "upper_inner": row(inner, seam_up, 2.0),
        "lower_inner": row(inner, seam_down, 2.0 + 1.5 * min(1.0, gap / 0.1)),
        "lower_outer": row(inner, bottom, 2.3),
        "gap": gap,
    }


def _contour(identity: Identity, jaw: float) -> Points:
    points = (
        (0.0, -1.32 * identity.forehead, 0.0),
        (0.55, -1.18 * identity.forehead, 0.0),
        (0.90, -0.70, 0.0),
        (1.00, -0.10, 0.0),
        (0.93, 0.42, 0.15),
        (0.74 * identity.jaw, 0.86 * identity.length, 0.5),
        (0.38 * identity.jaw, 1.22 * identity.length, 0.95),
        (0.0, 1.34 * identity.length, 1.0),
    )
    right = [(x * identity.width, y + share * jaw) for x, y, share in points]
    return np.array(right + [(-x, y) for x, y in right[-2:0:-1]])


def build_face(identity: Identity, scene: Scene, left: Strengths, right: Strengths) -> Face:
    """The landmarks of one face, from the strengths of action units on the left and right of the image."""
    pairs = tuple(zip(SIDES, (left, right), strict=True))
    jaw = 0.25 * 0.5 * (left[26] + right[26])
    rise = 0.5 * (left[17] + right[17])
    return Face(
        contour=_contour(identity, jaw),
        brows=[_brow(identity, side, strength) for side, strength in pairs],
        eyes=[_eye(identity, scene, side, strength) for side, strength in pairs],
        wings=[
            (side * identity.nose_width, 0.26 + identity.nose_length - 0.06 * strength[9]) for side, strength in pairs
        ],
        chin=(0.0, 1.08 * identity.length - 0.09 * rise + 0.9 * jaw),
        **_mouth(identity, scene, jaw, left, right),
    )
