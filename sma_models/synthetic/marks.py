"""Wrinkles and soft shadows: what an action unit does to the skin, besides moving landmarks."""

from sma_models.synthetic.geometry import SIDES, Eye, Face
from sma_models.synthetic.identity import Identity
from sma_models.synthetic.types import Arc, Ellipse, Point, Points, Strengths

# Offsets of the chin's wrinkles from the center of its boss when it is pushed up.
_CHIN_FOLDS = ((-0.12, -0.02), (-0.05, 0.05), (0.04, -0.04), (0.11, 0.04), (0.0, 0.0), (-0.09, 0.08), (0.08, 0.1))


class Marks:
    """Soft strokes in face coordinates. Negative amounts darken and positive ones lighten, up to 127."""

    def __init__(self) -> None:
        self.creases: list[tuple[float, tuple[Arc, ...]]] = []
        self.blobs: list[tuple[float, tuple[Ellipse, ...]]] = []

    def crease(self, amount: float, *arcs: Arc) -> None:
        """Thin arcs."""
        if abs(amount) >= 1.0:
            self.creases.append((amount, arcs))

    def blob(self, amount: float, *ellipses: Ellipse) -> None:
        """Wide soft patches."""
        if abs(amount) >= 1.0:
            self.blobs.append((amount, ellipses))


def _relief(marks: Marks, identity: Identity, face: Face) -> None:
    """The shape of a resting face."""
    for side, eye in zip(SIDES, face.eyes, strict=True):
        x, y = eye.center
        marks.blob(-26, (x - side * 0.04, y - 0.12, 0.20, 0.09))
        marks.blob(14, (side * 0.52, 0.17, 0.20, 0.13))
        marks.blob(-14, (side * 0.15, 0.05, 0.05, 0.26))
        wing_x, wing_y = face.wings[0 if side < 0 else 1]
        marks.crease(
            -46,
            (
                (wing_x - side * 0.03, wing_y - 0.07),
                (wing_x + side * 0.04, wing_y),
                (wing_x - side * 0.03, wing_y + 0.06),
            ),
        )
    tip = 0.22 + identity.nose_length
    marks.blob(22, (0.0, tip - 0.06, 0.07, 0.08), (0.0, -0.1, 0.035, 0.22))
    marks.blob(-24, (0.0, tip + 0.15, 0.14, 0.035))
    x, y = face.chin
    bottom = face.lower_outer[2, 1]
    marks.blob(-26, (0.0, bottom + 0.05, 0.17, 0.04))
    marks.blob(12, (x, y, 0.15, 0.10))
    marks.crease(-50 * identity.chin_dimple, ((x, y - 0.05), (x + 0.01, y), (x, y + 0.06)))


def _at_rest(marks: Marks, identity: Identity) -> None:
    """Lines of a resting face, in the same places as those of action units but fainter."""
    line = {area: -70 * amount for area, amount in identity.wrinkles.items()}
    for y in (-0.80, -0.69):
        marks.crease(line["forehead"] * 0.7, ((-0.5, y + 0.02), (0.0, y - 0.03), (0.5, y + 0.02)))
    for side in SIDES:
        marks.crease(line["glabella"] * 0.7, ((side * 0.06, -0.5), (side * 0.045, -0.42), (side * 0.07, -0.36)))
        x, y = side * (identity.eye_distance + identity.eye_width), -0.21 + identity.eye_height
        marks.crease(line["crow"] * 0.7, ((x + side * 0.05, y), (x + side * 0.09, y), (x + side * 0.14, y + 0.01)))
        x = side * identity.eye_distance
        marks.crease(line["bag"], ((x - side * 0.15, y + 0.13), (x, y + 0.19), (x + side * 0.13, y + 0.14)))
        x = side * identity.nose_width
        marks.crease(
            line["nasolabial"] * 0.8,
            ((x + side * 0.05, 0.28), (x + side * 0.15, 0.40), (x + side * 0.19, 0.52)),
        )
        x = side * (identity.mouth_width + 0.05)
        marks.crease(line["mouth"] * 0.7, ((x, 0.74), (x + side * 0.02, 0.80), (x, 0.86)))
    y = 0.90 * identity.length
    marks.crease(line["chin"] * 0.7, ((-0.14, y + 0.01), (0.0, y - 0.02), (0.14, y + 0.01)))


