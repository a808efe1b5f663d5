"""Faces and their landmarks: from a neural detector, from cascades, or from a table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sma_models.utils.text_files import read_table

# Longest side of an image during detection. A cascade takes seconds on larger images, and detects faces from 24 pixels on;
# YuNet is made for faces of 10 to 300 pixels, so a face that fills a photograph must be shrunk.
_LONGEST_CASCADE, _LONGEST_YUNET = 960, 640
_SMALLEST = 24
_POINTS = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y")


class Face(NamedTuple):
    """One face, in pixels of its image.

    box: x, y, width, height; score: the detector's own confidence; points: [2 or 3,2], the eye on the left of the image, the
    one on the right, and the tip of the nose if the detector locates it
    """

    box: tuple[float, float, float, float]
    score: float
    points: NDArray[np.float64]


class Detector(Protocol):
    """Called with uint8 RGB [H,W,3]; an instance must not be used by two threads at once.

    name: recorded with the crops; points: landmarks per face, 2 or 3
    """

    name: str
    points: int

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]: ...


class YuNet:
    """OpenCV's YuNet; path: its ONNX file, from OpenCV's model zoo. Raises FileNotFoundError, or ValueError for other files."""

    points = 3

    def __init__(self, path: Path):
        if not path.is_file():
            raise FileNotFoundError(f"there is no YuNet model {path}")
        try:
            self.network = cv2.FaceDetectorYN.create(str(path), "", (320, 320))
            # Other networks load as well; only a run shows whether the outputs are YuNet's.
            self(np.zeros((32, 32, 3), np.uint8))
        except cv2.error as error:
            raise ValueError(f"{path} is not a YuNet model: {error}") from error
        self.name = f"yunet {path.name}"

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        small, shrink = _shrink(image, _LONGEST_YUNET)
        self.network.setInputSize((small.shape[1], small.shape[0]))
        _, rows = self.network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        # Each row: box, eyes (first the person's right eye, which is on the left of the image), nose, mouth, score.
        faces = [
            Face(_box(row[:4] / shrink), float(row[14]), _to_full_size(np.float64(row[4:10]).reshape(3, 2), shrink))
            for row in (rows if rows is not None else ())
        ]
        return [face for face in faces if _valid_points(face.points)]


class Cascade:
    """The cascades that ship with OpenCV below 5: they detect upright frontal faces with both eyes visible.

    Raises FileNotFoundError if this OpenCV has none.
    """

    name = "cascade"
    points = 2

    def __init__(self) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise FileNotFoundError(
                f"OpenCV {cv2.__version__} has no face cascades: install 'opencv-python<5', or use YuNet "
                "(--yunet with its ONNX file), which needs none"
            )
        # The first eye cascade locates synthetic eyes to 0.04 of the distance between them, the others to 0.12. The
        # others also detect closed eyes, and are used if the first one detects none.
        self.faces, *self.eyes = (
            cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / f"haarcascade_{name}.xml"))
            for name in ("frontalface_alt2", "eye", "lefteye_2splits", "righteye_2splits")
        )

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        gray, shrink = _shrink(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _LONGEST_CASCADE)
        boxes, _, weights = self.faces.detectMultiScale3(
            cv2.equalizeHist(gray), 1.1, 4, minSize=(_SMALLEST, _SMALLEST), outputRejectLevels=True
        )
        faces = []
        for box, weight in zip(np.asarray(boxes), np.ravel(weights), strict=True):
            points = self._eyes(gray, *box.tolist())
            if points is not None:
                faces.append(Face(_box(box / shrink), float(weight), _to_full_size(points, shrink)))
        return faces

    def _eyes(self, gray: NDArray[np.uint8], x: int, y: int, width: int, height: int) -> NDArray[np.float64] | None:
        """Centers [2,2] of the two eyes of a face, or None if one is not detected."""
        top, bottom = y + round(0.18 * height), y + round(0.58 * height)
        points = []
        for start, end in ((0.04, 0.5), (0.5, 0.96)):
            left = x + round(start * width)
            region: NDArray[Any] = gray[top:bottom, left : x + round(end * width)]
            # The cascades were trained on eyes of 20 pixels; those of a small face are enlarged.
            scale = max(1.0, 80 / max(1, region.shape[1]))
            region = cv2.equalizeHist(cv2.resize(region, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR))
            eye = next(filter(lambda center: center is not None, (self._best(c, region) for c in self.eyes)), None)
            if eye is None:
                return None
            points.append((eye + 0.5) / scale - 0.5 + (left, top))
        return np.array(points)

    @staticmethod
    def _best(cascade: "cv2.CascadeClassifier", region: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """The center [2] of this cascade's most confident detection."""
        smallest = round(0.35 * region.shape[1])
        boxes, _, weights = cascade.detectMultiScale3(
            region, 1.05, 3, minSize=(smallest, smallest), outputRejectLevels=True
        )
        if not len(boxes):
            return None
        x, y, width, height = boxes[int(np.argmax(weights))]
        return np.array([x + (width - 1) / 2, y + (height - 1) / 2])


