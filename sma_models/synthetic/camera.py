"""Light, occlusion, blur and noise: one picture of a painted face."""

from functools import cache

import cv2
import numpy as np

from sma_models.synthetic.projection import SHIFT, Projection
from sma_models.synthetic.splines import CIRCLE


@cache
def _ramp(canvas):
    return np.linspace(-1.0, 1.0, canvas, dtype=np.float32)


def photograph(painted, scene, size):
    """uint8 RGB [size, size, 3] of a painted face, uint8 RGB [canvas, canvas, 3], which may be drawn over."""
    canvas = len(painted)
    if scene.occluder:
        x, y, wide, high, colour = scene.occluder
        pixels = Projection(scene, canvas)(np.array((x, y)) + CIRCLE * (wide, high), flat=True)
        cv2.fillPoly(painted, [pixels], colour, cv2.LINE_AA, SHIFT)
    ramp = _ramp(canvas)
    light = scene.ambient * (1.0 + scene.light[0] * ramp[None, :] + scene.light[1] * ramp[:, None])
    image = cv2.multiply(painted, cv2.merge([light * tint for tint in scene.tint]), dtype=cv2.CV_32F)
    if scene.blur:
        image = cv2.GaussianBlur(image, (0, 0), scene.blur * canvas / 128.0)
    if size != canvas:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    if scene.noise:
        # Two bytes a channel: their sum is close enough to a bell, and a tenth of the price of normals.
        grain = np.random.default_rng(scene.noise_seed).integers(0, 256, (2, size, size, 3), np.uint8)
        grain = cv2.add(grain[0].astype(np.int16), grain[1].astype(np.int16)).astype(np.float32)
        # The sum has mean 255 and standard deviation 104.5.
        image = image + (grain - 255.0) * (scene.noise / 104.5)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
