"""The faces of an ablation: drawn ones, of which every part has people of its own, or those of a CSV file."""

from typing import Any

import numpy as np

from sma_models.ablation.config import Ablation
from sma_models.data import CSVFaces
from sma_models.data.face_table import FaceTable, Splits
from sma_models.data.synthetic import SyntheticFaceData, SyntheticTable

# SyntheticFaceData has three parts, each with its own people.
_RANGES = 3
# Classes with fewer photographs are left out: some folds would have none of them.
FEWEST = 20


def backbone_data(settings: Ablation, workers: int) -> SyntheticFaceData:
    """What the backbone of the heads tier is trained on; it is not tested."""
    faces = settings.faces
    return SyntheticFaceData(
        train=faces.backbone,
        val=faces.backbone_val,
        test=1,
        subjects=faces.subjects,
        first_subject=settings.start,
        cache=True,
        batch_size=settings.backbone.batch_size,
        num_workers=workers,
        seed=settings.start,
    )


def arm_data(settings: Ablation, workers: int = 0) -> SyntheticFaceData:
    """What arms are trained, calibrated and tested on."""
    faces = settings.faces
    return SyntheticFaceData(
        train=faces.train,
        val=faces.val,
        test=faces.test,
        subjects=faces.subjects,
        first_subject=settings.start + _RANGES * faces.subjects,
        cache=True,
        batch_size=settings.training.batch_size,
        num_workers=workers,
        seed=settings.start,
    )


def attention_faces(settings: Ablation) -> SyntheticTable:
    """What attention is scored on: independent action units, so that only an action unit's own region tells it."""
    faces = settings.faces
    return SyntheticTable(
        [(faces.attention, faces.subjects)],
        seed=0,
        mode="independent",
        cache=True,
        first_subject=settings.start + 2 * _RANGES * faces.subjects,
    )


class FrequentClasses(CSVFaces):
    """Faces of a CSV file without the expression classes of which it has fewer than `FEWEST`.

    left_out: names of those classes, from `setup` on
    """

    left_out: tuple[str, ...] = ()

    def load(self) -> tuple[FaceTable, Splits]:
        table, parts = super().load()
        if table.kind == "au":
            return table, parts
        counts = np.bincount(table.labels, minlength=len(table.regions))
        kept = np.flatnonzero(counts >= FEWEST)
        if len(kept) < 2:
            raise ValueError(
                f"{self.csv}: expected at least two classes with {FEWEST} faces or more; got {counts.max()}"
            )
        self.left_out = tuple(name for name, count in zip(table.regions, counts, strict=True) if count < FEWEST)
        rows = np.isin(table.labels, kept)
        # Rows that are left out are in no part, so that their labels are never read.
        table.labels = np.searchsorted(kept, table.labels)
        table.regions = tuple(table.regions[place] for place in kept)
        return table, Splits(*(part[rows[part]] for part in parts))


def own_data(settings: Ablation, workers: int = 0, fold: str = "") -> FrequentClasses:
    """One fold of the faces of the CSV file, the first by default."""
    assert settings.csv is not None
    sizes: Any = dict(
        batch_size=settings.backbone.batch_size, num_workers=workers, image_size=settings.network.image_size
    )
    return FrequentClasses(settings.csv, fold=fold, augment="strong", seed=settings.start, **sizes)
