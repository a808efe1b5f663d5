"""Image files as RGB arrays."""

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
RGBImage = NDArray[np.uint8]
# Start of a JPEG segment or end of image, after any data or fill bytes; within data, 0xFF is followed by 0 or a restart.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")


def read_image(path: Path, mode: int = cv2.IMREAD_COLOR_RGB) -> RGBImage:
    """Reads an image of any depth and number of channels as uint8 RGB [H,W,3], rotated by its EXIF orientation.

    mode: OpenCV's read mode, for another kind of image. Raises ValueError with the reason if the image cannot be read.
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
        raise ValueError(f"cannot be decoded as an image: {error.err}") from error
    if image is None:
        raise ValueError("cannot be decoded as an image")
    return image  # type: ignore[return-value]


def _ends(jpeg: bytes) -> bool:
    """Whether the end marker follows the compressed data: the decoder would fill a truncated image with gray."""
    marker = _MARKER.search(jpeg, 2)
    while marker is not None and marker[1] != b"\xd9":
        # Segments are skipped: one may hold a thumbnail with an end marker of its own.
        length = int.from_bytes(jpeg[marker.end() : marker.end() + 2], "big")
        marker = _MARKER.search(jpeg, marker.end() + length)
    return marker is not None


def frame_number(stem: str) -> int | None:
    """The last integer in a file stem, with any zero padding; None if there is none of at most 18 digits.

    Longer ones may overflow 64 bits; they are identifiers that some sites give to photographs.
    """
    number = re.search(r"(\d+)\D*$", stem)
    return int(number[1]) if number and len(number[1].lstrip("0")) <= 18 else None


def square(image: RGBImage, box: tuple[float, ...], size: int) -> RGBImage:
    """The smallest square around a box (x, y, width, height), resized; gray 128 outside the image.

    Memory stays below four times the image or four times `size`, however large the box.
    """
    x, y, width, height = box
    side = max(1, round(max(width, height)))
    left, top = round(x + (width - side) / 2), round(y + (height - side) / 2)
    rows = slice(max(0, top), max(0, min(image.shape[0], top + side)))
    columns = slice(max(0, left), max(0, min(image.shape[1], left + side)))
    inside = image[rows, columns]
    shrink = 4 * size / side
    if inside.size and shrink < 1 and side**2 > 4 * image.shape[0] * image.shape[1]:
        shorter = [max(1, round(length * shrink)) for length in inside.shape[1::-1]]
        small = cv2.resize(inside, shorter, interpolation=cv2.INTER_AREA)
        corner = (left - columns.start) * shrink, (top - rows.start) * shrink
        return square(small, (*corner, 4 * size, 4 * size), size)  # type: ignore[arg-type]
    canvas = np.full((side, side, 3), 128, np.uint8)
    if inside.size:
        y0, x0 = rows.start - top, columns.start - left
        canvas[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]] = inside
    # Area averaging only shrinks well; enlarging with it would show blocks.
    method = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    return cv2.resize(canvas, (size, size), interpolation=method)  # type: ignore[return-value]


def share_inside(box: tuple[float, ...], width: int, height: int) -> float:
    """The share of a box (x, y, width, height) that lies inside an image of `width` x `height`, 0 to 1."""
    x, y, across, down = box
    shares = [max(0.0, min(start + length, end) - max(start, 0.0)) / length
              for start, length, end in ((x, across, width), (y, down, height))]  # fmt: skip
    return shares[0] * shares[1]


def header_sizes(path: Path) -> list[tuple[int, int]]:
    """The possible (width, height) of an image, from its header alone: one, two if EXIF may rotate it, or none if unreadable.

    OpenCV decides whether to rotate, and does not follow EXIF in every file format.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
            return [image.size, image.size[::-1]] if turned else [image.size]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return []


def whole_square(image: RGBImage, size: int) -> RGBImage:
    """The whole image, padded to a square with gray and resized."""
    height, width = image.shape[:2]
    return square(image, (0.0, 0.0, float(width), float(height)), size)
