"""The data module that all databases share: a manifest with one test fold."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch.utilities import rank_zero_info

from sma_models.data.crops import Crops
from sma_models.data.csv_table import ALL, CSVTable
from sma_models.data.data_module import FaceDataModule
from sma_models.data.face_table import FaceTable, Splits
from sma_models.data.manifest import facts_path
from sma_models.data.splits import check_no_shared_subjects, everything_tested, validation_rows
from sma_models.utils.text_files import read_json


class Database(FaceDataModule):
    """The images of one database's manifest: the named fold is tested, the others train.

    Validation uses every fifth subject of the other folds for action units, and the next fold for expressions.

    Args:
        manifest: CSV file that `sma-net data check` wrote
        fold:     name of the tested fold; "all" tests everything and trains nothing
        root:     folder of the images, if it has moved since the check
        au_threshold: for manifests of intensities: the lowest intensity that counts as present
        settings: see `FaceDataModule`
    """

    dataset: ClassVar[str]

    def __init__(
        self,
        manifest: str | Path,
        fold: str,
        root: str | Path | None = None,
        au_threshold: int | None = None,
        **settings: Any,
    ):
        super().__init__(**settings)
        self.people = self.dataset
        self.manifest, self.fold, self.root, self.au_threshold = Path(manifest), str(fold), root, au_threshold

    def fold_names(self) -> list[str]:
        return folds_in_order(self._table(self._facts()))

    def load(self) -> tuple[FaceTable, Splits]:
        facts = self._facts()
        table = self._table(facts)
        self.alignment = facts["alignment"]
        self._check_same_alignment(table)
        self.protocol = f"{self.dataset} {facts['settings']}, fold {self.fold} tested"
        rank_zero_info(
            f"{self.protocol}: {len(table)} images, {len(table.regions)} regions: {', '.join(table.regions)}"
        )
        return table, self._splits(table)

    def _facts(self) -> dict[str, Any]:
        path = facts_path(self.manifest)
        for file in (self.manifest, path):
            if not file.is_file():
                raise FileNotFoundError(
                    f"there is no {file}: `sma-net data check --dataset {self.dataset} --root ... --manifest "
                    f"{self.manifest}` writes it"
                )
        facts = read_json(path)
        missing = {"dataset", "settings", "images", "alignment"} - set(facts if isinstance(facts, dict) else ())
        if missing:
            raise ValueError(f"{path}: expected a file of `sma-net data check`; it lacks {', '.join(sorted(missing))}")
        if facts["dataset"] != self.dataset:
            raise ValueError(f"{self.manifest}: expected a manifest of {self.dataset}; got one of {facts['dataset']}")
        return facts

    def _table(self, facts: dict[str, Any]) -> CSVTable:
        # The check has read every image; stat calls on 146,847 files take minutes on some file systems.
        root = self.root or facts["images"]
        return CSVTable(self.manifest, root, au_threshold=self.au_threshold, check_files=False)

    def _check_same_alignment(self, table: CSVTable) -> None:
        """Raises ValueError if the first image below a given `root` was aligned differently from those of the check."""
        if self.root is None:
            return
        crop = Crops().of(table.images[0])
        actual, checked = ((facts["template"], facts["size"]) if facts else ("none",)
                      for facts in (crop.alignment.as_dict() if crop else None, self.alignment))  # fmt: skip
        if actual != checked:
            raise ValueError(
                f"{self.manifest} lists images that are aligned by {checked}; those below the root {self.root} are aligned "
                f"by {actual}: list them with `sma-net data check --images {self.root}`"
            )

    def _splits(self, table: CSVTable) -> Splits:
        if table.folds is None:
            raise ValueError(f"{self.manifest}: expected a column 'fold'; got {table.columns}")
        check_no_shared_subjects(table.subjects, table.folds, str(self.manifest))
        if self.fold == ALL:
            return everything_tested(len(table))
        names = folds_in_order(table)
        if self.fold not in names:
            raise ValueError(f"fold must be one of {', '.join(names)} or {ALL}; got {self.fold!r}")
        test = table.folds == self.fold
        val = np.zeros_like(test)
        if self.selection == "val" and table.kind == "expression":
            val = table.folds == names[(names.index(self.fold) + 1) % len(names)]
        elif self.selection == "val":
            training = np.flatnonzero(~test)
            val[training] = validation_rows(table.subjects[training], table.labels[training], self.seed)
        train = ~test & ~val
        if not train.any():
            raise ValueError(
                f"{self.manifest}: no fold is left to train on besides {self.fold}; got {', '.join(names)}"
            )
        return Splits(*(np.flatnonzero(mask) for mask in (train, val, test)))


def folds_in_order(table: CSVTable) -> list[str]:
    """The names of a table's folds, "2" before "10"."""
    return sorted(set(table.folds.tolist() if table.folds is not None else ()), key=lambda name: (len(name), name))
