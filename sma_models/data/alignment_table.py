"""alignment.csv, a row a frame, and the transforms that follow from its rows: read one at a time, however many there are."""

import csv
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sma_models.data.alignment import centre_crop, similarity

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
    "turned",
    "problem",
)
Row = dict[str, str]


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, or none if there is no file; one that was cut off when a run stopped lacks cells, and is left out."""
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            try:
                if tuple(reader.fieldnames or COLUMNS) != COLUMNS:
                    raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}; got {reader.fieldnames}")
                yield from (row for row in reader if None not in row.values())
            except (csv.Error, UnicodeDecodeError) as error:
                raise ValueError(f"{path}, line {reader.line_num + 1}: not valid CSV in UTF-8: {error}") from error


class Transforms:
    """The transform of every row; 56 bytes are kept of each frame with a face, since later rows may borrow from it.

    rows: in any order; template: see `alignment`
    """

    def __init__(self, rows: Iterable[Row], template: str):
        self.template = template
        frames: dict[str, array[int]] = {}
        values: dict[str, array[float]] = {}
        for row in rows:
            if row["found"] == "1" and int(row["frame"]) >= 0:
                frames.setdefault(row["sequence"], array("q")).append(int(row["frame"]))
                values.setdefault(row["sequence"], array("d")).extend(self._own(row).ravel())
        self._known: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        for sequence, numbers in frames.items():
            order = np.argsort(numbers, kind="stable")
            self._known[sequence] = (
                np.asarray(numbers)[order],
                np.asarray(values[sequence]).reshape(-1, 2, 3)[order],
            )

    def of(self, row: Row) -> NDArray[np.float64] | None:
        """[2,3] of a row: its own; of a frame without a face that of the nearest one of its sequence within `REACH`
        frames (the earlier of two), else the centre crop; None of what could not be read."""
        if row["problem"]:
            return None
        if row["found"] == "1":
            return self._own(row)
        width, height = map(int, row["points"].split("x"))
        near = self._nearest(row["sequence"], int(row["frame"]))
        return near if near is not None else centre_crop(height, width)

    def _own(self, row: Row) -> NDArray[np.float64]:
        return similarity(np.array(row["points"].split(), np.float64).reshape(-1, 2), self.template)

    def _nearest(self, sequence: str, frame: int) -> Any:
        if frame < 0 or sequence not in self._known:
            return None
        frames, transforms = self._known[sequence]
        place = int(np.searchsorted(frames, frame))
        options = range(max(0, place - 1), min(len(frames), place + 1))
        best = min(options, key=lambda option: (abs(int(frames[option]) - frame), option))
        return transforms[best] if abs(int(frames[best]) - frame) <= REACH else None
