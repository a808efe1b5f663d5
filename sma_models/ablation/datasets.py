"""The faces of an ablation: synthetic ones, with separate subjects per split, or those of a CSV file."""

from typing import Any

import numpy as np

from sma_models.ablation.config import Ablation
from sma_models.data import CSVFaces
from sma_models.data.face_table import FaceTable, Splits
from sma_models.data.synthetic import SyntheticFaceData, SyntheticTable

# SyntheticFaceData has three splits, each with its own subjects.
_SPLITS = 3
# Classes with fewer photographs are left out: some folds would have none of them.
MIN_CLASS_FACES = 20


def backbone_data(settings: Ablation, workers: int) -> SyntheticFaceData:
    """Training data of the backbone of the heads protocol; it is not tested."""
    faces = settings.faces
    return SyntheticFaceData(
        train=faces.backbone,
        val=faces.backbone_val,
        test=1,
        subjects=faces.subjects,
        first_subject=settings.first_seed,
        cache=True,
        batch_size=settings.backbone.batch_size,
        num_workers=workers,
        seed=settings.first_seed,
    )


def arm_data(settings: Ablation, workers: int = 0) -> SyntheticFaceData:
    """Data for training, calibrating and testing the arms."""
    faces = settings.faces
    return SyntheticFaceData(
        train=faces.train,
        val=faces.val,
        test=faces.test,
        subjects=faces.subjects,
        first_subject=settings.first_seed + _SPLITS * faces.subjects,
        cache=True,
        batch_size=settings.training.batch_size,
        num_workers=workers,
        seed=settings.first_seed,
    )


def attention_faces(settings: Ablation) -> SyntheticTable:
    """The faces for scoring attention. Their action units are independent, so that each is visible in its own region only."""
    faces = settings.faces
    return SyntheticTable(
        [(faces.attention, faces.subjects)],
        seed=0,
        mode="independent",
        cache=True,
        first_subject=settings.first_seed + 2 * _SPLITS * faces.subjects,
    )


class FrequentClasses(CSVFaces):
    """Faces of a CSV file without the expression classes that have fewer faces than `MIN_CLASS_FACES`.

    left_out: names of those classes, from `setup` on
    """

    left_out: tuple[str, ...] = ()

    def load(self) -> tuple[FaceTable, Splits]:
        table, splits = super().load()
        if table.kind == "au":
            return table, splits
        counts = np.bincount(table.labels, minlength=len(table.regions))
        frequent = np.flatnonzero(counts >= MIN_CLASS_FACES)
        if len(frequent) < 2:
            raise ValueError(
                f"{self.csv}: expected at least two classes with {MIN_CLASS_FACES} faces or more; got {counts.max()}"
            )
        self.left_out = tuple(
            name for name, count in zip(table.regions, counts, strict=True) if count < MIN_CLASS_FACES
        )
        rows = np.isin(table.labels, frequent)
        # Rows that are left out are in no split, so their labels are never read.
        table.labels = np.searchsorted(frequent, table.labels)
        table.regions = tuple(table.regions[index] for index in frequent)
        return table, Splits(*(split[rows[split]] for split in splits))


def csv_data(settings: Ablation, workers: int = 0, fold: str = "") -> FrequentClasses:
    """One fold of the faces of the CSV file, the first by default."""
    assert settings.csv is not None
    sizes: Any = dict(
        batch_size=settings.backbone.batch_size, num_workers=workers, image_size=settings.network.image_size
    )
    return FrequentClasses(settings.csv, fold=fold, augment="strong", seed=settings.first_seed, **sizes)
