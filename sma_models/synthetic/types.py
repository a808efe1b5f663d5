"""Types of coordinates, colors and arrays in the renderer."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
Image: TypeAlias = NDArray[np.uint8]  # RGB [height, width, 3], or one channel [height, width]
Intensities: TypeAlias = NDArray[np.int8]  # 0 to 5, [15] of one image or [n, 15]
Pixels: TypeAlias = NDArray[np.int32]  # fixed-point pixels [n, 2], see `projection.SHIFT`

Color: TypeAlias = tuple[float, float, float]  # red, green, blue in 0 to 255
Point: TypeAlias = tuple[float, float]  # x, y in face coordinates, see `geometry`
Points: TypeAlias = NDArray[np.float64]  # [n, 2] in face coordinates
Arc: TypeAlias = tuple[Point, Point, Point]  # start, handle and end
Ellipse: TypeAlias = tuple[float, float, float, float]  # x, y, horizontal and vertical radius
Strengths: TypeAlias = Mapping[int, float]  # how strongly each action unit shows, by its number
