"""Pictures and videos to rows: faces found, aligned, numbered and read, holding no more than a batch at a time."""

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


class Seen(NamedTuple):
    """One face of a frame: where it is, its crop and the transform [2,3] that made it (None of a crop as given).

    found: False for a crop of a frame in which `sma-net align` found no face
    """

    face: Face
    crop: RGBImage
    transform: NDArray[np.float64] | None
    found: bool = True


class Read(NamedTuple):
    """One face after the network: seen, number, probabilities [R], decisions [R], attention [R,h,w]."""

    seen: Seen
    number: int
    probability: NDArray[np.float64]
    on: NDArray[np.bool_]
    attention: NDArray[np.float32]


class Shot(NamedTuple):
    """A frame and its faces. first: whether it is the first of its source; fps of a video, None of a picture.

    image: the frame's picture; None once its faces are cut out, unless it will be drawn on
    """

    source: str
    number: int
    time: float
    first: bool
    fps: float | None
    image: RGBImage | None
    faces: list[Seen]


@dataclass
class Totals:
    """What was read, and how many files of folders are no pictures or videos by suffix.

    problems: files that could not be read, or not whole, and why; empty: sources that gave no frame
    """

    frames: int = 0
    faces: int = 0
    without: int = 0
    others: int = 0
    problems: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


class PredictionPipeline:
    """Reads sources with a network.

    detect: faces of a picture; None takes pictures as crops
    smooth: time constant in seconds of smoothed columns, or None
    draw:   called with every frame and its faces, or None
    """

    def __init__(
        self,
        reader: FacePredictor,
        detect: Callable[[RGBImage], list[Face]] | None,
        workers: int = 1,
        batch: int = 32,
        smooth: float | None = None,
        draw: Callable[[Shot, list[Read]], None] | None = None,
    ):
        self.reader, self.detect, self.workers, self.batch = reader, detect, workers, batch
        self.smooth, self.draw = smooth, draw
        self.totals, self._crops = Totals(), Crops()
        self._tracker, self._smoother = Tracker(), self._new_smoother()

    @property
    def columns(self) -> list[str]:
        """The keys of a row, in order."""
        return prediction_columns(self.reader.kind, self.reader.regions, self.smooth is not None)

    def rows(self, sources: list[Path | int]) -> Iterator[dict[str, Any]]:
        """One row a face and frame, as they become known; a frame without a face has one with found = 0."""
        waiting: list[Shot] = []
        for shot in ordered_map(self._look, self._frames(sources), self.workers):
            waiting.append(shot)
            if max(len(waiting), sum(len(one.faces) for one in waiting)) >= self.batch:
                yield from self._read(waiting)
                waiting = []
        yield from self._read(waiting)

    def _frames(self, sources: list[Path | int]) -> Iterator[Shot]:
        for source in sources:
            name = f"camera {source}" if isinstance(source, int) else str(source)
            empty = True
            for shot in self._video(name, source) if isinstance(source, int) else self._files(source):
                empty = False
                yield shot
            if empty:
                self.totals.empty.append(name)

    def _files(self, source: Path) -> Iterator[Shot]:
        files = files_below(source)
        if source.is_file() and files.others:
            self._problem(str(source), "expected a picture or a video by its suffix")
        else:
            self.totals.others += len(files.others)
        for path in files.pictures:
            try:
                yield Shot(str(path), 0, 0.0, True, None, read_image(path), [])
            except ValueError as error:
                self._problem(str(path), str(error))
        for path in files.videos:
            yield from self._video(str(path), path)

    def _video(self, name: str, source: Path | int) -> Iterator[Shot]:
        count = 0
        try:
            video = Video(source)
            for count, frame in enumerate(video, 1):
                yield Shot(name, frame.number, frame.time, count == 1, video.fps, frame.image, [])
        except ValueError as error:
            self._problem(name, str(error))
        else:
            if not count:
                self._problem(name, "has no frame that can be decoded")

    def _problem(self, source: str, problem: str) -> None:
        self.totals.problems.append(f"{source}: {problem}")

    def _look(self, shot: Shot) -> Shot:
        assert shot.image is not None
        faces = [self._crop(shot)] if self.detect is None else self._cut_out(shot.image)
        # Photographs of a batch would be gigabytes.
        return shot._replace(faces=faces, image=None if self.draw is None else shot.image)

    def _crop(self, shot: Shot) -> Seen:
        assert shot.image is not None
        crop = self._crops.of(shot.source)
        return Seen(_whole(shot.image), shot.image, None, crop is None or crop.found)

    def _cut_out(self, image: RGBImage) -> list[Seen]:
        assert self.detect is not None and self.reader.alignment is not None
        faces = []
        for face in sorted(self.detect(image), key=lambda face: -face.box[2] * face.box[3]):
            transform = similarity(face.points, self.reader.alignment["template"])
            faces.append(Seen(face, warp(image, transform), transform))
        return faces

    def _read(self, shots: list[Shot]) -> Iterator[dict[str, Any]]:
        crops = [seen.crop for shot in shots for seen in shot.faces]
        answers: Iterator[Any] = iter(())
        if crops:
            parts = [self.reader(crops[start : start + self.batch]) for start in range(0, len(crops), self.batch)]
            answers = iter([face for part in parts for face in zip(*part, strict=True)])
        for shot in shots:
            if shot.first:
                self._tracker, self._smoother = Tracker(), self._new_smoother()
            numbers = self._tracker([seen.face.box for seen in shot.faces], shot.time)
            faces = [Read(s, number, *next(answers)) for s, number in zip(shot.faces, numbers, strict=True)]
            self.totals.frames += 1
            count = sum(seen.found for seen in shot.faces)
            self.totals.faces += count
            self.totals.without += not count
            if self.draw is not None:
                self.draw(shot, faces)
            start = {"source": shot.source, "frame": shot.number, "time_s": round(shot.time, 4)}
            if not faces:
                yield dict.fromkeys(self.columns) | start | {"found": 0}
            for face in faces:
                yield start | self._row(face, shot.time)

    def _row(self, face: Read, time: float) -> dict[str, Any]:
        score = face.seen.face.score
        row: dict[str, Any] = {"face": face.number, "found": int(face.seen.found)}
        row |= dict(zip(BOX, (round(value, 2) for value in map(float, face.seen.face.box)), strict=True))
        row["score"] = None if np.isnan(score) else round(score, 4)
        values = face.probability.tolist()
        for region, value, on in zip(self.reader.regions, values, face.on, strict=True):
            row[region] = _rounded(value)
            if self.reader.kind == "au":
                row[f"{region}_on"] = int(on)
        if self.reader.kind == "expression":
            row["expression"] = self.reader.regions[int(face.on.argmax())]
        if self._smoother is not None:
            smooth = self._smoother(face.number, values, time)
            names = (f"{region}_smooth" for region in self.reader.regions)
            row |= dict(zip(names, map(_rounded, smooth), strict=True))
        return row

    def _new_smoother(self) -> Smoother | None:
        return Smoother(self.smooth) if self.smooth is not None else None


def _rounded(probability: float) -> float:
    """To five digits of its distance from 0 or 1, whichever is nearer: rows of a confident network keep their order."""
    distance = min(probability, 1 - probability)
    return round(probability, 4 - math.floor(math.log10(distance))) if distance > 0 else probability


def _whole(image: RGBImage) -> Face:
    """A crop as a face: all of it, without a score."""
    height, width = image.shape[:2]
    return Face((0.0, 0.0, float(width), float(height)), float("nan"), np.empty((0, 2)))
