"""The files of coded action units that BP4D and BP4D+ share: one CSV a sequence, one row a coded frame."""

import re
from collections.abc import Collection
from pathlib import Path

from sma_models.data.listing import Listing, Sample, folder, pictures_by_number
from sma_models.text_files import csv_cells

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


def _is_number(cell: str) -> bool:
    # Superscripts are digits as well, and no numbers.
    return cell.isascii() and cell.isdigit()


def add_coded_sequence(listing: Listing, coding: Path, subject: str, task: str) -> None:
    """Add the coded frames of one sequence, `<images>/<subject>/<task>/<frame>.<suffix>`, to a listing."""
    labels = read_occurrence(coding)
    pictures_of = listing.images / subject / task
    if not pictures_of.is_dir():
        listing.missing.append(f"{subject}/{task} ({len(labels)} frames)")
        return
    pictures = pictures_by_number(pictures_of, listing.extra)
    listing.missing += [f"{subject}/{task} frame {frame}" for frame in labels if frame not in pictures]
    listing.unlabelled_frames += len(pictures.keys() - labels.keys())
    listing.samples += [
        Sample(pictures[frame], subject, task, frame, cells) for frame, cells in labels.items() if frame in pictures
    ]


def name_uncoded(
    listing: Listing, coded: set[tuple[str, str]], tasks: Collection[str], others: Collection[str]
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
    return sorted(folder(root / "AUCoding" / "AU_OCC", "occurrence codes, <subject>_<task>.csv").iterdir())
