"""Paint one face: filled outlines, then skin relief and wrinkles, then what lies in front of the face."""

import cv2
import numpy as np

from sma_models.synthetic.projection import SHIFT, Projection
from sma_models.synthetic.splines import CIRCLE, arcs, ellipses, smooth

# Width of the picture at which one-pixel strokes and the blurs below look right.
BASE = 128
_FINE_BLUR = 0.75
_SOFT_BLUR = 1.6


class Painter:
    """A canvas [canvas, canvas, 3], uint8 RGB, and the scene through which face points reach it."""

    def __init__(self, canvas, scene):
        self.scene = scene
        self.canvas = canvas
        self.width = canvas // BASE
        self.project = Projection(scene, canvas)
        self.image = np.empty((canvas, canvas, 3), np.uint8)

    def fill(self, points, colour, flat=False):
        pixels = self.project(points, flat)
        cv2.fillPoly(self.image, [pixels], colour, cv2.LINE_AA, SHIFT)

    def line(self, points, colour, closed=False, flat=False, width=1):
        pixels = self.project(points, flat)
        cv2.polylines(self.image, [pixels], closed, colour, width * self.width, cv2.LINE_AA, SHIFT)


def _shade(colour, factor):
    return tuple(min(255.0, channel * factor) for channel in colour)


def _mix(first, second, share):
    return tuple(a + (b - a) * share for a, b in zip(first, second, strict=True))


def _hair_colour(who):
    """Colour of brows and beard: never lighter than the skin, or nothing would be seen of them."""
    return tuple(min(hair, 0.6 * skin) for hair, skin in zip(who.hair, who.skin, strict=True))


def _behind(painter, who, face):
    corners = np.array(painter.scene.background, np.float32).reshape(2, 2, 3).astype(np.uint8)
    cv2.resize(corners, painter.image.shape[:2], dst=painter.image)
    neck = _shade(who.skin, 0.64)
    painter.fill(
        smooth(
            [
                (-1.75, 1.95),
                (-1.2, 1.55),
                (-0.5, 1.45),
                (0.5, 1.45),
                (1.2, 1.55),
                (1.75, 1.95),
                (1.7, 2.6),
                (-1.7, 2.6),
            ],
            True,
        ),
        painter.scene.clothes,
        True,
    )
    painter.fill(np.array([(-0.55, 0.6), (0.55, 0.6), (0.6, 1.6), (0.0, 1.85), (-0.6, 1.6)]), neck, True)
    if who.hair_length > -0.2:
        out = who.width + who.hair_volume
        low = who.hair_length
        painter.fill(
            smooth(
                [
                    (0.0, -1.48),
                    (0.8 * out, -1.2),
                    (1.08 * out, -0.4),
                    (1.1 * out, 0.5 * low),
                    (out, low),
                    (-out, low),
                    (-1.1 * out, 0.5 * low),
                    (-1.08 * out, -0.4),
                    (-0.8 * out, -1.2),
                ],
                True,
            ),
            _shade(who.hair, 0.75),
            True,
        )
    for side in (-1, 1):
        ear = np.array((side * 1.0 * who.width, 0.0)) + CIRCLE * (0.10, 0.22)
        painter.fill(ear, _shade(who.skin, 0.86), True)
    painter.fill(smooth(face.contour, True, 3), who.skin)


def _eyes(painter, who, face):
    lash = _mix(who.hair, (20.0, 16.0, 14.0), 0.6)
    for eye in face.eyes:
        outline = np.concatenate([eye.upper, eye.lower[-2:0:-1]])
        painter.fill(outline, (232, 228, 222))
        x, y = eye.centre
        radius = 0.088
        iris = CIRCLE * radius + (x + painter.scene.gaze[0] * 0.2, y + painter.scene.gaze[1] * 0.1 - 0.012)
        pupil = CIRCLE * (0.45 * radius) + iris.mean(axis=0)
        for disc, colour in ((iris, who.iris), (pupil, (18, 14, 14))):
            # The lids cover what lies beyond them.
            disc[:, 1] = np.clip(
                disc[:, 1],
                np.interp(disc[:, 0], eye.upper[:, 0], eye.upper[:, 1]),
                np.interp(disc[:, 0], eye.lower[:, 0], eye.lower[:, 1]),
            )
            if eye.opening > 0.02:
                painter.fill(disc, colour)
        painter.line(eye.lower, _mix(who.skin, lash, 0.45))
        painter.line(eye.upper, lash, width=2 if eye.opening > 0.02 else 1)
        crease = eye.upper[1:-1].copy()
        crease[:, 1] -= 0.05
        painter.line(crease, _shade(who.skin, 0.78))


