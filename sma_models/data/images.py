"""Picture files as RGB arrays."""

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
RGBImage = NDArray[np.uint8]
# Of a segment of a JPEG or of its end, after what data or fill bytes there are; in data 0 or a restart follow 0xFF.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")


def read_image(path: Path, mode: int = cv2.IMREAD_COLOR_RGB) -> RGBImage:
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


def frame_number(stem: str) -> int | None:
    """The last integer of a picture's name, whatever its padding; None if there is none of at most 18 digits.

    Longer ones, which 64 bits need not hold, are identifiers that some sites give to photographs.
    """
    number = re.search(r"(\d+)\D*$", stem)
    return int(number[1]) if number and len(number[1].lstrip("0")) <= 18 else None


def square(image: RGBImage, box: tuple[float, ...], size: int) -> RGBImage:
    """The smallest square round a box (x, y, width, height), resized; grey 128 beyond the picture.

    However large the box, no more than four times the picture's memory is taken, or that of four times `size`.
    """
    x, y, width, height = box
    side = max(1, round(max(width, height)))
    left, top = round(x + (width - side) / 2), round(y + (height - side) / 2)
    rows = slice(max(0, top), max(0, min(image.shape[0], top + side)))
    columns = slice(max(0, left), max(0, min(image.shape[1], left + side)))
    part = image[rows, columns]
    shrink = 4 * size / side
    if part.size and shrink < 1 and side**2 > 4 * image.shape[0] * image.shape[1]:
        shorter = [max(1, round(length * shrink)) for length in part.shape[1::-1]]
        small = cv2.resize(part, shorter, interpolation=cv2.INTER_AREA)
        corner = (left - columns.start) * shrink, (top - rows.start) * shrink
        return square(small, (*corner, 4 * size, 4 * size), size)  # type: ignore[arg-type]
    whole = np.full((side, side, 3), 128, np.uint8)
    if part.size:
        at, beside = rows.start - top, columns.start - left
        whole[at : at + part.shape[0], beside : beside + part.shape[1]] = part
    # Area averaging only shrinks well; enlarging with it would show blocks.
    method = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    return cv2.resize(whole, (size, size), interpolation=method)  # type: ignore[return-value]


def share_inside(box: tuple[float, ...], width: int, height: int) -> float:
    """Which share of a box (x, y, width, height) lies in a picture of `width` x `height`, 0 to 1."""
    x, y, across, down = box
    inside = [max(0.0, min(start + length, end) - max(start, 0.0)) / length
              for start, length, end in ((x, across, width), (y, down, height))]  # fmt: skip
    return inside[0] * inside[1]


def header_sizes(path: Path) -> list[tuple[int, int]]:
    """Widths and heights that a picture may have, by its header alone: one, two if EXIF data turn it, or none.

    Whether they do is OpenCV's to say, which does not follow them in every kind of file.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) > 4
            return [image.size, image.size[::-1]] if turned else [image.size]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return []


def whole_square(image: RGBImage, size: int) -> RGBImage:
    """The whole picture in a square: what has other proportions is filled up with grey."""
    height, width = image.shape[:2]
    return square(image, (0.0, 0.0, float(width), float(height)), size)
