"""True regions of action units, measured on pixels rather than declared."""

import cv2
import numpy as np

from sma_models.synthetic.identity import Identity
from sma_models.synthetic.rates import AUS
from sma_models.synthetic.render import render
from sma_models.synthetic.scene import Scene
from sma_models.synthetic.types import BoolArray, Image, Intensities

# A pixel belongs to the region if any of its channels differs by more than this.
THRESHOLD = 4
_CLOSING = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))


def changed_pixels(first: Image, second: Image) -> BoolArray:
    """Pixels, bool [h, w], where two uint8 images [h, w, 3] differ, closed by 3 pixels."""
    changed = (cv2.absdiff(first, second).max(axis=2) > THRESHOLD).astype(np.uint8)
    return cv2.morphologyEx(changed, cv2.MORPH_CLOSE, _CLOSING).astype(bool)


def measure_region(identity: Identity, scene: Scene, intensities: Intensities, column: int, image: Image) -> BoolArray:
    """True region of one action unit, bool [size, size]: where `image` differs from the same face without that unit."""
    without = np.array(intensities)
    without[column] = 0
    return changed_pixels(image, render(identity, scene, without, len(image)))


def measure_regions(identity: Identity, scene: Scene, intensities: Intensities, size: int) -> BoolArray:
    """True regions of every action unit, bool [15, size, size]; all False where the intensity is 0."""
    regions = np.zeros((len(AUS), size, size), bool)
    image = render(identity, scene, intensities, size)
    for column in np.flatnonzero(intensities):
        regions[column] = measure_region(identity, scene, intensities, int(column), image)
    return regions
