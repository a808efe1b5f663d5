"""Folders and videos to folders of aligned crops: first points of every frame, then crops of every frame."""

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sma_models.data.alignment import FACTS, ROWS, Alignment, enough_points, warp
from sma_models.data.alignment_table import COLUMNS, Row, Transforms, read_rows
from sma_models.data.images import RGBImage, frame_number, read_image
from sma_models.faces.detect import Face, Points, largest, on_their_side
from sma_models.faces.parallel import SharedDetector, ordered_map
from sma_models.faces.sources import Video, files_below, write_image

SHOWN = 20  # problems that a report names


@dataclass(frozen=True)
class Job:
    """One picture, or one video (frame is then None)."""

    path: Path
    source: str
    sequence: str
    frame: int | None


@dataclass
class Report:
    """What became of the frames: counts by outcome, and the first `SHOWN` frames with a problem."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Count one frame."""
        outcome = "unreadable" if row["problem"] else "aligned" if row["found"] == "1" else "no face"
        self.counts[outcome] += 1
        if outcome != "aligned" and len(self.problems) < SHOWN:
            self.problems.append(row)


class Aligner:
    """Aligns what lies below `source` into the folder `out`.

    template: see `alignment`; detector: of faces, or a table of points
    unrelated: the pictures of a folder do not follow each other, so that none borrows another's transform
    """

    def __init__(
        self, source: Path, out: Path, template: str, detector: SharedDetector | Points, workers: int, unrelated: bool
    ):
        self.source, self.out, self.template = source, out, template
        self.detector, self.workers, self.unrelated = detector, workers, unrelated
        enough_points(template, detector)
        self.top = source if source.is_dir() else source.parent
        self.facts = Alignment(template, detector.name)
        self.jobs = list(self._jobs())

    def run(self, progress: Callable[[Iterable[Any], str, int | None], Iterable[Any]]) -> Report:
        """Align everything that is not yet there. progress(items, what, total or None) passes items through."""
        self._claim()
        self._find(progress)
        transforms = Transforms(self._rows(), self.template)
        self._crop_pictures(transforms, progress)
        self._crop_videos(transforms, progress)
        report = Report()
        for row in self._rows():
            report.add(row)
        return report

    def _rows(self) -> Iterator[Row]:
        return read_rows(self.out / ROWS)

    def _jobs(self) -> Iterator[Job]:
        # Crops inside a folder of pictures would be aligned again by the next run.
        inside = self.source.is_dir() and self.out.resolve().is_relative_to(self.top.resolve())
        if inside or self.out.resolve() == self.top.resolve():
            raise ValueError(f"out must lie outside of the pictures' folder {self.top}; got {self.out}")
        files = files_below(self.source)
        crops: dict[Path, Path] = {}
        for path in (*files.pictures, *files.videos):
            place = path.relative_to(self.top)
            video = path in files.videos
            crop = place.with_suffix("" if video else ".jpg")
            if crop in crops:
                raise ValueError(f"{crops[crop]} and {path} would both become {self.out / crop}")
            crops[crop] = path
            sequence = crop if video else place.parent
            number = None if self.unrelated else frame_number(path.stem)
            frame = None if video else number if number is not None else -1
            yield Job(path, place.as_posix(), sequence.as_posix(), frame)
        if not crops:
            raise ValueError(f"{self.source}: expected pictures or videos; got neither")

    def _claim(self) -> None:
        """Note the settings in the folder, or compare them with those that it was begun with."""
        begun = Alignment.of_folder(self.out)
        if begun is not None and begun != self.facts:
            raise ValueError(
                f"{self.out} was begun with {begun.as_dict()}; expected the same, got {self.facts.as_dict()}"
            )
        self.out.mkdir(parents=True, exist_ok=True)
        if begun is None:
            (self.out / FACTS).write_text(json.dumps(self.facts.as_dict(), indent=1) + "\n", encoding="utf-8")

    def _find(self, progress: Callable[..., Iterable[Any]]) -> None:
        last = self._keep_whole_rows()
        with (self.out / ROWS).open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            pictures = [job for job in self.jobs if job.frame is not None and job.source not in last]
            found = ordered_map(self._of_picture, pictures, self.workers)
            for row in progress(found, "finding faces", len(pictures)):
                writer.writerow(row)
                file.flush()
            for job in (job for job in self.jobs if job.frame is None):
                begun = last.get(job.source, "-1")
                # An empty number is that of a video that could not be read.
                rows = self._of_video(job, int(begun) + 1) if begun else ()
                for row in progress(rows, f"finding faces in {job.source}", None):
                    writer.writerow(row)
                    file.flush()

    def _keep_whole_rows(self) -> dict[str, str]:
        """Write the report anew without a row that was cut off; returns the last frame that it has of each source."""
        last: dict[str, str] = {}
        part = self.out / f"{ROWS}.part"
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for row in self._rows():
                writer.writerow(row)
                last[row["source"]] = row["frame"]
        os.replace(part, self.out / ROWS)
        return last

    def _of_picture(self, job: Job) -> Row:
        assert job.frame is not None
        try:
            image = read_image(job.path)
        except ValueError as error:
            return _problem(job, str(job.frame), str(error))
        return self._row(job, job.frame, image)

    def _of_video(self, job: Job, start: int) -> Iterator[Row]:
        if isinstance(self.detector, Points):
            raise ValueError(f"{job.source}: points from a table are of pictures; expected no video")
        try:
            frames = (frame for frame in Video(job.path) if frame.number >= start)
            yield from ordered_map(lambda frame: self._row(job, frame.number, frame.image), frames, self.workers)
        except ValueError as error:
            yield _problem(job, "", str(error))

    def _row(self, job: Job, number: int, image: RGBImage) -> Row:
        crop = (
            f"{job.sequence}/{number:05d}.jpg" if job.frame is None else Path(job.source).with_suffix(".jpg").as_posix()
        )
        faces, turned = self._faces(job, image)
        face = largest(faces)
        row = dict.fromkeys(COLUMNS, "") | {"crop": crop, "source": job.source, "frame": str(number)}
        row |= {"sequence": job.sequence, "found": str(int(face is not None)), "faces": str(len(faces))}
        return row | (
            _cells(face) | {"turned": str(int(turned))} if face else {"points": f"{image.shape[1]}x{image.shape[0]}"}
        )

    def _faces(self, job: Job, image: RGBImage) -> tuple[list[Face], bool]:
        """The faces of a picture, and whether it lies on its side."""
        if isinstance(self.detector, Points):
            return self.detector.of(job.source, image.shape[1], image.shape[0]), False
        faces = self.detector(image)
        # Some sessions of MMI are recorded sideways; elsewhere turning would only find what is no face.
        if faces or not any((folder / "session.xml").is_file() for folder in job.path.parents[:2]):
            return faces, False
        faces = on_their_side(self.detector, image)
        return faces, bool(faces)

    def _wanted(self, row: Row, transforms: Transforms) -> NDArray[np.float64] | None:
        """The transform of a row whose crop is still to be written."""
        return None if row["problem"] or (self.out / row["crop"]).is_file() else transforms.of(row)

    def _crop_pictures(self, transforms: Transforms, progress: Callable[..., Iterable[Any]]) -> None:
        jobs = {job.source: job for job in self.jobs if job.frame is not None}

        def write(row: Row) -> None:
            transform = self._wanted(row, transforms)
            if transform is not None:
                write_image(self.out / row["crop"], warp(read_image(jobs[row["source"]].path), transform))

        rows = (row for row in self._rows() if row["source"] in jobs)
        for _ in progress(ordered_map(write, rows, self.workers), "writing crops", len(jobs)):
            pass

    def _crop_videos(self, transforms: Transforms, progress: Callable[..., Iterable[Any]]) -> None:
        jobs = {job.source: job for job in self.jobs if job.frame is None}

        def write(item: tuple[Row, NDArray[np.float64], RGBImage]) -> None:
            row, transform, image = item
            write_image(self.out / row["crop"], warp(image, transform))

        for source, rows in groupby(self._rows(), key=lambda row: row["source"]):
            if source in jobs:
                written = ordered_map(write, self._frames(jobs[source], rows, transforms), self.workers)
                for _ in progress(written, f"writing crops of {source}", None):
                    pass

    def _frames(
        self, job: Job, rows: Iterator[Row], transforms: Transforms
    ) -> Iterator[tuple[Row, NDArray[np.float64], RGBImage]]:
        """Row, transform and picture of each frame of a video whose crop is still to be written; rows ascend."""
        frames = None
        for row in rows:
            transform = self._wanted(row, transforms)
            if transform is not None:
                # A video of which nothing is wanted is not opened again.
                frames = frames or iter(Video(job.path))
                image = next((frame.image for frame in frames if frame.number == int(row["frame"])), None)
                if image is None:
                    raise ValueError(
                        f"{job.source}: expected a frame {row['frame']}, which was there when faces were found"
                    )
                yield row, transform, image


def _cells(face: Face) -> Row:
    box = zip(("x", "y", "width", "height"), face.box, strict=True)
    points = " ".join(f"{value:.3f}" for value in face.points.ravel())
    return {name: f"{value:.2f}" for name, value in box} | {"score": f"{face.score:.4f}", "points": points}


def _problem(job: Job, frame: str, problem: str) -> Row:
    return dict.fromkeys(COLUMNS, "") | {
        "source": job.source, "frame": frame, "sequence": job.sequence, "found": "0",
        "problem": " ".join(problem.split()),
    }  # fmt: skip
