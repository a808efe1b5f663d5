"""Checks before training starts."""

from typing import Any

from sma_models.data.data_module import FaceDataModule

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def check_precision(trainer: Any) -> None:
    """ValueError for a precision that would round thresholds, or that the operators do not support."""
    if trainer.precision not in PRECISIONS:
        raise ValueError(f"trainer.precision must be one of {', '.join(PRECISIONS)}; got {trainer.precision!r}")


def check_a_score_is_possible(data: FaceDataModule) -> None:
    """ValueError if no action unit is both present and absent in the validation split: no epoch would have a score."""
    labels = data.faces.labels[data.splits.val]
    if not ((labels == 1).any(0) & (labels == 0).any(0)).any():
        raise ValueError(
            f"no epoch can be selected: in the validation split, {len(labels)} faces, none of {', '.join(data.faces.regions)} "
            "is both present and absent; add such faces, or select the last epoch with --data.selection last"
        )