def _brow_region(marks: Marks, identity: Identity, side: float, brow: Points, strength: Strengths) -> None:
    inner, outer = brow[0], brow[3]
    base = -0.62 + identity.brow_height
    au1_amount = -80 * strength[1]
    for step in range(3):
        y = base - 0.085 * step - 0.06 * strength[1]
        marks.crease(au1_amount, ((0.0, y + 0.005), (side * 0.12, y - 0.015), (side * 0.27, y + 0.02)))
    marks.blob(22 * strength[1], (side * 0.12, base - 0.12, 0.10, 0.03))
    au2_amount = -75 * strength[2]
    for step in range(3):
        y = base - 0.04 - 0.075 * step - 0.05 * strength[2]
        marks.crease(au2_amount, ((side * 0.47, y + 0.01), (side * 0.64, y - 0.07), (side * 0.80, y + 0.05)))
    marks.blob(-26 * strength[2], (outer[0] - side * 0.12, outer[1] + 0.10, 0.14, 0.04))
    x = side * max(0.045, abs(inner[0]) - 0.09)
    marks.crease(-100 * strength[4], ((x, -0.56), (x - side * 0.01, -0.45), (x + side * 0.02, -0.33)))
    marks.blob(-34 * strength[4], (side * 0.10, -0.42, 0.07, 0.08))
    marks.blob(24 * strength[4], (0.0, -0.46, 0.03, 0.08))


def _eye_region(marks: Marks, identity: Identity, side: float, eye: Eye, strength: Strengths) -> None:
    x, y = eye.center
    out = x + side * identity.eye_width
    au6_amount = -80 * strength[6]
    for angle in (-0.10, 0.0, 0.10):
        marks.crease(
            au6_amount,
            (
                (out + side * 0.05, y + 0.03 + angle * 0.4),
                (out + side * 0.12, y + 0.03 + angle),
                (out + side * 0.2, y + 0.05 + angle * 1.6),
            ),
        )
    marks.crease(
        -70 * strength[6],
        ((x - side * 0.17, y + 0.10), (x, y + 0.19 - 0.02 * strength[6]), (x + side * 0.17, y + 0.09)),
    )
    marks.blob(40 * strength[6], (side * 0.54, 0.12 - 0.05 * strength[6], 0.17, 0.07))
    marks.blob(-30 * strength[6], (side * 0.50, 0.27, 0.17, 0.035))
    # The tightened lower lid: a sharp straight edge just below the lashes.
    low = eye.lower[4, 1] + 0.035
    marks.crease(-85 * strength[7], ((x - side * 0.17, low), (x, low + 0.004), (x + side * 0.15, low)))
    marks.crease(70 * strength[7], ((x - side * 0.15, low + 0.035), (x, low + 0.035), (x + side * 0.13, low + 0.035)))


def _nose_region(marks: Marks, identity: Identity, side: float, wing: Point, strength: Strengths) -> None:
    au9_amount = -90 * strength[9]
    for step, y in enumerate((-0.26, -0.18, -0.10)):
        marks.crease(au9_amount, ((0.0, y - 0.01), (side * 0.06, y - 0.005), (side * 0.11, y + 0.04)))
        marks.crease(
            au9_amount, ((side * 0.12, y + 0.16 + 0.02 * step), (side * 0.17, y + 0.09), (side * 0.2, y + 0.02))
        )
    wing_x, wing_y = wing
    marks.crease(
        au9_amount,
        (
            (wing_x + side * 0.02, wing_y + 0.02),
            (wing_x + side * 0.03, wing_y - 0.07),
            (wing_x - side * 0.03, wing_y - 0.12),
        ),
    )
    # AU10: the upper end of the nasolabial furrow only, bent like a pouch beside the wing.
    rest = 0.26 + identity.nose_length
    edge = side * identity.nose_width
    marks.crease(
        -85 * strength[10],
        (
            (edge + side * 0.03, rest - 0.06),
            (edge + side * 0.13, rest - 0.01),
            (edge + side * 0.14, rest + 0.14),
        ),
    )
    marks.blob(28 * strength[10], (edge + side * 0.19, rest - 0.03, 0.06, 0.07))
    marks.blob(-22 * strength[10], (side * 0.10, rest + 0.14, 0.07, 0.04))


