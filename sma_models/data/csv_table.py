"""The CSV format: one row per image, with its labels and optionally its subject, split and face box."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from sma_models.data.crops import detected_faces
from sma_models.data.face_table import UNKNOWN, FaceTable
from sma_models.data.images import header_sizes, read_image, share_inside, square, whole_square
from sma_models.data.prediction_columns import BOX, prediction_columns
from sma_models.utils.text_files import check_no_lookalikes, read_table

COLUMNS = ("image", "subject", "sequence", "frame", "fold", "split", "found", "expression", *BOX)
ALL = "all"  # the fold name that means every row
MIN_SHARE_INSIDE = 0.25  # of a face box; outside the image there is only gray
_FLAGS = {"0": False, "1": True, "false": False, "true": True}
_HIGHEST = 5  # intensity of an action unit


class CSVTable(FaceTable):
    """The faces that a CSV file lists.

    path:         the file
    root:         folder that `image` is relative to; None means the folder of the CSV
    classes:      expression classes in order; None means the sorted names in the file
    au_threshold: None reads 0 and 1; 1 to 5 reads intensities 0-5, and is the lowest positive one
    check_files:  require that every image exists; False checks only the first, which shows whether `root` is right

    columns: names in the header, AU01 as AU1; unused: those that are ignored
    folds, splits: str [n], or None where the file has no such column; has_subjects: whether it names subjects.
    Raises ValueError or FileNotFoundError, naming the file, the line and what was expected.
    """

    def __init__(
        self,
        path: str | Path,
        root: str | Path | None = None,
        classes: Sequence[str] | None = None,
        au_threshold: int | None = None,
        check_files: bool = True,
    ):
        self.path = Path(path)
        self.root = Path(root) if root is not None else self.path.parent
        self.columns, rows, self.lines = read_table(self.path, COLUMNS)
        if "image" not in self.columns:
            raise ValueError(f"{self.path}: expected a column 'image'; got {self.columns}")
        if not rows:
            raise ValueError(f"{self.path}: expected at least one row below the header")
        self._read_labels(rows, classes, au_threshold)
        self.unused = [name for name in self.columns if name and name not in (*COLUMNS, *self.regions)]
        self.images = [f"{self.root}/{name}" for name in self._texts(rows, "image")]
        for row in range(len(rows) if check_files else 1):
            if not Path(self.images[row]).is_file():
                raise FileNotFoundError(f"{self.path}, line {self.lines[row]}: there is no file {self.images[row]}")
        self.boxes = self._box_column(rows)
        for row in range(len(rows) if check_files and self.boxes is not None else 0):
            self._box_inside(row, header_sizes(Path(self.images[row])))
        self.has_subjects = "subject" in self.columns
        empty = [""] * len(rows)
        self.subjects = np.array(self._texts(rows, "subject") if self.has_subjects else empty)
        self.sequences = np.array([row["sequence"] for row in rows] if "sequence" in self.columns else empty)
        self.frames = self._frame_column(rows)
        self.detected = self._detected_column(rows) if "found" in self.columns else detected_faces(self.images)
        self.folds = np.array(self._texts(rows, "fold")) if "fold" in self.columns else None
        self.splits = np.array(self._texts(rows, "split")) if "split" in self.columns else None
        self._check_splits()

    def image(self, index: int, size: int) -> NDArray[np.uint8]:
        """The face box, or the whole image, as uint8 RGB [size,size,3]; gray outside the image."""
        try:
            image = read_image(Path(self.images[index]))
        except ValueError as error:
            self._fail(index, f"cannot read {self.images[index]}: {error}")
        if self.boxes is None:
            return whole_square(image, size)
        self._box_inside(index, [image.shape[1::-1]])
        return square(image, self.boxes[index], size)

    def _fail(self, row: int, problem: str) -> NoReturn:
        raise ValueError(f"{self.path}, line {self.lines[row]}: {problem}")

    def _texts(self, rows: list[dict[str, str]], column: str) -> list[str]:
        for number, row in enumerate(rows):
            if not row[column]:
                self._fail(number, f"{column} is empty")
        return [row[column] for row in rows]

    def _number(self, row: dict[str, str], number: int, column: str) -> float:
        try:
            return float(row[column])
        except ValueError:
            self._fail(number, f"{column} is {row[column]!r}; expected a number")

    def _frame_column(self, rows: list[dict[str, str]]) -> NDArray[np.int64]:
        frames = np.zeros(len(rows), np.int64)
        for number, row in enumerate(rows if "frame" in self.columns else ()):
            if re.fullmatch(r"-?[0-9]{1,18}", row["frame"]) is None:
                self._fail(number, f"frame is {row['frame']!r}; expected a whole number")
            frames[number] = int(row["frame"])
        return frames

    def _detected_column(self, rows: list[dict[str, str]]) -> NDArray[np.bool_]:
        detected = np.empty(len(rows), bool)
        for number, row in enumerate(rows):
            if row["found"].lower() not in _FLAGS:
                self._fail(number, f"found is {row['found']!r}; expected 0, 1, false or true")
            detected[number] = _FLAGS[row["found"].lower()]
        return detected

    def _check_splits(self) -> None:
        for row, split in enumerate(self.splits if self.splits is not None else ()):
            if split not in ("train", "val", "test"):
                self._fail(row, f"split is {str(split)!r}; expected train, val or test")
        if self.folds is not None:
            if ALL in self.folds:
                self._fail(
                    int(np.argmax(self.folds == ALL)), f"fold is {ALL!r}, a name reserved for all rows; rename it"
                )
            check_no_lookalikes(str(self.path), "folds", np.unique(self.folds).tolist())
        # A person under two names could be in both training and test.
        check_no_lookalikes(str(self.path), "subjects", np.unique(self.subjects).tolist())

    def _read_labels(self, rows: list[dict[str, str]], classes: Sequence[str] | None, au_threshold: int | None) -> None:
        """Set kind, regions and labels."""
        units = sorted((name for name in self.columns if re.fullmatch("AU[0-9]+", name)), key=_unit_number)
        if bool(units) == ("expression" in self.columns):
            raise ValueError(
                f"{self.path}: expected either a column 'expression' or columns 'AU1', 'AU2', ...; got {self.columns}"
            )
        if units:
            if classes is not None:
                raise ValueError(f"classes need a column 'expression'; {self.path} has {', '.join(units)}")
            if au_threshold is not None and au_threshold not in range(1, _HIGHEST + 1):
                raise ValueError(f"au_threshold must be a whole number of 1 to {_HIGHEST}; got {au_threshold}")
            self.kind, self.regions = "au", tuple(units)
            self.labels = self._unit_labels(rows, units, au_threshold)
            return
        if au_threshold is not None:
            raise ValueError(f"au_threshold needs columns of action units; {self.path} has a column 'expression'")
        self.kind = "expression"
        names = self._texts(rows, "expression")
        self.regions = tuple(sorted(set(names)) if classes is None else classes)
        self._check_classes(from_settings=classes is not None)
        self.labels = self._class_labels(names)

    def _check_classes(self, from_settings: bool) -> None:
        source = f"{self.path}, classes" if from_settings else str(self.path)
        if not self.regions or len(set(self.regions)) < len(self.regions) or "" in self.regions:
            raise ValueError(f"{source}: expected different names; got {list(self.regions)}")
        check_no_lookalikes(source, "expressions", self.regions)
        try:
            prediction_columns("expression", self.regions, smoothing=True)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None

    def _unit_labels(self, rows: list[dict[str, str]], columns: list[str], threshold: int | None) -> NDArray[np.int8]:
        levels, positive = (range(2), 1) if threshold is None else (range(_HIGHEST + 1), threshold)
        meaning = {str(level): int(level >= positive) for level in levels}
        meaning |= {"9": UNKNOWN, "": UNKNOWN}
        labels = np.empty((len(rows), len(columns)), np.int8)
        for number, row in enumerate(rows):
            for column_index, column in enumerate(columns):
                if row[column] not in meaning:
                    known = ", ".join(filter(None, meaning))
                    self._fail(number, f"{column} is {row[column]!r}; expected {known} or nothing")
                labels[number, column_index] = meaning[row[column]]
        return labels

    def _class_labels(self, names: list[str]) -> NDArray[np.int64]:
        class_index = {name: number for number, name in enumerate(self.regions)}
        for row, name in enumerate(names):
            if name not in class_index:
                self._fail(row, f"unknown expression {name!r}; expected one of {', '.join(self.regions)}")
        return np.array([class_index[name] for name in names], np.int64)

    def _box_column(self, rows: list[dict[str, str]]) -> list[tuple[float, ...]] | None:
        box_columns = [name for name in BOX if name in self.columns]
        if not box_columns:
            return None
        if len(box_columns) < len(BOX):
            raise ValueError(
                f"{self.path}: a face box needs the columns {', '.join(BOX)}; got {', '.join(box_columns)}"
            )
        boxes = []
        for number, row in enumerate(rows):
            box = tuple(self._number(row, number, name) for name in BOX)
            if not (np.isfinite(box).all() and box[2] >= 1 and box[3] >= 1):
                self._fail(
                    number, f"the face box is {box}; expected finite numbers of pixels, width and height of at least 1"
                )
            boxes.append(box)
        return boxes

    def _box_inside(self, row: int, sizes: Sequence[tuple[int, ...]]) -> None:
        """Fails if too little of a row's box lies inside an image with any of these (width, height); no sizes, no check."""
        assert self.boxes is not None
        box = self.boxes[row]
        if sizes and max(share_inside(box, *size) for size in sizes) < MIN_SHARE_INSIDE:
            width, height = sizes[0]
            self._fail(
                row,
                f"the face box {box} lies outside its image of {width} x {height} pixels; expected at least "
                f"{MIN_SHARE_INSIDE:.0%} of it inside",
            )


def _unit_number(name: str) -> int:
    return int(name.removeprefix("AU"))
