"""Paints one face: filled outlines, then skin relief and wrinkles, then hair and glasses in front of the face."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sma_models.synthetic.colors import mix, shade
from sma_models.synthetic.geometry import Face
from sma_models.synthetic.identity import Identity
from sma_models.synthetic.marks import Marks
from sma_models.synthetic.projection import SHIFT, Projection
from sma_models.synthetic.scene import Scene
from sma_models.synthetic.splines import CIRCLE, arcs, ellipses, smooth
from sma_models.synthetic.types import Color, Image, Pixels, Point, Points

# Image width at which one-pixel strokes and the blurs below look right.
BASE = 128
_FINE_BLUR = 0.75
_SOFT_BLUR = 1.6


class Painter:
    """A canvas, uint8 RGB [canvas, canvas, 3], and the projection of face points onto it."""

    def __init__(self, canvas: int, scene: Scene) -> None:
        self.scene = scene
        self.canvas = canvas
        self.width = canvas // BASE
        self.project = Projection(scene, canvas)
        self.image: Image = np.empty((canvas, canvas, 3), np.uint8)

    def fill(self, points: Points, color: Color, flat: bool = False) -> None:
        """Fill a polygon; flat points lie in the plane of the outline."""
        pixels = self.project(points, flat)
        cv2.fillPoly(self.image, [pixels], color, cv2.LINE_AA, SHIFT)

    def line(self, points: Points, color: Color, closed: bool = False, width: int = 1) -> None:
        """Draw a polyline, `width` pixels wide at a canvas of BASE pixels."""
        pixels = self.project(points)
        cv2.polylines(self.image, [pixels], closed, color, width * self.width, cv2.LINE_AA, SHIFT)


def _hair_color(identity: Identity) -> Color:
    """Color of brows and beard: darker than the skin, so that they stay visible."""
    red, green, blue = (min(hair, 0.6 * skin) for hair, skin in zip(identity.hair, identity.skin, strict=True))
    return (red, green, blue)


def _behind(painter: Painter, identity: Identity, face: Face) -> None:
    corners = np.array(painter.scene.background, np.float32).reshape(2, 2, 3).astype(np.uint8)
    cv2.resize(corners, (painter.canvas, painter.canvas), dst=painter.image)
    neck = shade(identity.skin, 0.64)
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
    if identity.hair_length > -0.2:
        out = identity.width + identity.hair_volume
        low = identity.hair_length
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
            shade(identity.hair, 0.75),
            True,
        )
    for side in (-1, 1):
        ear = np.array((side * 1.0 * identity.width, 0.0)) + CIRCLE * (0.10, 0.22)
        painter.fill(ear, shade(identity.skin, 0.86), True)
    painter.fill(smooth(face.contour, True, 3), identity.skin)


def _eyes(painter: Painter, identity: Identity, face: Face) -> None:
    lash = mix(identity.hair, (20.0, 16.0, 14.0), 0.6)
    for eye in face.eyes:
        outline = np.concatenate([eye.upper, eye.lower[-2:0:-1]])
        painter.fill(outline, (232, 228, 222))
        x, y = eye.center
        radius = 0.088
        iris = CIRCLE * radius + (x + painter.scene.gaze[0] * 0.2, y + painter.scene.gaze[1] * 0.1 - 0.012)
        pupil = CIRCLE * (0.45 * radius) + iris.mean(axis=0)
        for disc, color in ((iris, identity.iris), (pupil, (18, 14, 14))):
            # The lids cover the parts beyond them.
            disc[:, 1] = np.clip(
                disc[:, 1],
                np.interp(disc[:, 0], eye.upper[:, 0], eye.upper[:, 1]),
                np.interp(disc[:, 0], eye.lower[:, 0], eye.lower[:, 1]),
            )
            if eye.opening > 0.02:
                painter.fill(disc, color)
        painter.line(eye.lower, mix(identity.skin, lash, 0.45))
        painter.line(eye.upper, lash, width=2 if eye.opening > 0.02 else 1)
        crease = eye.upper[1:-1].copy()
        crease[:, 1] -= 0.05
        painter.line(crease, shade(identity.skin, 0.78))


def _brows(painter: Painter, identity: Identity, face: Face) -> None:
    color = mix(identity.skin, _hair_color(identity), identity.brow_darkness)
    for brow in face.brows:
        center = smooth(brow, steps=3)
        half = 0.5 * identity.brow_thickness * np.linspace(1.0, 0.35, len(center))
        upper, lower = center.copy(), center.copy()
        upper[:, 1] -= half
        lower[:, 1] += half
        painter.fill(np.concatenate([upper, lower[::-1]]), color)


def _nose(painter: Painter, identity: Identity, face: Face) -> None:
    dark = shade(identity.skin, 0.45)
    base = 0.285 + identity.nose_length
    for wing in face.wings:
        x, y = wing
        nostril = np.array((0.5 * x, base - 0.5 * (0.26 + identity.nose_length - y))) + CIRCLE * (0.05, 0.026)
        painter.fill(nostril, dark)


def _lips(painter: Painter, identity: Identity, face: Face) -> None:
    upper_outer, upper_inner = smooth(face.upper_outer), smooth(face.upper_inner)
    lower_outer, lower_inner = smooth(face.lower_outer), smooth(face.lower_inner)
    if face.gap > 0.012:
        painter.fill(np.concatenate([upper_inner, lower_inner[::-1]]), (52, 18, 20))
        if identity.teeth and face.gap > 0.04:
            # Upper teeth: they belong to the skull, so a lowered jaw does not move them.
            depth = np.minimum(lower_inner[:, 1], upper_inner[:, 1] + 0.055)[3:-3]
            edge = np.stack([lower_inner[3:-3, 0], depth], axis=1)
            painter.fill(np.concatenate([upper_inner[3:-3], edge[::-1]]), (222, 214, 200))
    painter.fill(np.concatenate([upper_outer, upper_inner[::-1]]), shade(identity.lips, 0.90))
    painter.fill(np.concatenate([lower_inner, lower_outer[::-1]]), identity.lips)
    if face.gap <= 0.012:
        painter.line(upper_inner, shade(identity.lips, 0.42))


def _beard(painter: Painter, identity: Identity, face: Face) -> None:
    """Blend hair over the lower face; the lips are painted after it."""
    mask: Image = np.zeros(painter.image.shape[:2], np.uint8)

    def cover(points: Points | Sequence[Point], density: float) -> None:
        pixels = painter.project(np.asarray(points, float))
        cv2.fillPoly(mask, [pixels], (255 * density,), cv2.LINE_AA, SHIFT)

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
        identity.beard,
    )
    if identity.mustache:
        top = 0.40 + identity.nose_length
        cover(
            [(left, y), (-0.2, top + 0.02), (0.0, top), (0.2, top + 0.02), (right, y), (0.0, 0.60)],
            identity.mustache,
        )
    blurred = cv2.blur(mask, (7 * painter.width, 7 * painter.width))
    share = (blurred * (1.0 / 255.0)).astype(np.float32)[:, :, None]
    painter.image[:] = painter.image + share * (np.array(_hair_color(identity), np.float32) - painter.image)


def _in_front(painter: Painter, identity: Identity) -> None:
    line = identity.hairline
    out = 1.02 * identity.width + 0.5 * identity.hair_volume
    top = -1.36 - identity.hair_volume
    fringe = line + identity.fringe
    painter.fill(
        smooth(
            [
                (-out, -0.35),
                (-0.92 * identity.width, -0.62),
                (-0.6, line),
                (0.0, fringe),
                (0.6, line),
                (0.92 * identity.width, -0.62),
                (out, -0.35),
                (1.04 * out, -0.85),
                (0.62, top + 0.1),
                (0.0, top),
                (-0.62, top + 0.1),
                (-1.04 * out, -0.85),
            ],
            True,
        ),
        identity.hair,
    )
    if identity.glasses:
        frame = (40, 36, 38) if identity.glasses == 1 else (150, 120, 70)
        for side in (-1, 1):
            x, y = side * identity.eye_distance, -0.19 + identity.eye_height
            painter.line(np.array((x, y)) + CIRCLE * (0.29, 0.22), frame, closed=True)
            painter.line(np.array([(x + side * 0.29, y - 0.03), (side * identity.width, y - 0.06)]), frame)
        painter.line(np.array([(-0.16, y - 0.04), (0.0, y - 0.07), (0.16, y - 0.04)]), frame)


def _strokes(
    layer: Image,
    groups: Sequence[tuple[float, tuple[object, ...]]],
    pixels: Pixels,
    draw: Callable[[Image, list[Pixels], tuple[float]], object],
) -> None:
    """Add groups of strokes to `layer`; `pixels` [n, points, 2] holds the shapes of all groups in order."""
    scratch = np.empty_like(layer)
    start = 0
    for amount, shapes in groups:
        scratch[:] = 0
        draw(scratch, list(pixels[start : start + len(shapes)]), (min(abs(amount), 127.0),))
        start += len(shapes)
        if amount > 0:
            cv2.add(layer, scratch, dst=layer)
        else:
            cv2.subtract(layer, scratch, dst=layer)


def _relief(painter: Painter, face: Face, marks: Marks) -> NDArray[np.float32]:
    """Brightness factor, float32 [canvas, canvas], of all soft strokes together."""
    canvas, width = painter.canvas, painter.width
    fine = np.full((canvas, canvas), 128, np.uint8)
    creases = [arc for _, group in marks.creases for arc in group]
    _strokes(
        fine,
        marks.creases,
        painter.project(arcs(creases).reshape(-1, 2)).reshape(-1, 7, 2),
        lambda out, shapes, amount: cv2.polylines(out, shapes, False, amount, width, cv2.LINE_AA, SHIFT),
    )
    # Patches are soft: at half the resolution they cost a quarter and look the same.
    half = canvas // 2
    soft = np.full((half, half), 128, np.uint8)
    project = Projection(painter.scene, half)
    rim = project(smooth(face.contour, True, 3))
    cv2.polylines(soft, [rim], True, (96,), 4 * width, cv2.LINE_AA, SHIFT)
    blobs = [ellipse for _, group in marks.blobs for ellipse in group]
    _strokes(
        soft,
        marks.blobs,
        project(ellipses(blobs).reshape(-1, 2)).reshape(-1, 14, 2),
        lambda out, shapes, amount: cv2.fillPoly(out, shapes, amount, cv2.LINE_AA, SHIFT),
    )
    sharp = cv2.GaussianBlur(fine, (0, 0), _FINE_BLUR * width)
    wide = cv2.resize(cv2.GaussianBlur(soft, (0, 0), _SOFT_BLUR * width), (canvas, canvas))
    return np.asarray(cv2.addWeighted(sharp, 1.0 / 128.0, wide, 1.0 / 128.0, -1.0, dtype=cv2.CV_32F), np.float32)


def paint(identity: Identity, scene: Scene, face: Face, marks: Marks, canvas: int) -> Image:
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
    painter.image = np.asarray(cv2.multiply(painter.image, cv2.merge([relief] * 3), dtype=cv2.CV_8U), np.uint8)
    _in_front(painter, identity)
    return painter.image
