"""Images and videos annotated with predictions."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sma_models.data.alignment import SIZE
from sma_models.data.images import RGBImage
from sma_models.faces.overlay import draw_box, overlay_heatmap
from sma_models.faces.pipeline import FacePrediction, FrameFaces
from sma_models.faces.predictor import FacePredictor
from sma_models.faces.sources import UniqueNames, write_image

_HEATMAP_OPACITY = 0.45
_DEFAULT_FPS = 25.0  # for cameras and containers without a frame rate


class Annotator:
    """Writes annotated images and videos into a folder: boxes, active regions and their attention."""

    def __init__(self, folder: Path, predictor: FacePredictor):
        self.folder, self.predictor = folder, predictor
        self._writer: cv2.VideoWriter | None = None
        self._unique_name = UniqueNames()

    def __call__(self, frame: FrameFaces, faces: list[FacePrediction]) -> None:
        image = frame.image
        assert image is not None
        for face in faces:
            image = self._overlay(image, face)
        for face in faces:
            image = self._text(draw_box(image, face.source.face.box), face)
        if frame.fps is None:
            write_image(self.folder / self._unique_name(Path(frame.source).stem, ".png"), image)
            return
        if frame.first:
            self.close()
            self.folder.mkdir(parents=True, exist_ok=True)
            path, (height, width) = self.folder / self._unique_name(Path(frame.source).stem, ".avi"), image.shape[:2]
            code = cv2.VideoWriter.fourcc(*"MJPG")
            self._writer = cv2.VideoWriter(str(path), code, frame.fps or _DEFAULT_FPS, (width, height))
            if not self._writer.isOpened():
                raise OSError(f"cannot write the video {path}")
        assert self._writer is not None
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Closes the video in progress."""
        if self._writer is not None:
            self._writer.release()
        self._writer = None

    def _overlay(self, image: RGBImage, face: FacePrediction) -> RGBImage:
        """Blends the attention of the active regions, or of the most probable one, into the image."""
        regions = np.flatnonzero(face.on) if face.on.any() else [face.probability.argmax()]
        heatmap: Any = self.predictor.heatmap(face.attention[regions].max(0))
        height, width = image.shape[:2]
        transform = face.source.transform
        if transform is None:
            transform = np.array([[SIZE / width, 0, 0], [0, SIZE / height, 0]])
        heatmap = cv2.warpAffine(heatmap, transform, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return overlay_heatmap(image, heatmap, _HEATMAP_OPACITY)

    def _text(self, image: NDArray[np.uint8], face: FacePrediction) -> NDArray[np.uint8]:
        names = [name for name, on in zip(self.predictor.regions, face.on, strict=True) if on]
        x, y, _, height = face.source.face.box
        scale = max(0.35, image.shape[1] / 1500)
        for row, line in enumerate([f"face {face.number}", *_lines(names)]):
            origin = (round(x) + 2, min(round(y + height), image.shape[0]) - 4 - round(row * 34 * scale))
            for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.putText(image, line, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness, cv2.LINE_AA)
        return image


def _lines(names: list[str], per_line: int = 4) -> list[str]:
    return [" ".join(names[start : start + per_line]) for start in range(0, len(names), per_line)]
