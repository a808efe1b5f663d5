"""Pictures and videos with what was read of their faces."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sma_models.data.alignment import SIZE
from sma_models.data.images import RGBImage
from sma_models.faces.overlay import draw_box, lay_over
from sma_models.faces.pipeline import Read, Shot
from sma_models.faces.predictor import FacePredictor
from sma_models.faces.sources import FreeNames, write_image

_STRENGTH = 0.45
_USUAL_FPS = 25.0  # of a camera or a container that does not say


class Annotator:
    """Writes annotated pictures and videos into a folder: boxes, what is on, and where the network looked for it."""

    def __init__(self, folder: Path, reader: FacePredictor):
        self.folder, self.reader = folder, reader
        self._writer: cv2.VideoWriter | None = None
        self._name = FreeNames()

    def __call__(self, shot: Shot, faces: list[Read]) -> None:
        image = shot.image
        assert image is not None
        for face in faces:
            image = self._overlay(image, face)
        for face in faces:
            image = self._text(draw_box(image, face.seen.face.box), face)
        if shot.fps is None:
            write_image(self.folder / self._name(Path(shot.source).stem, ".png"), image)
            return
        if shot.first:
            self.close()
            self.folder.mkdir(parents=True, exist_ok=True)
            path, (height, width) = self.folder / self._name(Path(shot.source).stem, ".avi"), image.shape[:2]
            code = cv2.VideoWriter.fourcc(*"MJPG")
            self._writer = cv2.VideoWriter(str(path), code, shot.fps or _USUAL_FPS, (width, height))
            if not self._writer.isOpened():
                raise OSError(f"cannot write the video {path}")
        assert self._writer is not None
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the video that is being written."""
        if self._writer is not None:
            self._writer.release()
        self._writer = None

    def _overlay(self, image: RGBImage, face: Read) -> RGBImage:
        """Attention of the regions that are on, or of the likeliest one, brought back into the picture."""
        shown = np.flatnonzero(face.on) if face.on.any() else [face.probability.argmax()]
        heat: Any = self.reader.heat(face.attention[shown].max(0))
        height, width = image.shape[:2]
        transform = face.seen.transform
        if transform is None:
            transform = np.array([[SIZE / width, 0, 0], [0, SIZE / height, 0]])
        heat = cv2.warpAffine(heat, transform, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return lay_over(image, heat, _STRENGTH)

    def _text(self, image: NDArray[np.uint8], face: Read) -> NDArray[np.uint8]:
        names = [name for name, on in zip(self.reader.regions, face.on, strict=True) if on]
        x, y, _, height = face.seen.face.box
        scale = max(0.35, image.shape[1] / 1500)
        for row, line in enumerate([f"face {face.number}", *_lines(names)]):
            place = (round(x) + 2, min(round(y + height), image.shape[0]) - 4 - round(row * 34 * scale))
            for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.putText(image, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
        return image


def _lines(names: list[str], across: int = 4) -> list[str]:
    return [" ".join(names[start : start + across]) for start in range(0, len(names), across)]