def detect_sideways(detector: Callable[[NDArray[np.uint8]], list[Face]], image: NDArray[np.uint8]) -> list[Face]:
    """Faces that are upright only after a quarter turn of the image, clockwise or else counterclockwise.

    Boxes and points refer to the image as given; the left eye is the left one of the upright face.
    """
    height, width = image.shape[:2]
    for clockwise, turn in ((True, cv2.ROTATE_90_CLOCKWISE), (False, cv2.ROTATE_90_COUNTERCLOCKWISE)):
        faces = detector(cv2.rotate(image, turn))  # type: ignore[arg-type]
        if faces:
            return [_rotate_back(face, clockwise, height, width) for face in faces]
    return []


def _rotate_back(face: Face, clockwise: bool, height: int, width: int) -> Face:
    """Maps a face of the rotated image back to the original image of `height` and `width`."""
    x, y, across, down = face.box
    u, v = face.points.T
    if clockwise:
        return Face((y, height - x - across, down, across), face.score, np.column_stack([v, height - 1 - u]))
    return Face((width - y - down, x, down, across), face.score, np.column_stack([width - 1 - v, u]))


class Points:
    """Landmarks from a CSV file: `image` (the path below the aligned folder), the eyes and optionally the nose."""

    def __init__(self, path: Path):
        self.name = f"points {path.name}"
        table = read_table(path, ("image", *_POINTS))
        names = [name for name in _POINTS if name in table.columns]
        if "image" not in table.columns or len(names) not in (4, 6):
            raise ValueError(
                f"{path}: expected the columns image, {', '.join(_POINTS)}, the last two optional; got {table.columns}"
            )
        self.points = len(names) // 2
        self.path, self.faces = path, dict[str, tuple[int, Face]]()
        for line, row in zip(table.lines, table.rows, strict=True):
            try:
                points = np.array([float(row[name]) for name in names]).reshape(-1, 2)
            except ValueError as error:
                raise ValueError(f"{path}, line {line}: expected numbers as points; got {row}") from error
            if points[0, 0] >= points[1, 0] or not _valid_points(points):
                raise ValueError(
                    f"{path}, line {line}: the left eye must be at least a pixel left of the right one; "
                    f"got {points.tolist()}"
                )
            if row["image"] in self.faces:
                raise ValueError(f"{path}, line {line}: {row['image']} occurs twice")
            low, high = points.min(0), points.max(0)
            self.faces[row["image"]] = line, Face((*low.tolist(), *(high - low).tolist()), 1.0, points)

    def of(self, image: str, width: int, height: int) -> list[Face]:
        """The face of one image of `width` x `height`; no face if the table has no row for it.

        Raises ValueError, naming the line, if the points cannot belong to this image: the middle of the eyes lies outside,
        or they are farther apart than the image is large.
        """
        if image not in self.faces:
            return []
        line, face = self.faces[image]
        x, y = face.points[:2].mean(0)
        if not (0 <= x <= width and 0 <= y <= height and _eye_distance(face.points) <= max(width, height)):
            raise ValueError(
                f"{self.path}, line {line}: expected eyes in {image}, which has {width} x {height} pixels; "
                f"got {face.points[:2].tolist()}"
            )
        return [face]


def _eye_distance(points: NDArray[np.float64]) -> float:
    """The distance between the eyes, in pixels."""
    return float(np.hypot(*(points[1] - points[0])))


def _valid_points(points: NDArray[np.float64]) -> bool:
    """Whether points [2 or 3,2] define an alignment: eyes that coincide give no rotation or scale."""
    return bool(np.isfinite(points).all()) and _eye_distance(points) >= 1


def _shrink(image: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], float]:
    """The image scaled so that its longer side is at most `longest`, and the scale (at most 1)."""
    shrink = min(1.0, longest / max(image.shape[:2]))
    if shrink == 1:
        return image, shrink
    size = [max(1, round(side * shrink)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), shrink


def _to_full_size(points: NDArray[np.float64], shrink: float) -> NDArray[np.float64]:
    """Maps points [n,2] from the shrunk to the full image: pixel i is centered at (i + 1/2) / shrink - 1/2."""
    return (points + 0.5) / shrink - 0.5


def _box(numbers: NDArray[Any]) -> tuple[float, float, float, float]:
    x, y, width, height = map(float, numbers)
    return x, y, width, height


def make_detector(yunet: Path | None) -> Detector:
    """YuNet if its file is given, else the cascades."""
    return YuNet(yunet) if yunet is not None else Cascade()


def largest(faces: list[Face]) -> Face | None:
    """The face with the largest box."""
    return max(faces, key=lambda face: face.box[2] * face.box[3], default=None)
