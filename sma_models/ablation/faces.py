"""The drawn faces of an ablation: every part has people of its own."""

from sma_models.ablation.settings import Ablation
from sma_models.data.synthetic import SyntheticFaceData, SyntheticTable

# SyntheticFaceData has three parts, each with its own people.
_RANGES = 3


def backbone_data(settings: Ablation, workers: int) -> SyntheticFaceData:
    """What the backbone of the heads tier is trained on; it is not tested."""
    faces = settings.faces
    return SyntheticFaceData(
        train=faces.backbone,
        val=faces.backbone_val,
        test=1,
        subjects=faces.subjects,
        first_subject=settings.start,
        keep=True,
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
        keep=True,
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
        keep=True,
        first_subject=settings.start + 2 * _RANGES * faces.subjects,
    )
