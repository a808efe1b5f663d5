"""Faces in a picture with the points they are aligned by: by a neural detector, by cascades, or from a table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sma_models.utils.text_files import read_table

# Pictures are shrunk to this before faces are looked for. A cascade takes seconds for larger ones, and finds faces from 24
# pixels on; YuNet is made for faces of 10 to 300 pixels, so that a face that fills a photograph must become smaller.
_LONGEST_CASCADE, _LONGEST_YUNET = 960, 640
_SMALLEST = 24
_POINTS = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "nose_x", "nose_y")


class Face(NamedTuple):
    """box: x, y, width, height; score: the detector's own, higher is surer; points: [2 or 3,2], the left eye in the
    picture, the right one, and the tip of the nose where the detector knows it."""

    box: tuple[float, float, float, float]
    score: float
    points: NDArray[np.float64]


class Detector(Protocol):
    """name: what crops note of it; points: how many a face has, 2 or 3.

    Called with uint8 RGB [H,W,3]; no instance may be used by two threads at once.
    """

    name: str
    points: int

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]: ...


class YuNet:
    """OpenCV's YuNet; path: its ONNX file, which OpenCV's model zoo has. FileNotFoundError or ValueError if it is none."""

    points = 3

    def __init__(self, path: Path):
        if not path.is_file():
            raise FileNotFoundError(f"there is no YuNet model {path}")
        try:
            self.network = cv2.FaceDetectorYN.create(str(path), "", (320, 320))
            # Other networks load as well: only a run shows whether this one has YuNet's outputs.
            self(np.zeros((32, 32, 3), np.uint8))
        except cv2.error as error:
            raise ValueError(f"{path} is no YuNet model: {error}") from error
        self.name = f"yunet {path.name}"

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        small, shrink = _shrunk(image, _LONGEST_YUNET)
        self.network.setInputSize((small.shape[1], small.shape[0]))
        _, rows = self.network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        # A row: the box, then the eyes (the person's right one, which is left in the picture, first), nose, mouth, score.
        faces = [
            Face(_box(row[:4] / shrink), float(row[14]), _enlarged(np.float64(row[4:10]).reshape(3, 2), shrink))
            for row in (rows if rows is not None else ())
        ]
        return [face for face in faces if _sound(face.points)]


class Cascade:
    """The cascades that ship with OpenCV below 5: upright frontal faces with both eyes, others are not found.

    FileNotFoundError if this OpenCV has none.
    """

    name = "cascade"
    points = 2

    def __init__(self) -> None:
        if not hasattr(cv2, "CascadeClassifier"):
            raise FileNotFoundError(
                f"OpenCV {cv2.__version__} has no face cascades: install 'opencv-python<5', or use YuNet "
                "(--yunet with its ONNX file), which needs none"
            )
        # The first cascade of eyes places drawn ones to 0.04 of the distance between them, the others to 0.12; these
        # see closed eyes as well, and are asked where the first sees none.
        self.faces, *self.eyes = (
            cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / f"haarcascade_{name}.xml"))
            for name in ("frontalface_alt2", "eye", "lefteye_2splits", "righteye_2splits")
        )

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        grey, shrink = _shrunk(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _LONGEST_CASCADE)
        boxes, _, weights = self.faces.detectMultiScale3(
            cv2.equalizeHist(grey), 1.1, 4, minSize=(_SMALLEST, _SMALLEST), outputRejectLevels=True
        )
        found = []
        for box, weight in zip(np.asarray(boxes), np.ravel(weights), strict=True):
            points = self._eyes(grey, *box.tolist())
            if points is not None:
                found.append(Face(_box(box / shrink), float(weight), _enlarged(points, shrink)))
        return found

    def _eyes(self, grey: NDArray[np.uint8], x: int, y: int, width: int, height: int) -> NDArray[np.float64] | None:
        """Centres [2,2] of the two eyes of a face, or None if one is not seen."""
        top, bottom = y + round(0.18 * height), y + round(0.58 * height)
        points = []
        for start, end in ((0.04, 0.5), (0.5, 0.96)):
            left = x + round(start * width)
            part: NDArray[Any] = grey[top:bottom, left : x + round(end * width)]
            # The cascades were trained on eyes of 20 pixels, which a small face does not have.
            scale = max(1.0, 80 / max(1, part.shape[1]))
            part = cv2.equalizeHist(cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR))
            eye = next(filter(lambda found: found is not None, (self._best(c, part) for c in self.eyes)), None)
            if eye is None:
                return None
            points.append((eye + 0.5) / scale - 0.5 + (left, top))
        return np.array(points)

    @staticmethod
    def _best(cascade: "cv2.CascadeClassifier", part: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """The middle [2] of what this cascade is surest of."""
        least = round(0.35 * part.shape[1])
        boxes, _, weights = cascade.detectMultiScale3(part, 1.05, 3, minSize=(least, least), outputRejectLevels=True)
        if not len(boxes):
            return None
        x, y, width, height = boxes[int(np.argmax(weights))]
        return np.array([x + (width - 1) / 2, y + (height - 1) / 2])


def on_their_side(detector: Callable[[NDArray[np.uint8]], list[Face]], image: NDArray[np.uint8]) -> list[Face]:
    """Faces that are upright only once a picture is turned by a quarter, clockwise or else the other way.

    Boxes and points are those of the picture as it lies; the left eye is the left one of the upright face.
    """
    height, width = image.shape[:2]
    for clockwise, turn in ((True, cv2.ROTATE_90_CLOCKWISE), (False, cv2.ROTATE_90_COUNTERCLOCKWISE)):
        faces = detector(cv2.rotate(image, turn))  # type: ignore[arg-type]
        if faces:
            return [_turned_back(face, clockwise, height, width) for face in faces]
    return []


def _turned_back(face: Face, clockwise: bool, height: int, width: int) -> Face:
    """A face of a picture that was turned in the one of `height` and `width` before."""
    x, y, across, down = face.box
    u, v = face.points.T
    if clockwise:
        return Face((y, height - x - across, down, across), face.score, np.column_stack([v, height - 1 - u]))
    return Face((width - y - down, x, down, across), face.score, np.column_stack([width - 1 - v, u]))


class Points:
    """Points that a CSV file lists: `image` (the path below the folder that is aligned), the eyes and perhaps the nose."""

    def __init__(self, path: Path):
        self.name = f"points {path.name}"
        table = read_table(path, ("image", *_POINTS))
        names = [name for name in _POINTS if name in table.columns]
        if "image" not in table.columns or len(names) not in (4, 6):
            raise ValueError(
                f"{path}: expected the columns image, {', '.join(_POINTS)}, the nose or not; got {table.columns}"
            )
        self.points = len(names) // 2
        self.path, self.faces = path, dict[str, tuple[int, Face]]()
        for line, row in zip(table.lines, table.rows, strict=True):
            try:
                points = np.array([float(row[name]) for name in names]).reshape(-1, 2)
            except ValueError as error:
                raise ValueError(f"{path}, line {line}: expected numbers as points; got {row}") from error
            if points[0, 0] >= points[1, 0] or not _sound(points):
                raise ValueError(
                    f"{path}, line {line}: the left eye must be left in the picture, by a pixel or more; "
                    f"got {points.tolist()}"
                )
            if row["image"] in self.faces:
                raise ValueError(f"{path}, line {line}: {row['image']} is there twice")
            low, high = points.min(0), points.max(0)
            self.faces[row["image"]] = line, Face((*low.tolist(), *(high - low).tolist()), 1.0, points)

    def of(self, image: str, width: int, height: int) -> list[Face]:
        """The face of one picture of `width` x `height`, or none if the table has no row of it.

        ValueError that names the line if it is a face of another picture: between its eyes there is nothing, or they are
        further apart than the picture is large.
        """
        if image not in self.faces:
            return []
        line, face = self.faces[image]
        x, y = face.points[:2].mean(0)
        if not (0 <= x <= width and 0 <= y <= height and _apart(face.points) <= max(width, height)):
            raise ValueError(
                f"{self.path}, line {line}: expected eyes in {image}, which has {width} x {height} pixels; "
                f"got {face.points[:2].tolist()}"
            )
        return [face]


def _apart(points: NDArray[np.float64]) -> float:
    """How far the eyes of a face are from each other, in pixels."""
    return float(np.hypot(*(points[1] - points[0])))


def _sound(points: NDArray[np.float64]) -> bool:
    """Whether a face can be aligned by its points [2 or 3,2]: nothing turns or scales eyes that coincide."""
    return bool(np.isfinite(points).all()) and _apart(points) >= 1


def _shrunk(image: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], float]:
    """A picture whose longer side is at most `longest`, and by how much it was shrunk."""
    shrink = min(1.0, longest / max(image.shape[:2]))
    if shrink == 1:
        return image, shrink
    size = [max(1, round(side * shrink)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), shrink


def _enlarged(points: NDArray[np.float64], shrink: float) -> NDArray[np.float64]:
    """Points [n,2] of a shrunk picture in the large one: pixel i has its centre at (i + 1/2) / shrink - 1/2 of it."""
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
