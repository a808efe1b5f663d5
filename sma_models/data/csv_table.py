"""The CSV format: one row a picture, with its labels, and optionally its subject, part and face box."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from sma_models.data.base import UNKNOWN, Faces
from sma_models.data.pictures import header_sizes, read_picture, share_inside, square, whole_square
from sma_models.faces.crops import found_faces

BOX = ("x", "y", "width", "height")
LEAST_INSIDE = 0.25  # of a face box; beyond its picture there is only grey
_UNIT = re.compile(r"AU0*(\d+)")


class CSVTable(Faces):
    """The faces that a CSV file lists.

    path:         the file
    root:         folder that `image` is relative to; None is the CSV's own
    classes:      expression classes in order; None takes the sorted names of the file
    au_threshold: None reads 0 and 1; a number reads intensities 0-5, positive from it on
    look_for_all: whether every picture must be there now; otherwise the first alone tells whether `root` is right

    folds, splits: str [n], or None where the file has no such column; has_subjects: whether it names subjects.
    Raises ValueError or FileNotFoundError that name the file, the line and what was expected.
    """

    def __init__(
        self,
        path: str | Path,
        root: str | Path | None = None,
        classes: Sequence[str] | None = None,
        au_threshold: int | None = None,
        look_for_all: bool = True,
    ):
        self.path = Path(path)
        self.root = Path(root) if root is not None else self.path.parent
        rows, self.lines, columns = self._rows()
        units = {int(found[1]): name for name in columns if (found := _UNIT.fullmatch(name))}
        if bool(units) == ("expression" in columns):
            raise ValueError(
                f"{path}: expected either a column 'expression' or columns 'AU1', 'AU2', ...; got {columns}"
            )
        if units:
            self.kind, self.regions = "au", tuple(f"AU{number}" for number in sorted(units))
            ordered = [units[number] for number in sorted(units)]
            self.labels = self._unit_labels(rows, ordered, au_threshold)
        else:
            self.kind = "expression"
            names = self._texts(rows, "expression")
            self.regions = tuple(classes) if classes else tuple(sorted(set(names)))
            self.labels = self._class_labels(names)
        self.images = [f"{self.root}/{name}" for name in self._texts(rows, "image")]
        for row in range(len(rows) if look_for_all else 1):
            if not Path(self.images[row]).is_file():
                raise FileNotFoundError(f"{self.path}, line {self.lines[row]}: there is no file {self.images[row]}")
        self.boxes = self._box_column(rows, columns)
        for row in range(len(rows) if look_for_all and self.boxes is not None else 0):
            self._box_inside(row, header_sizes(Path(self.images[row])))
        self.has_subjects = "subject" in columns
        plain = [""] * len(rows)
        self.subjects = np.array(self._texts(rows, "subject") if self.has_subjects else plain)
        self.sequences = np.array([row["sequence"] for row in rows] if "sequence" in columns else plain)
        self.frames = np.array(
            [self._frame(row, i) for i, row in enumerate(rows)] if "frame" in columns else np.zeros(len(rows)),
            np.int64,
        )
        self.found = self._found_column(rows) if "found" in columns else found_faces(self.images)
        self.folds = np.array(self._texts(rows, "fold")) if "fold" in columns else None
        self.splits = np.array(self._texts(rows, "split")) if "split" in columns else None
        for row, split in enumerate(self.splits if self.splits is not None else ()):
            if split not in ("train", "val", "test"):
                self._fail(row, f"split is {str(split)!r}; expected train, val or test")

    def picture(self, index: int, size: int) -> NDArray[np.uint8]:
        """The face box, or the whole picture, as uint8 RGB [size,size,3]; grey where a square exceeds the picture."""
        try:
            image = read_picture(Path(self.images[index]))
        except ValueError as error:
            self._fail(index, f"cannot read {self.images[index]}: {error}")
        if self.boxes is None:
            return whole_square(image, size)
        self._box_inside(index, [image.shape[1::-1]])
        return square(image, self.boxes[index], size)

    def _rows(self) -> tuple[list[dict[str, str]], list[int], list[str]]:
        """Rows as dicts, the line of the file that each ends on, and the names of the columns."""
        with self.path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = list(reader.fieldnames or ())
            if "image" not in columns:
                raise ValueError(f"{self.path}: expected a column 'image'; got {columns}")
            rows, lines = [], []
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"{self.path}, line {reader.line_num}: expected {len(columns)} cells")
                rows.append({name: cell.strip() for name, cell in row.items()})
                lines.append(reader.line_num)
        if not rows:
            raise ValueError(f"{self.path}: expected at least one row below the header")
        return rows, lines, columns

    def _fail(self, row: int, problem: str) -> NoReturn:
        raise ValueError(f"{self.path}, line {self.lines[row]}: {problem}")

    def _texts(self, rows: list[dict[str, str]], column: str) -> list[str]:
        for number, row in enumerate(rows):
            if not row[column]:
                self._fail(number, f"{column} is empty")
        return [row[column] for row in rows]

    def _number(self, row: dict[str, str], number: int, column: str, kind: type) -> Any:
        try:
            return kind(row[column])
        except ValueError:
            self._fail(number, f"{column} is {row[column]!r}; expected a number")

    def _frame(self, row: dict[str, str], number: int) -> int:
        frame: int = self._number(row, number, "frame", int)
        if abs(frame) >= 2**63:
            self._fail(number, f"frame is {frame}; expected a number of at most 64 bits")
        return frame

    def _unit_labels(self, rows: list[dict[str, str]], columns: list[str], threshold: int | None) -> NDArray[np.int8]:
        levels, positive = (range(2), 1) if threshold is None else (range(6), threshold)
        meaning = {str(level): int(level >= positive) for level in levels}
        meaning |= {"9": UNKNOWN, "": UNKNOWN}
        labels = np.empty((len(rows), len(columns)), np.int8)
        for number, row in enumerate(rows):
            for place, column in enumerate(columns):
                if row[column] not in meaning:
                    known = ", ".join(filter(None, meaning))
                    self._fail(number, f"{column} is {row[column]!r}; expected {known} or nothing")
                labels[number, place] = meaning[row[column]]
        return labels

    def _class_labels(self, names: list[str]) -> NDArray[np.int64]:
        place = {name: number for number, name in enumerate(self.regions)}
        for row, name in enumerate(names):
            if name not in place:
                self._fail(row, f"unknown expression {name!r}; expected one of {', '.join(self.regions)}")
        return np.array([place[name] for name in names], np.int64)

    def _found_column(self, rows: list[dict[str, str]]) -> NDArray[np.bool_]:
        for number, row in enumerate(rows):
            if row["found"] not in ("0", "1"):
                self._fail(number, f"found is {row['found']!r}; expected 0 or 1")
        return np.array([row["found"] == "1" for row in rows], bool)

    def _box_column(self, rows: list[dict[str, str]], columns: list[str]) -> list[tuple[float, ...]] | None:
        given = [name for name in BOX if name in columns]
        if not given:
            return None
        if len(given) < 4:
            raise ValueError(f"{self.path}: a face box needs the columns {', '.join(BOX)}; got {', '.join(given)}")
        boxes = []
        for number, row in enumerate(rows):
            box = tuple(self._number(row, number, name, float) for name in BOX)
            if not (np.isfinite(box).all() and box[2] >= 1 and box[3] >= 1):
                self._fail(
                    number, f"the face box is {box}; expected finite numbers of pixels, width and height of at least 1"
                )
            boxes.append(box)
        return boxes

    def _box_inside(self, row: int, sizes: Sequence[tuple[int, ...]]) -> None:
        """Fail unless enough of a row's box lies in a picture of one of these widths and heights; none is no proof."""
        assert self.boxes is not None
        box = self.boxes[row]
        if sizes and max(share_inside(box, *size) for size in sizes) < LEAST_INSIDE:
            width, height = sizes[0]
            self._fail(
                row,
                f"the face box {box} lies outside of its picture of {width} x {height} pixels; expected at least "
                f"{LEAST_INSIDE:.0%} of it inside",
            )
