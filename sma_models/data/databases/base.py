"""What the databases share as training data: a manifest, and the fold that is tested."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray

from sma_models.data.base import FaceDataModule, FaceTable, Splits
from sma_models.data.crops import Crops
from sma_models.data.csv_table import ALL, CSVTable
from sma_models.data.manifest import facts_path
from sma_models.data.splits import validation_rows
from sma_models.utils.text_files import read_json


class Database(FaceDataModule):
    """The pictures of one database's manifest; the fold that is named tests, the others train.

    Of the others, action units validate on every fifth subject, expressions on the next fold.

    Args:
        manifest: CSV file that `sma-net data check` wrote
        fold:     name of the fold that is tested; "all" tests everything, and trains nothing
        root:     folder that holds the pictures, where it is another than at the time of the check
        au_threshold: for manifests of intensities: an action unit is present from this one on
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
            f"{self.protocol}: {len(table)} pictures, {len(table.regions)} regions: {', '.join(table.regions)}"
        )
        return table, self._parts(table)

    def _facts(self) -> dict[str, Any]:
        path = facts_path(self.manifest)
        for file in (self.manifest, path):
            if not file.is_file():
                raise FileNotFoundError(
                    f"there is no {file}: `sma-net data check --dataset {self.dataset} --root ... --manifest "
                    f"{self.manifest}` writes it"
                )
        facts = read_json(path)
        lacking = {"dataset", "settings", "images", "alignment"} - set(facts if isinstance(facts, dict) else ())
        if lacking:
            raise ValueError(
                f"{path}: expected what `sma-net data check` writes; it lacks {', '.join(sorted(lacking))}"
            )
        if facts["dataset"] != self.dataset:
            raise ValueError(f"{self.manifest}: expected a manifest of {self.dataset}; got one of {facts['dataset']}")
        return facts

    def _table(self, facts: dict[str, Any]) -> CSVTable:
        # The check has read every picture: looking for 146,847 of them again takes minutes on some file systems.
        root = self.root or facts["images"]
        return CSVTable(self.manifest, root, au_threshold=self.au_threshold, look_for_all=False)

    def _check_same_alignment(self, table: CSVTable) -> None:
        """ValueError if a `root` is given whose pictures are not aligned as those of the check were, by the first of them."""
        if self.root is None:
            return
        crop = Crops().of(table.images[0])
        here, then = ((facts["template"], facts["size"]) if facts else ("none",)
                      for facts in (crop.alignment.as_dict() if crop else None, self.alignment))  # fmt: skip
        if here != then:
            raise ValueError(
                f"{self.manifest} lists pictures that are aligned by {then}; those below the root {self.root} are aligned "
                f"by {here}: list them with `sma-net data check --images {self.root}`"
            )

    def _parts(self, table: CSVTable) -> Splits:
        if table.folds is None:
            raise ValueError(f"{self.manifest}: expected a column 'fold'")
        refuse_shared_subjects(table.subjects, table.folds, str(self.manifest))
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
            raise ValueError(f"{self.manifest}: no fold is left to train on beside {self.fold}; got {', '.join(names)}")
        return Splits(*(np.flatnonzero(part) for part in (train, val, test)))


def everything_tested(count: int) -> Splits:
    """Parts of `count` rows of which none is trained on."""
    rows = np.arange(count)
    return Splits(rows[:0], rows[:0], rows)


def folds_in_order(table: CSVTable) -> list[str]:
    """The names of a table's folds, "2" before "10"."""
    return sorted(set(table.folds.tolist() if table.folds is not None else ()), key=lambda name: (len(name), name))


def refuse_shared_subjects(subjects: NDArray[np.str_], folds: NDArray[np.str_], source: str) -> None:
    """ValueError if some subject [n] has rows in more than one fold [n]."""
    pairs = np.unique(np.stack([subjects, folds]), axis=1)
    names, counts = np.unique(pairs[0], return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{source}: in more than one fold: subjects {', '.join(names[counts > 1][:8])}")