def _brows(painter, who, face):
    colour = _mix(who.skin, _hair_colour(who), who.brow_darkness)
    for brow in face.brows:
        centre = smooth(brow, steps=3)
        half = 0.5 * who.brow_thickness * np.linspace(1.0, 0.35, len(centre))
        upper, lower = centre.copy(), centre.copy()
        upper[:, 1] -= half
        lower[:, 1] += half
        painter.fill(np.concatenate([upper, lower[::-1]]), colour)


def _nose(painter, who, face):
    dark = _shade(who.skin, 0.45)
    base = 0.285 + who.nose_length
    for wing in face.wings:
        x, y = wing
        nostril = np.array((0.5 * x, base - 0.5 * (0.26 + who.nose_length - y))) + CIRCLE * (0.05, 0.026)
        painter.fill(nostril, dark)


def _lips(painter, who, face):
    upper_outer, upper_inner = smooth(face.upper_outer), smooth(face.upper_inner)
    lower_outer, lower_inner = smooth(face.lower_outer), smooth(face.lower_inner)
    if face.gap > 0.012:
        painter.fill(np.concatenate([upper_inner, lower_inner[::-1]]), (52, 18, 20))
        if who.teeth and face.gap > 0.04:
            # Upper teeth: they hang from the skull, so a lowered jaw does not move them.
            depth = np.minimum(lower_inner[:, 1], upper_inner[:, 1] + 0.055)[3:-3]
            edge = np.stack([lower_inner[3:-3, 0], depth], axis=1)
            painter.fill(np.concatenate([upper_inner[3:-3], edge[::-1]]), (222, 214, 200))
    painter.fill(np.concatenate([upper_outer, upper_inner[::-1]]), _shade(who.lips, 0.90))
    painter.fill(np.concatenate([lower_inner, lower_outer[::-1]]), who.lips)
    if face.gap <= 0.012:
        painter.line(upper_inner, _shade(who.lips, 0.42))


def _beard(painter, who, face):
    """Blend hair over the lower face; the lips are painted after it."""
    mask = np.zeros(painter.image.shape[:2], np.uint8)

    def cover(points, density):
        pixels = painter.project(np.asarray(points, float))
        cv2.fillPoly(mask, [pixels], 255 * density, cv2.LINE_AA, SHIFT)

    contour = face.contour
    jaw = contour[[4, 5, 6, 7, 8, 9, 10]]
    (left, y), (right, _) = face.corners
    cover(
        np.concatenate(
            [
                jaw,
                [
                    (left - 0.2, 0.55),
                    (left - 0.02, y + 0.12),
                    (0.0, y + 0.16),
                    (right + 0.02, y + 0.12),
                    (right + 0.2, 0.55),
                ],
            ]
        ),
        who.beard,
    )
    if who.moustache:
        top = 0.40 + who.nose_length
        cover(
            [(left, y), (-0.2, top + 0.02), (0.0, top), (0.2, top + 0.02), (right, y), (0.0, 0.60)],
            who.moustache,
        )
    mask = cv2.blur(mask, (7 * painter.width, 7 * painter.width))
    share = (mask * (1.0 / 255.0)).astype(np.float32)[:, :, None]
    painter.image[:] = painter.image + share * (np.array(_hair_colour(who), np.float32) - painter.image)