def _mouth_region(marks: Marks, identity: Identity, side: float, corner: Point, strength: Strengths) -> None:
    x, y = corner
    edge = side * (identity.nose_width + 0.07)
    au12_amount = -85 * strength[12]
    marks.crease(au12_amount, ((edge, 0.22), (x + side * 0.06, 0.34), (x + side * 0.13, y + 0.10)))
    marks.blob(36 * strength[12], (side * 0.60, 0.33 - 0.05 * strength[12], 0.14, 0.12))
    marks.blob(-30 * strength[12], (x + side * 0.05, y + 0.04, 0.06, 0.06))
    marks.crease(
        -120 * strength[14], ((x + side * 0.055, y - 0.075), (x + side * 0.09, y), (x + side * 0.055, y + 0.08))
    )
    marks.blob(44 * strength[14], (x + side * 0.17, y, 0.05, 0.10))
    marks.blob(-36 * strength[14], (x + side * 0.05, y + 0.01, 0.03, 0.05))
    marks.crease(
        -95 * strength[15], ((x - side * 0.01, y + 0.02), (x + side * 0.04, y + 0.06), (x + side * 0.03, y + 0.13))
    )
    marks.blob(-34 * strength[15], (x + side * 0.02, y + 0.09, 0.06, 0.04))
    marks.blob(28 * strength[15], (x - side * 0.06, y + 0.09, 0.05, 0.035))


def _lips_and_chin(marks: Marks, face: Face, strength: Strengths) -> None:
    x, y = face.chin
    au17_amount = -75 * strength[17]
    for dx, dy in _CHIN_FOLDS:
        marks.crease(au17_amount, ((x + dx - 0.025, y + dy), (x + dx, y + dy - 0.03), (x + dx + 0.025, y + dy + 0.01)))
    marks.blob(40 * strength[17], (x, y - 0.01, 0.15, 0.08))
    bottom = face.lower_outer[2, 1]
    marks.crease(-85 * strength[17], ((-0.17, bottom + 0.10), (0.0, bottom + 0.03), (0.17, bottom + 0.10)))
    top = face.upper_outer[3, 1]
    half = 0.8 * abs(face.corners[1][0])
    # AU23: a pale tight rim along the rolled-in lips; AU24: the skin bulges above and below.
    marks.crease(
        60 * strength[23],
        ((-half, top + 0.015), (0.0, top - 0.035), (half, top + 0.015)),
        ((-half, bottom - 0.01), (0.0, bottom + 0.035), (half, bottom - 0.01)),
    )
    marks.blob(52 * strength[24], (0.0, top - 0.075, 0.7 * half, 0.035), (0.0, bottom + 0.06, 0.7 * half, 0.035))
    marks.crease(-60 * strength[24], ((-half, top - 0.06), (0.0, top - 0.16), (half, top - 0.06)))


def build_marks(identity: Identity, face: Face, left: Strengths, right: Strengths) -> Marks:
    """Every stroke of one face, from the strengths of action units on the left and right of the image."""
    marks = Marks()
    _relief(marks, identity, face)
    _at_rest(marks, identity)
    for number, (side, strength) in enumerate(zip(SIDES, (left, right), strict=True)):
        _brow_region(marks, identity, side, face.brows[number], strength)
        _eye_region(marks, identity, side, face.eyes[number], strength)
        _nose_region(marks, identity, side, face.wings[number], strength)
        _mouth_region(marks, identity, side, face.corners[number], strength)
    _lips_and_chin(marks, face, {au: 0.5 * (left[au] + right[au]) for au in left})
    return marks
