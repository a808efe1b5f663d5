"""Any faces that a CSV file lists, divided into parts by its own columns or by subject."""

import warnings
from os.path import normpath
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from sma_models.data.crops import Crops, common_alignment
from sma_models.data.csv_table import ALL, CSVTable
from sma_models.data.data_module import FaceDataModule
from sma_models.data.face_table import FaceTable, Splits
from sma_models.data.prediction_columns import BOX
from sma_models.data.split_summary import few_people
from sma_models.data.splits import (
    everything_tested,
    refuse_shared_subjects,
    strata_of,
    stratified_folds,
    stratified_subject_folds,
    validation_rows,
    warn_without_subjects,
)

FOLDS = 5
SPLIT = "split"  # the one fold of a file that has this column


class CSVFaces(FaceDataModule):
    """Faces of one CSV file; its format is in `CSVTable`.

    A column `split` gives the parts, and is one fold. A column `fold`, or else five subject-exclusive folds that are
    stratified by class (or by the rarest action unit of a row), gives the part `fold` to the test and the others to
    training, of which some subjects validate. Classes of the test part that are one person's, or absent, are named.
    Pictures in a folder of `sma-net align` bring along whether a face was found, unless there is a column `found`.

    Args:
        csv:          the file
        root:         folder that the column `image` is relative to; None is the CSV's own
        classes:      expression classes in order; None takes the sorted names of the file
        au_threshold: None reads action units as 0 and 1; a number of 1 to 5 reads intensities 0-5, positive from it on
        fold:         name of the fold to test on; "0" to "4" without a column `fold`, "split" with a column `split`;
                      "" is "0" or "split"; "all" tests every row, whatever its columns say, and trains none
        people:       whose subjects these are, such as "disfa": a checkpoint that was trained on somebody of these
                      people is not tested on the same one; without it, on nobody of the same name
        settings:     see `FaceDataModule`
    """

    def __init__(
        self,
        csv: str | Path,
        root: str | Path | None = None,
        classes: list[str] | None = None,
        au_threshold: int | None = None,
        fold: str = "",
        people: str | None = None,
        **settings: Any,
    ):
        super().__init__(**settings)
        self.csv, self.root, self.classes, self.au_threshold = csv, root, classes, au_threshold
        self.fold, self.people = str(fold), people

    def fold_names(self) -> list[str]:
        table = self._table()
        if table.splits is None:
            return sorted(set(self._folds(table).tolist()), key=lambda name: (len(name), name))
        if "test" not in table.splits:
            raise ValueError(
                f"{self.csv}: expected rows of the split 'test' to measure on; got {', '.join(np.unique(table.splits))}"
            )
        return [SPLIT]

    def load(self) -> tuple[FaceTable, Splits]:
        table = self._table()
        alignment = common_alignment(Crops().all_of(table.images), self.csv)
        if alignment and table.boxes is not None:
            raise ValueError(
                f"{self.csv}: crops of `sma-net align` have no face box; expected no columns {', '.join(BOX)}"
            )
        self.alignment = alignment.as_dict() if alignment else None
        self.fold = self.fold or ("0" if table.splits is None else SPLIT)
        own = self.fold == SPLIT and table.splits is not None
        self.protocol = f"{Path(self.csv).name}, {'its own split' if own else f'fold {self.fold}'} tested"
        rank_zero_info(f"{len(table)} faces; {len(table.regions)} regions: {', '.join(table.regions)}")
        if table.unused:
            rank_zero_info(f"columns that mean nothing here: {', '.join(table.unused)}")
        for parts in (table.splits, table.folds):
            if parts is not None and table.has_subjects:
                refuse_shared_subjects(table.subjects, parts, str(self.csv))
        divided = self._divided(table)
        _each_picture_once(table, divided)
        if len(divided.test) and (few := few_people(table, divided.test)):
            warnings.warn(f"{self.protocol}: in the test part {'; '.join(few)}", stacklevel=2)
        return table, divided

    def _table(self) -> CSVTable:
        table = CSVTable(self.csv, self.root, self.classes, self.au_threshold)
        if table.splits is not None and table.folds is not None:
            raise ValueError(f"{self.csv}: expected a column 'split' or a column 'fold'; got both")
        return table

    def _divided(self, table: CSVTable) -> Splits:
        if self.fold == ALL:
            return everything_tested(len(table))
        if table.splits is None:
            return self._by_fold(table)
        if self.fold != SPLIT:
            raise ValueError(f"fold must be {SPLIT} or {ALL}, since {self.csv} has a column 'split'; got {self.fold!r}")
        return self._by_split(table)

    def _by_split(self, table: CSVTable) -> Splits:
        assert table.splits is not None
        train, val, test = (table.splits == name for name in ("train", "val", "test"))
        if not (train | val).any():
            raise _nothing_to_train_on(self.csv)
        if self.selection == "last":
            train, val = train | val, np.zeros_like(val)
        elif not val.any():
            val = self._validation(table, train)
            train = train & ~val
        return _parts(train, val, test, self.csv)

    def _by_fold(self, table: CSVTable) -> Splits:
        folds = self._folds(table)
        names = sorted(set(folds))
        if self.fold not in names:
            raise ValueError(f"fold must be one of {', '.join(names)}; got {self.fold!r}")
        test = folds == self.fold
        val = self._validation(table, ~test) if self.selection == "val" else np.zeros_like(test)
        return _parts(~test & ~val, val, test, self.csv)

    def _folds(self, table: CSVTable) -> np.ndarray:
        if table.folds is not None:
            return table.folds
        if table.has_subjects:
            return stratified_subject_folds(table.subjects, strata_of(table.labels), FOLDS).astype(str)
        warn_without_subjects(str(self.csv))
        return stratified_folds(strata_of(table.labels), FOLDS, self.seed).astype(str)

    def _validation(self, table: CSVTable, train: np.ndarray) -> np.ndarray:
        """Rows that validate, bool [n], among the rows `train`."""
        rows = np.flatnonzero(train)
        chosen = np.zeros_like(train)
        if table.has_subjects or table.kind == "au":
            # Without subjects every picture counts as somebody, in an order that follows from the seed.
            shuffled = np.random.default_rng(self.seed).permutation(len(rows))
            subjects = table.subjects[rows] if table.has_subjects else shuffled
            chosen[rows[validation_rows(subjects, table.labels[rows], self.seed)]] = True
        else:
            parts = stratified_folds(strata_of(table.labels[rows]), FOLDS, self.seed + 1)
            chosen[rows[parts == 0]] = True
        return chosen


