"""The faces that a CSV file lists, split by its own columns or by subject."""

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
from sma_models.data.split_summary import underrepresented
from sma_models.data.splits import (
    check_no_shared_subjects,
    everything_tested,
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

    A column `split` assigns every row, and counts as one fold. Otherwise one fold is tested and the others train, with
    some of their subjects for validation: the folds are those of a column `fold`, or else five subject-exclusive folds,
    stratified by class (or by the rarest action unit of a row). A warning names regions of the test split that are absent
    or come from one person. A column `found` records whether a face was detected; the default is what `sma-net align` recorded.

    Args:
        csv:          the file
        root:         folder that the column `image` is relative to; None means the folder of the CSV
        classes:      expression classes in order; None means the sorted names in the file
        au_threshold: None reads action units as 0 and 1; 1 to 5 reads intensities 0-5, and is the lowest positive one
        fold:         name of the fold to test on; "0" to "4" without a column `fold`, "split" with a column `split`;
                      "" is "0" or "split"; "all" tests every row, regardless of its columns, and trains none
        people:       the group that the subjects belong to, such as "disfa": a checkpoint is never tested on a subject it
                      was trained on; without a group, equal names count as the same subject
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
            raise ValueError(f"{self.csv}: expected rows of the split 'test'; got {', '.join(np.unique(table.splits))}")
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
            rank_zero_info(f"ignored columns: {', '.join(table.unused)}")
        for groups in (table.splits, table.folds):
            if groups is not None and table.has_subjects:
                check_no_shared_subjects(table.subjects, groups, str(self.csv))
        splits = self._split_rows(table)
        _check_images_in_one_split(table, splits)
        if len(splits.test) and (problems := underrepresented(table, splits.test)):
            warnings.warn(f"{self.protocol}: in the test split {'; '.join(problems)}", stacklevel=2)
        return table, splits

    def _table(self) -> CSVTable:
        table = CSVTable(self.csv, self.root, self.classes, self.au_threshold)
        if table.splits is not None and table.folds is not None:
            raise ValueError(f"{self.csv}: expected a column 'split' or a column 'fold'; got both")
        return table

    def _split_rows(self, table: CSVTable) -> Splits:
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
        return _splits(train, val, test, self.csv)

    def _by_fold(self, table: CSVTable) -> Splits:
        folds = self._folds(table)
        names = sorted(set(folds))
        if self.fold not in names:
            raise ValueError(f"fold must be one of {', '.join(names)}; got {self.fold!r}")
        test = folds == self.fold
        val = self._validation(table, ~test) if self.selection == "val" else np.zeros_like(test)
        return _splits(~test & ~val, val, test, self.csv)

    def _folds(self, table: CSVTable) -> np.ndarray:
        if table.folds is not None:
            return table.folds
        if table.has_subjects:
            return stratified_subject_folds(table.subjects, strata_of(table.labels), FOLDS).astype(str)
        warn_without_subjects(str(self.csv))
        return stratified_folds(strata_of(table.labels), FOLDS, self.seed).astype(str)

    def _validation(self, table: CSVTable, train: np.ndarray) -> np.ndarray:
        """The validation rows, bool [n], among the rows `train`."""
        rows = np.flatnonzero(train)
        validation = np.zeros_like(train)
        if table.has_subjects or table.kind == "au":
            # Without subjects every image counts as its own subject, in an order set by the seed.
            shuffled = np.random.default_rng(self.seed).permutation(len(rows))
            subjects = table.subjects[rows] if table.has_subjects else shuffled
            validation[rows[validation_rows(subjects, table.labels[rows], self.seed)]] = True
        else:
            folds = stratified_folds(strata_of(table.labels[rows]), FOLDS, self.seed + 1)
            validation[rows[folds == 0]] = True
        return validation


def _splits(train: np.ndarray, val: np.ndarray, test: np.ndarray, source: str | Path) -> Splits:
    if not train.any():
        raise _nothing_to_train_on(source)
    return Splits(*(np.flatnonzero(mask) for mask in (train, val, test)))


def _nothing_to_train_on(source: str | Path) -> ValueError:
    return ValueError(f"{source}: no row is left to train on")


def _check_images_in_one_split(table: CSVTable, splits: Splits) -> None:
    """Raises ValueError if an image (with the same face box, if any) is in two splits; warns if it is tested twice."""
    seen: dict[tuple[str, tuple[float, ...] | None], tuple[str, int]] = {}
    repeats = 0
    for name, rows in splits._asdict().items():
        for row in rows.tolist():
            key = normpath(table.images[row]), table.boxes[row] if table.boxes is not None else None
            other, first = seen.setdefault(key, (name, row))
            if other != name:
                raise ValueError(
                    f"{table.path}, line {table.lines[row]}: {table.images[row]} is in the {name} split, and by line "
                    f"{table.lines[first]} in the {other} split; expected each image in one split"
                )
            repeats += name == "test" and first != row
    if repeats:
        warnings.warn(
            f"{table.path}: {repeats} rows of the test split repeat an image, which is scored again", stacklevel=3
        )
