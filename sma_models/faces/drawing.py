"""Writing on pictures."""

import cv2
import numpy as np
from numpy.typing import NDArray

_LINE = 18


def put_lines(image: NDArray[np.uint8], lines: list[str]) -> NDArray[np.uint8]:
    """`image` with lines of text on a white band below it, wide enough for the longest."""
    widest = max(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0] for line in lines) + 8
    height, width = image.shape[:2]
    canvas = np.full((height + _LINE * len(lines) + 6, max(width, widest), 3), 255, np.uint8)
    canvas[:height, :width] = image
    for row, line in enumerate(lines, 1):
        place = (4, height + _LINE * row - 4)
        cv2.putText(canvas, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas
