"""Folders and videos to folders of aligned crops: first points of every frame, then crops of every frame."""

import csv
import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sma_models.faces.alignment import FACTS, ROWS, Alignment, centre_crop, similarity, warp
from sma_models.faces.detect import Face, Points, largest
from sma_models.faces.sources import Frame, Picture, Video, files_below, read_picture, write_picture
from sma_models.faces.work import SharedDetector, in_order

REACH = 15  # frames from which a frame without a face may borrow its transform
COLUMNS = (
    "crop",
    "source",
    "frame",
    "sequence",
    "found",
    "faces",
    "score",
    "x",
    "y",
    "width",
    "height",
    "points",
    "problem",
)
Row = dict[str, str]


@dataclass(frozen=True)
class Job:
    """One picture, or one video (frame is then None)."""

    path: Path
    source: str
    sequence: str
    frame: int | None


@dataclass
class Report:
    """What became of the frames: counts by outcome, and the frames with a problem."""

    counts: Counter[str]
    problems: list[Row]


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
        self.top = source if source.is_dir() else source.parent
        self.facts = Alignment(template, detector.name)
        self.jobs = list(self._jobs())

    def run(self, progress: Callable[[Iterable[Any], str, int | None], Iterable[Any]]) -> Report:
        """Align everything that is not yet there. progress(items, what, total or None) passes items through."""
        self._claim()
        self._find(progress)
        rows = self._rows()
        self._crop(rows, progress)
        outcomes = Counter(
            "unreadable" if r["problem"] else "aligned" if r["found"] == "1" else "no face" for r in rows
        )
        return Report(outcomes, [r for r in rows if r["problem"] or r["found"] == "0"])

    def _jobs(self) -> Iterator[Job]:
        if self.out.resolve() == self.top.resolve():
            raise ValueError(f"out must be another folder than the pictures'; got {self.out}")
        files = files_below(self.source)
        crops: dict[Path, Path] = {}
        for path in (*files.pictures, *files.videos):
            place = path.relative_to(self.top)
            video = path in files.videos
            crop = place.with_suffix("" if video else ".jpg")
            if crop in crops:
                raise ValueError(f"{crops[crop]} and {path} would both become {self.out / crop}")
            crops[crop] = path
            number = re.search(r"(\d+)\D*$", path.stem)
            sequence = crop if video else place.parent
            frame = None if video else int(number[1]) if number and not self.unrelated else -1
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

    def _rows(self) -> list[Row]:
        path = self.out / ROWS
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            # A row that was cut off when the run stopped lacks cells.
            return [row for row in csv.DictReader(file) if None not in row.values()]

    def _find(self, progress: Callable[..., Iterable[Any]]) -> None:
        rows = self._rows()
        done = {(row["source"], row["frame"]) for row in rows}
        with (self.out / ROWS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
            pictures = [job for job in self.jobs if job.frame is not None and (job.source, str(job.frame)) not in done]
            found = in_order(self._of_picture, pictures, self.workers)
            for row in progress(found, "finding faces", len(pictures)):
                writer.writerow(row)
                file.flush()
            for job in (job for job in self.jobs if job.frame is None):
                for row in progress(self._of_video(job, done), f"finding faces in {job.source}", None):
                    writer.writerow(row)
                    file.flush()

    def _of_picture(self, job: Job) -> Row:
        assert job.frame is not None
        try:
            return self._row(job, job.frame, read_picture(job.path))
        except ValueError as error:
            return _problem(job, str(job.frame), str(error))

    def _of_video(self, job: Job, done: set[tuple[str, str]]) -> Iterator[Row]:
        if (job.source, "") in done:
            return
        if isinstance(self.detector, Points):
            raise ValueError(f"{job.source}: points from a table are of pictures; expected no video")
        try:
            frames = (frame for frame in Video(job.path) if (job.source, str(frame.number)) not in done)
            yield from in_order(lambda frame: self._row(job, frame.number, frame.image), frames, self.workers)
        except ValueError as error:
            yield _problem(job, "", str(error))

    def _row(self, job: Job, number: int, image: Picture) -> Row:
        crop = (
            f"{job.sequence}/{number:05d}.jpg" if job.frame is None else Path(job.source).with_suffix(".jpg").as_posix()
        )
        faces = self.detector.of(job.source) if isinstance(self.detector, Points) else self.detector(image)
        face = largest(faces)
        row = dict.fromkeys(COLUMNS, "") | {"crop": crop, "source": job.source, "frame": str(number)}
        row |= {"sequence": job.sequence, "found": str(int(face is not None)), "faces": str(len(faces))}
        return row | (_cells(face) if face else {"points": f"{image.shape[1]}x{image.shape[0]}"})

    def _crop(self, rows: list[Row], progress: Callable[..., Iterable[Any]]) -> None:
        transforms = fill(rows, self.template)
        jobs = {job.source: job for job in self.jobs}
        wanted = {
            (row["source"], row["frame"]): (self.out / row["crop"], transform)
            for row, transform in zip(rows, transforms, strict=True)
            if transform is not None and row["source"] in jobs and not (self.out / row["crop"]).is_file()
        }

        def write(job: Job, frame: Frame) -> None:
            path, transform = wanted[job.source, str(frame.number)]
            write_picture(path, warp(frame.image, transform))

        def write_one(job: Job) -> None:
            write(job, Frame(job.frame or 0, 0.0, read_picture(job.path)))

        pictures = [job for job in self.jobs if (job.source, str(job.frame)) in wanted]
        for _ in progress(in_order(write_one, pictures, self.workers), "writing crops", len(pictures)):
            pass
        videos = {source for source, _ in wanted} & {job.source for job in self.jobs if job.frame is None}
        for source in sorted(videos):
            job = jobs[source]
            frames = (frame for frame in Video(job.path) if (source, str(frame.number)) in wanted)
            written = in_order(lambda frame, job=job: write(job, frame), frames, self.workers)  # type: ignore[misc]
            for _ in progress(written, f"writing crops of {source}", None):
                pass


def _cells(face: Face) -> Row:
    box = zip(("x", "y", "width", "height"), face.box, strict=True)
    points = " ".join(f"{value:.3f}" for value in face.points.ravel())
    return {name: f"{value:.2f}" for name, value in box} | {"score": f"{face.score:.4f}", "points": points}


def _problem(job: Job, frame: str, problem: str) -> Row:
    return dict.fromkeys(COLUMNS, "") | {
        "source": job.source, "frame": frame, "sequence": job.sequence, "found": "0", "problem": problem
    }  # fmt: skip


def fill(rows: list[Row], template: str) -> list[Any]:
    """The transform [2,3] of every row; of a frame without a face that of the nearest one of its sequence within
    `REACH` frames (the earlier of two), else the centre crop; None of an unreadable one."""
    known: dict[str, list[tuple[int, Any]]] = {}
    transforms: list[Any] = []
    for row in rows:
        own = None
        if row["found"] == "1":
            own = similarity(np.array(row["points"].split(), np.float64).reshape(-1, 2), template)
            if int(row["frame"]) >= 0:
                known.setdefault(row["sequence"], []).append((int(row["frame"]), own))
        transforms.append(own)
    for found in known.values():
        found.sort(key=lambda pair: pair[0])
    for place, row in enumerate(rows):
        if row["found"] == "0" and not row["problem"]:
            width, height = map(int, row["points"].split("x"))
            near = nearest(known.get(row["sequence"], []), int(row["frame"]))
            transforms[place] = near if near is not None else centre_crop(height, width)
    return transforms


def nearest(known: list[tuple[int, Any]], frame: int) -> Any:
    """What belongs to the number nearest to `frame` within `REACH`, or None; known: (number, what), ascending."""
    if frame < 0 or not known:
        return None
    place = bisect_left(known, frame, key=lambda pair: pair[0])
    options = known[max(0, place - 1) : place + 1]
    number, what = min(options, key=lambda pair: (abs(pair[0] - frame), pair[0]))
    return what if abs(number - frame) <= REACH else None
