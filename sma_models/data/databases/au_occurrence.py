"""The action unit codes of BP4D and BP4D+: one CSV per sequence, one row per coded frame."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from sma_models.data.manifest import DatabaseIndex, Sample, folder, images_by_number, visible
from sma_models.utils.text_files import csv_cells

UNITS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
_NUMBER = re.compile("[0-9]+")


def read_occurrence(path: Path, units: tuple[int, ...] = UNITS) -> dict[int, tuple[int, ...]]:
    """Labels (0, 1 or 9) of `units`, in that order, by frame number. Raises ValueError with file, line and problem."""
    rows = csv_cells(path)
    _, header = next(rows, (1, []))
    if not header or header[0] != "0" or not all(map(_NUMBER.fullmatch, header)):
        raise ValueError(f"{path}: expected a header of 0 and numbers of action units; got {header}")
    numbers = [int(cell) for cell in header]
    missing = [unit for unit in units if numbers[1:].count(unit) != 1]
    if missing:
        raise ValueError(f"{path}: expected one column for each of AU {', '.join(map(str, missing))}; got {header}")
    columns = [numbers.index(unit, 1) for unit in units]
    labels: dict[int, tuple[int, ...]] = {}
    for line, cells in rows:
        if not any(cells):
            # Editors and spreadsheets leave empty lines, with or without commas.
            continue
        if len(cells) != len(header):
            raise ValueError(f"{path}, line {line}: expected {len(header)} cells; got {len(cells)}")
        invalid = [cells[column] for column in columns if cells[column] not in ("0", "1", "9")]
        if invalid or not _NUMBER.fullmatch(cells[0]):
            raise ValueError(f"{path}, line {line}: expected a frame number and 0, 1 or 9; got {invalid or cells[0]}")
        frame = int(cells[0])
        if frame in labels:
            raise ValueError(f"{path}, line {line}: frame {frame} occurs twice")
        labels[frame] = tuple(int(cells[column]) for column in columns)
    return labels


class CodedSequence(NamedTuple):
    """One coded sequence: labels by frame (at least one), and images by number, `<subject>/<task>/<number>.<suffix>`."""

    subject: str
    task: str
    labels: dict[int, tuple[int, ...]]
    images: dict[int, Path]

    def __str__(self) -> str:
        frames, numbers = list(self.labels), list(self.images)
        ends = f"images {numbers[0]} to {numbers[-1]}" if numbers else "no images"
        return f"{self.subject}/{self.task} ({ends}, frames {min(frames)} to {max(frames)} coded)"


def read_coded_sequence(index: DatabaseIndex, coding: Path, subject: str, task: str) -> CodedSequence | None:
    """The codes and images of a sequence, or None if it has no codes."""
    labels = read_occurrence(coding)
    if not labels:
        return None
    image_folder = index.images / subject / task
    images = images_by_number(image_folder, index.extra) if image_folder.is_dir() else {}
    return CodedSequence(subject, task, labels, images)


def add_coded_sequence(index: DatabaseIndex, sequence: CodedSequence, first_image: int) -> None:
    """Adds the coded frames of a sequence to an index. Raises ValueError if its image numbers contradict `first_image`.

    first_image: the number of the image that shows frame 1, so that f - 1 + first_image shows frame f
    """
    subject, task, labels, images = sequence
    if not images:
        index.missing.append(f"{subject}/{task} ({len(labels)} frames)")
        return
    if first_by_window(sequence) not in (None, first_image):
        raise ValueError(f"{sequence}: expected frame 1 to be image {first_image}; the numbers are off by one")
    numbers = {frame: frame - 1 + first_image for frame in labels}
    index.missing += [f"{subject}/{task} frame {frame}" for frame, n in numbers.items() if n not in images]
    index.unlabelled_frames += len(images.keys() - numbers.values())
    index.samples += [
        Sample(images[n], subject, task, frame, labels[frame]) for frame, n in numbers.items() if n in images
    ]


def first_by_window(sequence: CodedSequence) -> int | None:
    """The number (0 or 1) of the image of frame 1, if exactly the coded frames have images; else None."""
    numbers = list(sequence.images)
    shift = min(sequence.labels) - numbers[0]
    return 1 - shift if shift in (0, 1) and max(sequence.labels) - numbers[-1] == shift else None


def record_uncoded(
    index: DatabaseIndex, coded: set[tuple[str, str]], tasks: Collection[str], others: Collection[str]
) -> None:
    """Records image folders without codes: those of `tasks` as unlabeled, those of tasks not in `others` as extra.

    coded: (subject, task) of every sequence with codes
    """
    for path in sorted(index.images.glob("[FM][0-9][0-9][0-9]/*")):
        subject, task = path.parts[-2:]
        if not path.is_dir() or (subject, task) in coded:
            continue
        if task in tasks:
            index.unlabelled.append(f"{subject}/{task}")
        elif task not in others:
            index.extra.append(str(path))


def coding_files(root: Path) -> list[Path]:
    """The files of AUCoding/AU_OCC."""
    return visible(folder(root / "AUCoding" / "AU_OCC", "occurrence codes, <subject>_<task>.csv"))
