"""Aligns folders and videos into folders of crops: first detects landmarks in every frame, then writes the crops."""

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

from sma_models.data.alignment import FACTS, ROWS, Alignment, check_enough_points, warp
from sma_models.data.alignment_table import COLUMNS, FrameTransforms, Row, read_rows
from sma_models.data.images import RGBImage, frame_number, read_image
from sma_models.faces.detect import Face, Points, detect_sideways, largest
from sma_models.faces.parallel import SharedDetector, ordered_map
from sma_models.faces.sources import Video, files_below, write_image

MAX_PROBLEMS = 20  # that a report lists


@dataclass(frozen=True)
class Job:
    """One image, or one video (frame is None)."""

    path: Path
    source: str
    sequence: str
    frame: int | None


@dataclass
class Report:
    """Counts of frames by outcome, and the first `MAX_PROBLEMS` frames with a problem."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Counts one frame."""
        outcome = "unreadable" if row["problem"] else "aligned" if row["found"] == "1" else "no face"
        self.counts[outcome] += 1
        if outcome != "aligned" and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(row)


class Aligner:
    """Aligns the images and videos below `source` into the folder `out`.

    template:           see `alignment`
    detector:           a face detector, or a table of points
    independent_images: the images of a folder are not a sequence, so none borrows another's transform
    """

    def __init__(
        self,
        source: Path,
        out: Path,
        template: str,
        detector: SharedDetector | Points,
        workers: int,
        independent_images: bool,
    ):
        self.source, self.out, self.template = source, out, template
        self.detector, self.workers, self.independent_images = detector, workers, independent_images
        check_enough_points(template, detector)
        self.top = source if source.is_dir() else source.parent
        self.facts = Alignment(template, detector.name)
        self.jobs = list(self._jobs())

    def run(self, progress: Callable[[Iterable[Any], str, int | None], Iterable[Any]]) -> Report:
        """Aligns whatever is not done yet. progress(items, label, total or None) yields the items and shows progress."""
        self._check_settings()
        self._detect(progress)
        transforms = FrameTransforms(self._rows(), self.template)
        self._crop_images(transforms, progress)
        self._crop_videos(transforms, progress)
        report = Report()
        for row in self._rows():
            report.add(row)
        return report

    def _rows(self) -> Iterator[Row]:
        return read_rows(self.out / ROWS)

    def _jobs(self) -> Iterator[Job]:
        # The next run would align crops inside the source folder again.
        inside = self.source.is_dir() and self.out.resolve().is_relative_to(self.top.resolve())
        if inside or self.out.resolve() == self.top.resolve():
            raise ValueError(f"out must lie outside the image folder {self.top}; got {self.out}")
        files = files_below(self.source)
        crops: dict[Path, Path] = {}
        for path in (*files.images, *files.videos):
            relative = path.relative_to(self.top)
            is_video = path in files.videos
            crop = relative.with_suffix("" if is_video else ".jpg")
            if crop in crops:
                raise ValueError(f"{crops[crop]} and {path} would both become {self.out / crop}")
            crops[crop] = path
            sequence = crop if is_video else relative.parent
            number = None if self.independent_images else frame_number(path.stem)
            frame = None if is_video else number if number is not None else -1
            yield Job(path, relative.as_posix(), sequence.as_posix(), frame)
        if not crops:
            raise ValueError(f"{self.source}: expected images or videos; got neither")

    def _check_settings(self) -> None:
        """Stores the settings in the folder, or compares them with those that it was created with."""
        stored = Alignment.of_folder(self.out)
        if stored is not None and stored != self.facts:
            raise ValueError(
                f"{self.out} was created with {stored.as_dict()}; expected the same settings, got {self.facts.as_dict()}"
            )
        self.out.mkdir(parents=True, exist_ok=True)
        if stored is None:
            (self.out / FACTS).write_text(json.dumps(self.facts.as_dict(), indent=1) + "\n", encoding="utf-8")

    def _detect(self, progress: Callable[..., Iterable[Any]]) -> None:
        last = self._drop_partial_rows()
        with (self.out / ROWS).open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            images = [job for job in self.jobs if job.frame is not None and job.source not in last]
            image_rows = ordered_map(self._image_row, images, self.workers)
            for row in progress(image_rows, "detecting faces", len(images)):
                writer.writerow(row)
                file.flush()
            for job in (job for job in self.jobs if job.frame is None):
                last_frame = last.get(job.source, "-1")
                # The number is empty for a video that could not be read.
                rows = self._video_rows(job, int(last_frame) + 1) if last_frame else ()
                for row in progress(rows, f"detecting faces in {job.source}", None):
                    writer.writerow(row)
                    file.flush()

    def _drop_partial_rows(self) -> dict[str, str]:
        """Rewrites the report without an incomplete row; returns the last frame of each source."""
        last: dict[str, str] = {}
        unfinished = self.out / f"{ROWS}.part"
        with unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for row in self._rows():
                writer.writerow(row)
                last[row["source"]] = row["frame"]
        os.replace(unfinished, self.out / ROWS)
        return last

    def _image_row(self, job: Job) -> Row:
        assert job.frame is not None
        try:
            image = read_image(job.path)
        except ValueError as error:
            return _problem(job, str(job.frame), str(error))
        return self._row(job, job.frame, image)

    def _video_rows(self, job: Job, start: int) -> Iterator[Row]:
        if isinstance(self.detector, Points):
            raise ValueError(f"{job.source}: a table of points needs images; got a video")
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
        """The faces of an image, and whether it is sideways."""
        if isinstance(self.detector, Points):
            return self.detector.of(job.source, image.shape[1], image.shape[0]), False
        faces = self.detector(image)
        # Some MMI sessions are recorded sideways; elsewhere rotating would only add false detections.
        if faces or not any((folder / "session.xml").is_file() for folder in job.path.parents[:2]):
            return faces, False
        faces = detect_sideways(self.detector, image)
        return faces, bool(faces)

    def _missing_crop(self, row: Row, transforms: FrameTransforms) -> NDArray[np.float64] | None:
        """The transform of a row if its crop is still missing."""
        return None if row["problem"] or (self.out / row["crop"]).is_file() else transforms.of(row)

    def _crop_images(self, transforms: FrameTransforms, progress: Callable[..., Iterable[Any]]) -> None:
        jobs = {job.source: job for job in self.jobs if job.frame is not None}

        def write(row: Row) -> None:
            transform = self._missing_crop(row, transforms)
            if transform is not None:
                write_image(self.out / row["crop"], warp(read_image(jobs[row["source"]].path), transform))

        rows = (row for row in self._rows() if row["source"] in jobs)
        for _ in progress(ordered_map(write, rows, self.workers), "writing crops", len(jobs)):
            pass

    def _crop_videos(self, transforms: FrameTransforms, progress: Callable[..., Iterable[Any]]) -> None:
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
        self, job: Job, rows: Iterator[Row], transforms: FrameTransforms
    ) -> Iterator[tuple[Row, NDArray[np.float64], RGBImage]]:
        """Row, transform and image of each frame of a video whose crop is missing; rows are in ascending order."""
        frames = None
        for row in rows:
            transform = self._missing_crop(row, transforms)
            if transform is not None:
                # A video without missing crops is not opened again.
                frames = frames or iter(Video(job.path))
                image = next((frame.image for frame in frames if frame.number == int(row["frame"])), None)
                if image is None:
                    raise ValueError(
                        f"{job.source}: expected a frame {row['frame']}, which existed when faces were detected"
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
