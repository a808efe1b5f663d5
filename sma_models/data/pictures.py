"""Picture files as RGB arrays."""

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
Picture = NDArray[np.uint8]
# Of a segment of a JPEG or of its end, after what data or fill bytes there are; in data 0 or a restart follow 0xFF.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")


def read_picture(path: Path, mode: int = cv2.IMREAD_COLOR_RGB) -> Picture:
    """uint8 RGB [H,W,3] of a picture of any depth and number of channels, turned as its EXIF data say.

    mode: OpenCV's, where another kind of picture is wanted. ValueError that says why if it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    if not data:
        raise ValueError("the file is empty")
    if data.startswith(b"\xff\xd8") and not _ends(data):
        raise ValueError("the JPEG is cut off")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        raise ValueError(f"cannot be decoded as a picture: {error.err}") from error
    if image is None:
        raise ValueError("cannot be decoded as a picture")
    return image  # type: ignore[return-value]


def _ends(jpeg: bytes) -> bool:
    """Whether the end marker follows the compressed data: the decoder fills up what is missing with grey."""
    marker = _MARKER.search(jpeg, 2)
    while marker is not None and marker[1] != b"\xd9":
        # Segments are skipped: one may hold a small picture with an end of its own.
        length = int.from_bytes(jpeg[marker.end() : marker.end() + 2], "big")
        marker = _MARKER.search(jpeg, marker.end() + length)
    return marker is not None


def square(image: Picture, box: tuple[float, ...], size: int) -> Picture:
    """The smallest square round a box (x, y, width, height), resized; grey 128 beyond the picture."""
    x, y, width, height = box
    side = max(1, round(max(width, height)))
    left, top = round(x + (width - side) / 2), round(y + (height - side) / 2)
    whole = np.full((side, side, 3), 128, np.uint8)
    rows = slice(max(0, top), max(0, min(image.shape[0], top + side)))
    columns = slice(max(0, left), max(0, min(image.shape[1], left + side)))
    part = image[rows, columns]
    if part.size:
        at, beside = rows.start - top, columns.start - left
        whole[at : at + part.shape[0], beside : beside + part.shape[1]] = part
    # Area averaging only shrinks well; enlarging with it would show blocks.
    method = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    return cv2.resize(whole, (size, size), interpolation=method)  # type: ignore[return-value]


def whole_square(image: Picture, size: int) -> Picture:
    """The whole picture in a square: what has other proportions is filled up with grey."""
    height, width = image.shape[:2]
    return square(image, (0.0, 0.0, float(width), float(height)), size)
