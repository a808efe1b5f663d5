"""Captions, boxes, points and heatmaps on images."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sma_models.data.images import RGBImage

_LINE = 18


def draw_caption(image: NDArray[np.uint8], lines: list[str]) -> NDArray[np.uint8]:
    """`image` with lines of text on a white band below it, wide enough for the longest."""
    widest = max(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0] for line in lines) + 8
    height, width = image.shape[:2]
    canvas = np.full((height + _LINE * len(lines) + 6, max(width, widest), 3), 255, np.uint8)
    canvas[:height, :width] = image
    for row, line in enumerate(lines, 1):
        origin = (4, height + _LINE * row - 4)
        cv2.putText(canvas, line, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def draw_box(image: NDArray[np.uint8], box: tuple[float, ...]) -> NDArray[np.uint8]:
    """A copy of an RGB image with a box (x, y, width, height) on it."""
    x, y, width, height = map(round, box)
    return cv2.rectangle(image.copy(), (x, y), (x + width - 1, y + height - 1), (255, 220, 0), 1)  # type: ignore[return-value]


def draw_points(image: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A copy of an RGB image with points [n,2] on it."""
    image = image.copy()
    for x, y in points:
        cv2.circle(image, (round(x), round(y)), 2, (0, 255, 0), -1)
    return image


def overlay_heatmap(image: RGBImage, heatmap: NDArray[np.float32], strength: float) -> RGBImage:
    """An RGB image blended with a heatmap [H,W] in 0..1; `strength` is the opacity at 1."""
    colors = cv2.applyColorMap(np.rint(255 * heatmap).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    opacity = strength * heatmap[..., None]
    return np.rint(image * (1 - opacity) + colors * opacity).astype(np.uint8)


def side_by_side(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two RGB images next to each other on white."""
    height = max(len(left), len(right))
    canvas = np.full((height, left.shape[1] + right.shape[1] + 4, 3), 255, np.uint8)
    canvas[: len(left), : left.shape[1]] = left
    canvas[: len(right), left.shape[1] + 4 :] = right
    return canvas