def _parts(train: np.ndarray, val: np.ndarray, test: np.ndarray, source: str | Path) -> Splits:
    if not train.any():
        raise _nothing_to_train_on(source)
    return Splits(*(np.flatnonzero(part) for part in (train, val, test)))


def _nothing_to_train_on(source: str | Path) -> ValueError:
    return ValueError(f"{source}: no row is left to train on")


def _each_picture_once(table: CSVTable, parts: Splits) -> None:
    """ValueError if a picture, with the same face box if there are any, is in two parts; a warning if it is tested twice."""
    seen: dict[tuple[str, tuple[float, ...] | None], tuple[str, int]] = {}
    twice = 0
    for name, rows in parts._asdict().items():
        for row in rows.tolist():
            picture = normpath(table.images[row]), table.boxes[row] if table.boxes is not None else None
            other, first = seen.setdefault(picture, (name, row))
            if other != name:
                raise ValueError(
                    f"{table.path}, line {table.lines[row]}: {table.images[row]} is in the {name} part, and by line "
                    f"{table.lines[first]} in the {other} part; expected each picture in one of them"
                )
            twice += name == "test" and first != row
    if twice:
        told = f"{table.path}: {twice} rows of the test part repeat a picture of it, which counts again"
        warnings.warn(told, stacklevel=3)
