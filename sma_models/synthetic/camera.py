"""Occlusion, light, blur and noise: turns a painted face into an image."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sma_models.synthetic.projection import SHIFT, Projection
from sma_models.synthetic.scene import Scene
from sma_models.synthetic.splines import CIRCLE
from sma_models.synthetic.types import Image


@cache
def _ramp(canvas: int) -> NDArray[np.float32]:
    return np.linspace(-1.0, 1.0, canvas, dtype=np.float32)


def _grain(seed: int, size: int) -> NDArray[np.float32]:
    """Sums of two random bytes, float32 [size, size, 3]: nearly normal, at a tenth of the cost of normals."""
    first, second = np.random.default_rng(seed).integers(0, 256, (2, size, size, 3), np.uint8)
    return cv2.add(first.astype(np.int16), second.astype(np.int16)).astype(np.float32)


def photograph(painted: Image, scene: Scene, size: int) -> Image:
    """uint8 RGB [size, size, 3] of a painted face, uint8 RGB [canvas, canvas, 3], which an occluder overwrites."""
    canvas = len(painted)
    if scene.occluder:
        x, y, x_radius, y_radius, color = scene.occluder
        pixels = Projection(scene, canvas)(np.array((x, y)) + CIRCLE * (x_radius, y_radius), flat=True)
        cv2.fillPoly(painted, [pixels], color, cv2.LINE_AA, SHIFT)
    ramp = _ramp(canvas)
    light = scene.ambient * (1.0 + scene.light[0] * ramp[None, :] + scene.light[1] * ramp[:, None])
    image = cv2.multiply(painted, cv2.merge([light * tint for tint in scene.tint]), dtype=cv2.CV_32F)
    if scene.blur:
        image = cv2.GaussianBlur(image, (0, 0), scene.blur * canvas / 128.0)
    if size != canvas:
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    if scene.noise:
        # The grain has mean 255 and standard deviation 104.5.
        image = image + (_grain(scene.noise_seed, size) - 255.0) * (scene.noise / 104.5)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