def _in_front(painter, who):
    line = who.hairline
    out = 1.02 * who.width + 0.5 * who.hair_volume
    top = -1.36 - who.hair_volume
    fringe = line + who.fringe
    painter.fill(
        smooth(
            [
                (-out, -0.35),
                (-0.92 * who.width, -0.62),
                (-0.6, line),
                (0.0, fringe),
                (0.6, line),
                (0.92 * who.width, -0.62),
                (out, -0.35),
                (1.04 * out, -0.85),
                (0.62, top + 0.1),
                (0.0, top),
                (-0.62, top + 0.1),
                (-1.04 * out, -0.85),
            ],
            True,
        ),
        who.hair,
    )
    if who.glasses:
        frame = (40, 36, 38) if who.glasses == 1 else (150, 120, 70)
        for side in (-1, 1):
            x, y = side * who.eye_distance, -0.19 + who.eye_height
            painter.line(np.array((x, y)) + CIRCLE * (0.29, 0.22), frame, closed=True)
            painter.line(np.array([(x + side * 0.29, y - 0.03), (side * who.width, y - 0.06)]), frame)
        painter.line(np.array([(-0.16, y - 0.04), (0.0, y - 0.07), (0.16, y - 0.04)]), frame)


def _strokes(layer, scratch, groups, pixels, draw):
    at = 0
    for amount, shapes in groups:
        scratch[:] = 0
        draw(scratch, list(pixels[at : at + len(shapes)]), min(abs(amount), 127.0))
        at += len(shapes)
        (cv2.add if amount > 0 else cv2.subtract)(layer, scratch, dst=layer)


def _relief(painter, face, marks):
    """Brightness factor, float32 [canvas, canvas], from every soft stroke."""
    canvas, width = painter.canvas, painter.width
    fine = np.full((canvas, canvas), 128, np.uint8)
    scratch = np.empty_like(fine)
    triples = [triple for _, group in marks.creases for triple in group]
    lines = painter.project(arcs(triples).reshape(-1, 2)).reshape(-1, 7, 2)
    _strokes(
        fine,
        scratch,
        marks.creases,
        lines,
        lambda out, shapes, amount: cv2.polylines(out, shapes, False, amount, width, cv2.LINE_AA, SHIFT),
    )
    # Patches are soft: half the resolution costs a quarter and looks the same.
    half = canvas // 2
    soft = np.full((half, half), 128, np.uint8)
    scratch = np.empty_like(soft)
    outlines = [ellipse for _, group in marks.blobs for ellipse in group]
    project = Projection(painter.scene, half)
    patches = project(ellipses(outlines).reshape(-1, 2)).reshape(-1, 14, 2)
    rim = project(smooth(face.contour, True, 3))
    cv2.polylines(soft, [rim], True, 96, 4 * width, cv2.LINE_AA, SHIFT)
    _strokes(
        soft,
        scratch,
        marks.blobs,
        patches,
        lambda out, shapes, amount: cv2.fillPoly(out, shapes, amount, cv2.LINE_AA, SHIFT),
    )
    fine = cv2.GaussianBlur(fine, (0, 0), _FINE_BLUR * width)
    soft = cv2.resize(cv2.GaussianBlur(soft, (0, 0), _SOFT_BLUR * width), (canvas, canvas))
    return cv2.addWeighted(fine, 1.0 / 128.0, soft, 1.0 / 128.0, -1.0, dtype=cv2.CV_32F)


def paint(identity, scene, face, marks, canvas):
    """The face before light and camera, uint8 RGB [canvas, canvas, 3]."""
    painter = Painter(canvas, scene)
    _behind(painter, identity, face)
    if identity.beard:
        _beard(painter, identity, face)
    _nose(painter, identity, face)
    _lips(painter, identity, face)
    _eyes(painter, identity, face)
    _brows(painter, identity, face)
    relief = _relief(painter, face, marks)
    painter.image = cv2.multiply(painter.image, cv2.merge([relief] * 3), dtype=cv2.CV_8U)
    _in_front(painter, identity)
    return painter.image
