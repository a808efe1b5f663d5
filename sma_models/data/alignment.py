"""Where the eyes of an aligned face lie, and the picture that shows them there."""

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
# Left is left in the picture. The corners of the mouth are no landmarks: action units move them.
EYES = ((94.0, 86.0), (162.0, 86.0))
TEMPLATES = {"eyes": EYES, "eyes_nose": (*EYES, (128.0, 125.0))}
FACTS, ROWS = "alignment.json", "alignment.csv"


@dataclass(frozen=True)
class Alignment:
    """How the pictures of a folder were aligned.

    template: one of `TEMPLATES`
    detector: where the points came from
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
        """What `sma-net align` noted in a folder of crops, or None: the pictures were made elsewhere.

        ValueError that names the file if it says something else.
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
    """ValueError unless both are aligned by the same template and size; the detector may be another."""
    theirs, ours = ((facts["template"], facts["size"]) if facts else ("none",) for facts in (checkpoint, data))
    if theirs != ours:
        raise ValueError(f"the checkpoint was trained on faces aligned by {theirs}; these faces are aligned by {ours}")


class _HasPoints(Protocol):
    name: str
    points: int


def enough_points(template: str, detector: _HasPoints) -> None:
    """ValueError if the faces of a detector have fewer points than a template needs."""
    if detector.points < len(TEMPLATES[template]):
        raise ValueError(
            f"template {template!r} needs {len(TEMPLATES[template])} points of a face; {detector.name} gives "
            f"{detector.points} (YuNet gives 3)"
        )


def similarity(points: NDArray[np.float64], template: str) -> NDArray[np.float64]:
    """The turn, scale and shift [2,3] that brings `points` [2 or 3,2] nearest to the template, in least squares.

    Points and template count pixels from the centre of the first one. ValueError if the points coincide.
    """
    target = np.array(TEMPLATES[template])
    if len(points) < len(target):
        raise ValueError(f"template {template!r} needs {len(target)} points of a face; got {len(points)}")
    # A similarity of the plane is z -> a·z + b over the complex numbers.
    z, w = (np.asarray(p, np.float64)[: len(target)] @ (1, 1j) for p in (points, target))
    spread = z - z.mean()
    if np.abs(spread).max() < 1e-6:
        raise ValueError(f"the points of a face must differ; got {np.asarray(points).tolist()}")
    a = np.vdot(spread, w - w.mean()) / np.vdot(spread, spread)
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def centre_crop(height: int, width: int) -> NDArray[np.float64]:
    """The transform [2,3] of the largest square in the middle of a picture."""
    scale = SIZE / min(height, width)
    # Pixel i covers i - 1/2 to i + 1/2, so that the middle of the picture lies at (width - 1) / 2.
    shift = (SIZE - 1) / 2 - scale * (np.array([width, height]) - 1) / 2
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def warp(image: NDArray[np.uint8], transform: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The aligned crop, uint8 [256,256,3]: averaged over areas when it shrinks, grey beyond the picture."""
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    if scale < 1:
        height, width = image.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        ratio = np.array([width / small[0], height / small[1]])
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        # Pixel u of the small picture has its centre at ratio·(u + 1/2) - 1/2 of the large one.
        linear = transform[:, :2] * ratio
        transform = np.column_stack([linear, transform[:, :2] @ (ratio / 2 - 0.5) + transform[:, 2]])
    return cv2.warpAffine(  # type: ignore[return-value]
        image, transform, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=BORDER
    )
