"""alignment.csv, one row per frame, and the transform of each frame. Rows are streamed: a file of any length fits."""

import csv
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sma_models.data.alignment import center_crop, similarity

MAX_BORROW_DISTANCE = 15  # frames: how far away a frame without a face may borrow its transform from
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
    """The rows of a file, or none if there is no file. A row that an interrupted run left incomplete is skipped."""
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            try:
                if tuple(reader.fieldnames or COLUMNS) != COLUMNS:
                    raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}; got {reader.fieldnames}")
                yield from (row for row in reader if None not in row.values())
            except (csv.Error, UnicodeDecodeError) as error:
                raise ValueError(f"{path}, line {reader.line_num + 1}: not valid CSV in UTF-8: {error}") from error


class FrameTransforms:
    """The transform of every row. Stores 56 bytes per frame with a face, since later rows may borrow its transform.

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
        """The transform [2,3] of a row; None if its frame could not be read.

        A frame without a face borrows from the nearest frame of its sequence within `MAX_BORROW_DISTANCE` (the earlier of
        two equally near ones), and gets the center crop if there is none.
        """
        if row["problem"]:
            return None
        if row["found"] == "1":
            return self._own(row)
        width, height = map(int, row["points"].split("x"))
        borrowed = self._nearest(row["sequence"], int(row["frame"]))
        return borrowed if borrowed is not None else center_crop(height, width)

    def _own(self, row: Row) -> NDArray[np.float64]:
        return similarity(np.array(row["points"].split(), np.float64).reshape(-1, 2), self.template)

    def _nearest(self, sequence: str, frame: int) -> Any:
        if frame < 0 or sequence not in self._known:
            return None
        frames, transforms = self._known[sequence]
        after = int(np.searchsorted(frames, frame))
        candidates = range(max(0, after - 1), min(len(frames), after + 1))
        best = min(candidates, key=lambda i: (abs(int(frames[i]) - frame), i))
        return transforms[best] if abs(int(frames[best]) - frame) <= MAX_BORROW_DISTANCE else None
