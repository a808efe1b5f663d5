"""Any faces that a CSV file lists, divided into parts by its own columns or by subject."""

from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from sma_models.data.base import FaceData, Faces, Parts
from sma_models.data.csv_table import BOX, CSVTable
from sma_models.data.database import ALL, everything_tested, refuse_shared_subjects
from sma_models.data.splits import (
    fold_of_subjects,
    strata_of,
    stratified_folds,
    validation_rows,
    warn_without_subjects,
)
from sma_models.faces.crops import Crops, common_alignment

FOLDS = 5


class CSVFaces(FaceData):
    """Faces of one CSV file; its format is in `CSVTable`.

    A column `split` gives the parts; a column `fold`, or else five subject-exclusive folds, gives the part `fold` to
    the test and the others to training, of which some subjects validate.

    Args:
        csv:          the file
        root:         folder that the column `image` is relative to; None is the CSV's own
        classes:      expression classes in order; None takes the sorted names of the file
        au_threshold: None reads action units as 0 and 1; a number reads intensities 0-5, positive from it on
        fold:         name of the fold to test on; "0" to "4" without a column `fold`; "all" tests every row, whatever
                      its columns say, and trains none
        people:       whose subjects these are, such as "disfa": a checkpoint that was trained on somebody of these
                      people is not tested on the same one; without it, on nobody of the same name
        settings:     see `FaceData`
    """

    def __init__(
        self,
        csv: str | Path,
        root: str | Path | None = None,
        classes: list[str] | None = None,
        au_threshold: int | None = None,
        fold: str = "0",
        people: str | None = None,
        **settings: Any,
    ):
        super().__init__(**settings)
        self.csv, self.root, self.classes, self.au_threshold = csv, root, classes, au_threshold
        self.fold, self.people = str(fold), people

    def fold_names(self) -> list[str]:
        table = CSVTable(self.csv, self.root, self.classes, self.au_threshold)
        return sorted(set(self._folds(table).tolist()), key=lambda name: (len(name), name))

    def load(self) -> tuple[Faces, Parts]:
        table = CSVTable(self.csv, self.root, self.classes, self.au_threshold)
        alignment = common_alignment(Crops().all_of(table.images), self.csv)
        if alignment and table.boxes is not None:
            raise ValueError(
                f"{self.csv}: crops of `sma-net align` have no face box; expected no columns {', '.join(BOX)}"
            )
        self.alignment = alignment.as_dict() if alignment else None
        self.protocol = f"{Path(self.csv).name}, fold {self.fold} tested"
        rank_zero_info(f"{len(table)} faces; {len(table.regions)} regions: {', '.join(table.regions)}")
        for parts in (table.splits, table.folds):
            if parts is not None and table.has_subjects:
                refuse_shared_subjects(table.subjects, parts, str(self.csv))
        if table.splits is not None and table.folds is not None:
            raise ValueError(f"{self.csv}: expected a column 'split' or a column 'fold'; got both")
        if self.fold == ALL:
            return table, everything_tested(len(table))
        return table, self._by_split(table) if table.splits is not None else self._by_fold(table)

    def _by_split(self, table: CSVTable) -> Parts:
        assert table.splits is not None
        train, val, test = (table.splits == name for name in ("train", "val", "test"))
        if self.selection == "last":
            train, val = train | val, np.zeros_like(val)
        elif not val.any():
            val = self._validation(table, train)
            train = train & ~val
        return _parts(train, val, test, self.csv)

    def _by_fold(self, table: CSVTable) -> Parts:
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
            return fold_of_subjects(table.subjects, FOLDS).astype(str)
        warn_without_subjects(str(self.csv))
        return stratified_folds(strata_of(table.labels), FOLDS, self.seed).astype(str)

    def _validation(self, table: CSVTable, train: np.ndarray) -> np.ndarray:
        """Rows that validate, bool [n], among the rows `train`."""
        rows = np.flatnonzero(train)
        chosen = np.zeros_like(train)
        if table.has_subjects:
            chosen[rows[validation_rows(table.subjects[rows], table.labels[rows], self.seed)]] = True
        else:
            parts = stratified_folds(strata_of(table.labels[rows]), FOLDS, self.seed + 1)
            chosen[rows[parts == 0]] = True
        return chosen


def _parts(train: np.ndarray, val: np.ndarray, test: np.ndarray, source: str | Path) -> Parts:
    if not train.any():
        raise ValueError(f"{source}: no row is left to train on")
    return Parts(*(np.flatnonzero(part) for part in (train, val, test)))
