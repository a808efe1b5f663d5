"""Face alignment: landmark templates and the similarity warp."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sma_models.utils.text_files import read_json

SIZE = 256
BORDER = (128, 128, 128)
# Left is left in the image. Mouth corners are not used, since action units move them.
EYES = ((94.0, 86.0), (162.0, 86.0))
TEMPLATES = {"eyes": EYES, "eyes_nose": (*EYES, (128.0, 125.0))}
FACTS, ROWS = "alignment.json", "alignment.csv"


@dataclass(frozen=True)
class Alignment:
    """How the images in a folder were aligned.

    template: one of `TEMPLATES`
    detector: the source of the landmarks
    size:     width and height of the crops
    """

    template: str
    detector: str
    size: int = SIZE

    def __post_init__(self) -> None:
        if self.template not in TEMPLATES:
            raise ValueError(f"template must be one of {', '.join(TEMPLATES)}; got {self.template!r}")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of_folder(folder: Path) -> "Alignment | None":
        """The settings that `sma-net align` stored in a folder of crops; None if it did not create the folder.

        Raises ValueError, naming the file, if its content is not such settings.
        """
        path = folder / FACTS
        if not path.is_file():
            return None
        facts = read_json(path)
        try:
            return Alignment(**facts)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected the settings of `sma-net align`; {error}") from error


def check_same_alignment(checkpoint: Mapping[str, Any] | None, data: Mapping[str, Any] | None) -> None:
    """Raises ValueError unless both were aligned with the same template and size; detectors may differ."""
    trained_on, these = ((facts["template"], facts["size"]) if facts else ("none",) for facts in (checkpoint, data))
    if trained_on != these:
        raise ValueError(
            f"the checkpoint was trained on faces aligned by {trained_on}; these faces are aligned by {these}"
        )


class _HasPoints(Protocol):
    name: str
    points: int


def check_enough_points(template: str, detector: _HasPoints) -> None:
    """Raises ValueError if a detector returns fewer points per face than a template needs."""
    if detector.points < len(TEMPLATES[template]):
        raise ValueError(
            f"template {template!r} needs {len(TEMPLATES[template])} points per face; {detector.name} gives "
            f"{detector.points} (YuNet gives 3)"
        )


def similarity(points: NDArray[np.float64], template: str) -> NDArray[np.float64]:
    """The similarity transform [2,3] that maps `points` [2 or 3,2] onto the template, in least squares.

    Coordinates are in pixels, with 0 at the center of the first pixel. Raises ValueError if the points coincide.
    """
    target = np.array(TEMPLATES[template])
    if len(points) < len(target):
        raise ValueError(f"template {template!r} needs {len(target)} points per face; got {len(points)}")
    # A similarity of the plane is z -> a·z + b over the complex numbers.
    z, w = (np.asarray(p, np.float64)[: len(target)] @ (1, 1j) for p in (points, target))
    centered = z - z.mean()
    if np.abs(centered).max() < 1e-6:
        raise ValueError(f"the points of a face must differ; got {np.asarray(points).tolist()}")
    a = np.vdot(centered, w - w.mean()) / np.vdot(centered, centered)
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def center_crop(height: int, width: int) -> NDArray[np.float64]:
    """The transform [2,3] of the largest square in the middle of an image."""
    scale = SIZE / min(height, width)
    # Pixel i covers i - 1/2 to i + 1/2, so the middle of the image is at (width - 1) / 2.
    shift = (SIZE - 1) / 2 - scale * (np.array([width, height]) - 1) / 2
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def warp(image: NDArray[np.uint8], transform: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The aligned crop, uint8 [256,256,3]: area averaging when it shrinks, gray outside the image."""
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    if scale < 1:
        height, width = image.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        ratio = np.array([width / small[0], height / small[1]])
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        # The center of pixel u of the small image is at ratio·(u + 1/2) - 1/2 in the large one.
        linear = transform[:, :2] * ratio
        transform = np.column_stack([linear, transform[:, :2] @ (ratio / 2 - 0.5) + transform[:, 2]])
    return cv2.warpAffine(  # type: ignore[return-value]
        image, transform, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=BORDER
    )
