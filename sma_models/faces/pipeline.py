"""From images and videos to rows of predictions, in batches of bounded memory."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sma_models.data.alignment import similarity, warp
from sma_models.data.crops import Crops
from sma_models.data.images import RGBImage, read_image
from sma_models.data.prediction_columns import BOX, prediction_columns
from sma_models.faces.detect import Face
from sma_models.faces.parallel import ordered_map
from sma_models.faces.predictor import FacePredictor
from sma_models.faces.sources import Video, files_below
from sma_models.faces.tracking import Smoother, Tracker


class DetectedFace(NamedTuple):
    """One face of a frame: its crop and the transform [2,3] that made the crop (None if the input was a crop).

    detected: False for a crop of a frame in which `sma-net align` detected no face
    """

    face: Face
    crop: RGBImage
    transform: NDArray[np.float64] | None
    detected: bool = True


class FacePrediction(NamedTuple):
    """One face after the network: source, track number, probabilities [R], decisions [R], attention [R,h,w]."""

    source: DetectedFace
    number: int
    probability: NDArray[np.float64]
    on: NDArray[np.bool_]
    attention: NDArray[np.float32]


class FrameFaces(NamedTuple):
    """A frame and its faces. first: whether it is the first of its source; fps: of a video, None for an image.

    image: the frame itself; None once its faces are cropped, unless it will be annotated
    """

    source: str
    number: int
    time: float
    first: bool
    fps: float | None
    image: RGBImage | None
    faces: list[DetectedFace]


@dataclass
class Summary:
    """Counts over all sources.

    n_undetected: frames without a detected face; n_other_files: files in folders that are not images or videos by suffix
    problems:     files that could not be read completely, with the reason; empty: sources without a frame
    """

    frames: int = 0
    faces: int = 0
    n_undetected: int = 0
    n_other_files: int = 0
    problems: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


class PredictionPipeline:
    """Runs detection, alignment, the network and tracking over sources.

    detect:    returns the faces of an image; None treats images as crops
    batch:     faces per step of the network
    smoothing: time constant in seconds of the smoothed columns, or None
    annotate:  called with every frame and its predictions, or None
    """

    def __init__(
        self,
        predictor: FacePredictor,
        detect: Callable[[RGBImage], list[Face]] | None,
        workers: int = 1,
        batch: int = 32,
        smoothing: float | None = None,
        annotate: Callable[[FrameFaces, list[FacePrediction]], None] | None = None,
    ):
        self.predictor, self.detect, self.workers, self.batch = predictor, detect, workers, batch
        self.smoothing, self.annotate = smoothing, annotate
        self.summary, self._crops = Summary(), Crops()
        self._tracker, self._smoother = Tracker(), self._new_smoother()

    @property
    def columns(self) -> list[str]:
        """The keys of a row, in order."""
        return prediction_columns(self.predictor.kind, self.predictor.regions, self.smoothing is not None)

    def rows(self, sources: list[Path | int]) -> Iterator[dict[str, Any]]:
        """Yields one row per face of each frame, and one row with `found` 0 for a frame without a face."""
        pending: list[FrameFaces] = []
        for frame in ordered_map(self._detect_faces, self._frames(sources), self.workers):
            pending.append(frame)
            if max(len(pending), sum(len(each.faces) for each in pending)) >= self.batch:
                yield from self._predict(pending)
                pending = []
        yield from self._predict(pending)

    def _frames(self, sources: list[Path | int]) -> Iterator[FrameFaces]:
        for source in sources:
            name = f"camera {source}" if isinstance(source, int) else str(source)
            empty = True
            for frame in self._video(name, source) if isinstance(source, int) else self._files(source):
                empty = False
                yield frame
            if empty:
                self.summary.empty.append(name)

    def _files(self, source: Path) -> Iterator[FrameFaces]:
        files = files_below(source)
        if source.is_file() and files.others:
            self._problem(str(source), "expected the suffix of an image or a video")
        else:
            self.summary.n_other_files += len(files.others)
        for path in files.images:
            try:
                yield FrameFaces(str(path), 0, 0.0, True, None, read_image(path), [])
            except ValueError as error:
                self._problem(str(path), str(error))
        for path in files.videos:
            yield from self._video(str(path), path)

    def _video(self, name: str, source: Path | int) -> Iterator[FrameFaces]:
        count = 0
        try:
            video = Video(source)
            for count, frame in enumerate(video, 1):
                yield FrameFaces(name, frame.number, frame.time, count == 1, video.fps, frame.image, [])
        except ValueError as error:
            self._problem(name, str(error))
        else:
            if not count:
                self._problem(name, "has no frame that can be decoded")

    def _problem(self, source: str, problem: str) -> None:
        self.summary.problems.append(f"{source}: {problem}")

    def _detect_faces(self, frame: FrameFaces) -> FrameFaces:
        assert frame.image is not None
        faces = [self._crop(frame)] if self.detect is None else self._align_faces(frame.image)
        # The photographs of a batch would take gigabytes.
        return frame._replace(faces=faces, image=None if self.annotate is None else frame.image)

    def _crop(self, frame: FrameFaces) -> DetectedFace:
        assert frame.image is not None
        crop = self._crops.of(frame.source)
        return DetectedFace(_whole_image(frame.image), frame.image, None, crop is None or crop.detected)

    def _align_faces(self, image: RGBImage) -> list[DetectedFace]:
        assert self.detect is not None and self.predictor.alignment is not None
        faces = []
        for face in sorted(self.detect(image), key=lambda face: -face.box[2] * face.box[3]):
            transform = similarity(face.points, self.predictor.alignment["template"])
            faces.append(DetectedFace(face, warp(image, transform), transform))
        return faces

    def _predict(self, frames: list[FrameFaces]) -> Iterator[dict[str, Any]]:
        crops = [face.crop for frame in frames for face in frame.faces]
        outputs: Iterator[Any] = iter(())
        if crops:
            batches = [self.predictor(crops[start : start + self.batch]) for start in range(0, len(crops), self.batch)]
            outputs = iter([output for batch in batches for output in zip(*batch, strict=True)])
        for frame in frames:
            if frame.first:
                self._tracker, self._smoother = Tracker(), self._new_smoother()
            numbers = self._tracker([detected.face.box for detected in frame.faces], frame.time)
            faces = [
                FacePrediction(detected, number, *next(outputs))
                for detected, number in zip(frame.faces, numbers, strict=True)
            ]
            self.summary.frames += 1
            n_detected = sum(face.detected for face in frame.faces)
            self.summary.faces += n_detected
            self.summary.n_undetected += not n_detected
            if self.annotate is not None:
                self.annotate(frame, faces)
            start = {"source": frame.source, "frame": frame.number, "time_s": round(frame.time, 4)}
            if not faces:
                yield dict.fromkeys(self.columns) | start | {"found": 0}
            for face in faces:
                yield start | self._row(face, frame.time)

    def _row(self, face: FacePrediction, time: float) -> dict[str, Any]:
        box, score = face.source.face.box, face.source.face.score
        row: dict[str, Any] = {"face": face.number, "found": int(face.source.detected)}
        row |= dict(zip(BOX, (round(value, 2) for value in map(float, box)), strict=True))
        row["score"] = None if np.isnan(score) else round(score, 4)
        values = face.probability.tolist()
        for region, value, on in zip(self.predictor.regions, values, face.on, strict=True):
            row[region] = _rounded(value)
            if self.predictor.kind == "au":
                row[f"{region}_on"] = int(on)
        if self.predictor.kind == "expression":
            row["expression"] = self.predictor.regions[int(face.on.argmax())]
        if self._smoother is not None:
            smoothed = self._smoother(face.number, values, time)
            names = (f"{region}_smooth" for region in self.predictor.regions)
            row |= dict(zip(names, map(_rounded, smoothed), strict=True))
        return row

    def _new_smoother(self) -> Smoother | None:
        return Smoother(self.smoothing) if self.smoothing is not None else None


def _rounded(probability: float) -> float:
    """Rounds to five digits of the distance from 0 or 1, whichever is nearer, so that confident values keep their order."""
    distance = min(probability, 1 - probability)
    return round(probability, 4 - math.floor(math.log10(distance))) if distance > 0 else probability


def _whole_image(image: RGBImage) -> Face:
    """A face that covers the whole image, without a score."""
    height, width = image.shape[:2]
    return Face((0.0, 0.0, float(width), float(height)), float("nan"), np.empty((0, 2)))
