"""The files of coded action units that BP4D and BP4D+ share: one CSV a sequence, one row a coded frame."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from sma_models.data.manifest import DatabaseIndex, Sample, folder, pictures_by_number, visible
from sma_models.utils.text_files import csv_cells

UNITS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
UNCODED = 9
_NUMBER = re.compile("[0-9]+")


def read_occurrence(path: Path, units: tuple[int, ...] = UNITS) -> dict[int, tuple[int, ...]]:
    """Labels (0, 1 or 9) of `units`, in that order, by frame number. ValueError names file, line and what is wrong."""
    rows = csv_cells(path)
    _, header = next(rows, (1, []))
    if not header or header[0] != "0" or not all(map(_NUMBER.fullmatch, header)):
        raise ValueError(f"{path}: expected a header of 0 and numbers of action units; got {header}")
    numbers = [int(cell) for cell in header]
    lacking = [unit for unit in units if numbers[1:].count(unit) != 1]
    if lacking:
        raise ValueError(f"{path}: expected one column for each of AU {', '.join(map(str, lacking))}; got {header}")
    places = [numbers.index(unit, 1) for unit in units]
    labels: dict[int, tuple[int, ...]] = {}
    for line, cells in rows:
        if not any(cells):
            # Editors and spreadsheets leave empty lines, with commas or without.
            continue
        if len(cells) != len(header):
            raise ValueError(f"{path}, line {line}: expected {len(header)} cells; got {len(cells)}")
        wrong = [cells[place] for place in places if cells[place] not in ("0", "1", "9")]
        if wrong or not _NUMBER.fullmatch(cells[0]):
            raise ValueError(f"{path}, line {line}: expected a frame number and 0, 1 or 9; got {wrong or cells[0]}")
        frame = int(cells[0])
        if frame in labels:
            raise ValueError(f"{path}, line {line}: frame {frame} is there twice")
        labels[frame] = tuple(int(cells[place]) for place in places)
    return labels


class CodedSequence(NamedTuple):
    """One sequence: its labels by frame, at least one, and its pictures by number, `<subject>/<task>/<number>.<suffix>`."""

    subject: str
    task: str
    labels: dict[int, tuple[int, ...]]
    pictures: dict[int, Path]

    def __str__(self) -> str:
        frames, numbers = list(self.labels), list(self.pictures)
        ends = f"pictures {numbers[0]} to {numbers[-1]}" if numbers else "no pictures"
        return f"{self.subject}/{self.task} ({ends}, frames {min(frames)} to {max(frames)} coded)"


def read_coded_sequence(listing: DatabaseIndex, coding: Path, subject: str, task: str) -> CodedSequence | None:
    """The codes and pictures of a sequence; None if nothing is coded."""
    labels = read_occurrence(coding)
    if not labels:
        return None
    pictures_of = listing.images / subject / task
    pictures = pictures_by_number(pictures_of, listing.extra) if pictures_of.is_dir() else {}
    return CodedSequence(subject, task, labels, pictures)


def add_coded_sequence(listing: DatabaseIndex, sequence: CodedSequence, first_picture: int) -> None:
    """Add the coded frames of a sequence to a listing. ValueError if its pictures prove another first one.

    first_picture: the number of the picture that shows frame 1, so that f - 1 + first_picture shows frame f
    """
    subject, task, labels, pictures = sequence
    if not pictures:
        listing.missing.append(f"{subject}/{task} ({len(labels)} frames)")
        return
    if first_by_window(sequence) not in (None, first_picture):
        raise ValueError(f"{sequence}: expected frame 1 to be picture {first_picture}; these are one off")
    numbers = {frame: frame - 1 + first_picture for frame in labels}
    listing.missing += [f"{subject}/{task} frame {frame}" for frame, n in numbers.items() if n not in pictures]
    listing.unlabelled_frames += len(pictures.keys() - numbers.values())
    listing.samples += [
        Sample(pictures[n], subject, task, frame, labels[frame]) for frame, n in numbers.items() if n in pictures
    ]


def first_by_window(sequence: CodedSequence) -> int | None:
    """0 or 1 where there are pictures of the coded frames only, whose first and last numbers tell; else None."""
    numbers = list(sequence.pictures)
    shift = min(sequence.labels) - numbers[0]
    return 1 - shift if shift in (0, 1) and max(sequence.labels) - numbers[-1] == shift else None


def name_uncoded(
    listing: DatabaseIndex, coded: set[tuple[str, str]], tasks: Collection[str], others: Collection[str]
) -> None:
    """Name what has pictures and no codes: sequences of `tasks` as unlabelled, those of tasks beside `others` as extra.

    coded: subject and task of every sequence that has codes
    """
    for path in sorted(listing.images.glob("[FM][0-9][0-9][0-9]/*")):
        subject, task = path.parts[-2:]
        if not path.is_dir() or (subject, task) in coded:
            continue
        if task in tasks:
            listing.unlabelled.append(f"{subject}/{task}")
        elif task not in others:
            listing.extra.append(str(path))


def coding_files(root: Path) -> list[Path]:
    """The files of AUCoding/AU_OCC."""
    return visible(folder(root / "AUCoding" / "AU_OCC", "occurrence codes, <subject>_<task>.csv"))
