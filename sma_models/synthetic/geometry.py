"""Landmarks of a face as continuous functions of identity and action-unit strengths.

Face coordinates: x to the right of the picture, y down, both in half face widths; (0, 0) lies between the cheekbones.
Every displacement by an action unit is written here; its wrinkles and shadows are in `marks.py`.
"""

from dataclasses import dataclass

import numpy as np

# Left and right of the picture.
SIDES = (-1.0, 1.0)

_LID = np.linspace(-1.0, 1.0, 9)
_ARCH = 1.0 - _LID**2


@dataclass
class Eye:
    """One eye: its lids as curves [9, 2] from its left to its right end, and what its iris needs."""

    centre: tuple
    upper: np.ndarray
    lower: np.ndarray
    opening: float


@dataclass
class Face:
    """Landmarks in face coordinates; lists of two hold the left and the right of the picture."""

    contour: np.ndarray
    brows: list  # [4, 2] each, from the inner to the outer end
    eyes: list
    wings: list  # (x, y) of the outermost point of each nostril wing
    corners: list  # (x, y) of each lip corner
    upper_outer: np.ndarray  # [7, 2], left corner to right corner
    upper_inner: np.ndarray  # [5, 2]
    lower_inner: np.ndarray  # [5, 2]
    lower_outer: np.ndarray  # [5, 2]
    gap: float  # distance between the lips in their middle
    chin: tuple  # centre of the chin boss


def _brow(who, side, a):
    height = -0.50 + who.brow_height
    inner = 0.20 + 0.5 * who.brow_distance - 0.085 * a[4]
    outer = 0.80 * who.width
    # AU4 lowers and AU9 dips the inner half; AU1 raises the inner end only, AU2 the outer end only.
    raise_inner, raise_outer = -0.17 * a[1], -0.15 * a[2]
    lower = 0.085 * a[4]
    dip = 0.06 * a[9]
    places = (
        (inner, who.brow_slant * -0.5, raise_inner + dip + 1.15 * lower),
        (
            inner + 0.33 * (outer - inner) - 0.02 * a[4],
            -0.5 * who.brow_arch,
            0.6 * raise_inner + 0.25 * raise_outer + 0.6 * dip + lower,
        ),
        (inner + 0.68 * (outer - inner), -who.brow_arch, 0.85 * raise_outer + 0.8 * lower),
        (outer, 0.04 + who.brow_slant * 0.5, raise_outer + 0.45 * lower),
    )
    return np.array([(side * x, height + rest + move) for x, rest, move in places])


def _eye(who, scene, side, a):
    x, y = side * who.eye_distance, -0.21 + who.eye_height
    half = who.eye_width
    upper = 0.10 * who.eye_openness
    lower = 0.062 * (0.5 + 0.5 * who.eye_openness)
    # AU7 flattens and lifts the lower lid and draws the upper one down; AU6 pushes the lower lid up.
    upper *= 1.0 - 0.32 * a[7]
    lower = lower * (1.0 - 0.95 * min(a[7], 1.0)) - 0.042 * a[6]
    lower = max(lower, 0.012 - upper)
    upper += (0.004 - lower - upper) * scene.blink
    tilt = -side * who.eye_tilt * _LID
    columns = x + half * _LID
    return Eye(
        centre=(x, y),
        upper=np.stack([columns, y + tilt - upper * _ARCH], axis=1),
        lower=np.stack([columns, y + tilt + lower * _ARCH], axis=1),
        opening=upper + lower,
    )


def _mouth(who, scene, jaw, left, right):
    both = {au: 0.5 * (left[au] + right[au]) for au in left}
    centre = 0.68 + who.mouth_height
    narrow = 1.0 - 0.30 * both[24] - 0.04 * both[23]
    corners = []
    for side, a in zip(SIDES, (left, right), strict=True):
        x = who.mouth_width * narrow + 0.10 * a[12] - 0.075 * a[14] + 0.015 * a[15]
        y = centre - who.mouth_curve - 0.15 * a[12] + 0.12 * a[15] + 0.012 * a[14] + 0.2 * jaw
        corners.append((side * x, y))
    pressed = min(1.0, both[24])
    gap = 0.15 * both[25] * (1.0 + 0.9 * both[26])
    gap = max(gap, 0.15 * scene.speech * (1.0 - pressed))
    # AU17 pushes both lips up in the middle without thinning them.
    middle = centre + 0.4 * who.mouth_curve - 0.065 * both[17] - 0.03 * both[12] + 0.25 * jaw
    thin = (1.0 - 0.62 * min(both[23], 1.1)) * (1.0 - 0.46 * min(both[24], 1.1))
    upper = who.upper_lip * thin * (1.0 - 0.15 * both[12])
    lower = who.lower_lip * thin * (1.0 - 0.10 * both[12])
    seam_up, seam_down = middle - 0.22 * gap, middle + 0.78 * gap
    top = middle - upper - 0.22 * gap - 0.105 * both[10]
    bottom = seam_down + lower + 0.12 * jaw

    def between(t, end, mid, bend):
        return end + (mid - end) * (1.0 - abs(t) ** bend)

    def row(places, mid, bend, peak=0.0):
        points = []
        for t in places:
            end = corners[0] if t < 0 else corners[1]
            # The cupid's bow: the middle dips below the two peaks beside it.
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


def _contour(who, jaw):
    points = (
        (0.0, -1.32 * who.forehead, 0.0),
        (0.55, -1.18 * who.forehead, 0.0),
        (0.90, -0.70, 0.0),
        (1.00, -0.10, 0.0),
        (0.93, 0.42, 0.15),
        (0.74 * who.jaw, 0.86 * who.length, 0.5),
        (0.38 * who.jaw, 1.22 * who.length, 0.95),
        (0.0, 1.34 * who.length, 1.0),
    )
    right = [(x * who.width, y + share * jaw) for x, y, share in points]
    return np.array(right + [(-x, y) for x, y in right[-2:0:-1]])


def build_face(identity, scene, left, right):
    """The landmarks of one face; left and right hold strengths {au: float} of the halves of the picture."""
    pairs = tuple(zip(SIDES, (left, right), strict=True))
    jaw = 0.25 * 0.5 * (left[26] + right[26])
    rise = 0.5 * (left[17] + right[17])
    return Face(
        contour=_contour(identity, jaw),
        brows=[_brow(identity, side, a) for side, a in pairs],
        eyes=[_eye(identity, scene, side, a) for side, a in pairs],
        wings=[(side * identity.nose_width, 0.26 + identity.nose_length - 0.06 * a[9]) for side, a in pairs],
        chin=(0.0, 1.08 * identity.length - 0.09 * rise + 0.9 * jaw),
        **_mouth(identity, scene, jaw, left, right),
    )
