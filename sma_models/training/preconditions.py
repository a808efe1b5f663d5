"""What a training is refused for before it begins."""

from typing import Any

from sma_models.data.data_module import FaceDataModule

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def check_precision(trainer: Any) -> None:
    """ValueError for a precision in which thresholds would be rounded, or which the operators do not take."""
    if trainer.precision not in PRECISIONS:
        raise ValueError(f"trainer.precision must be one of {', '.join(PRECISIONS)}; got {trainer.precision!r}")


def check_a_score_is_possible(data: FaceDataModule) -> None:
    """ValueError if no action unit is both present and absent in the validation part: no epoch would have a score."""
    labels = data.faces.labels[data.splits.val]
    if not ((labels == 1).any(0) & (labels == 0).any(0)).any():
        raise ValueError(
            f"no epoch can be chosen: the validation part, {len(labels)} faces, shows none of {', '.join(data.faces.regions)} "
            "both present and absent; add faces that do, or choose the last epoch with --data.selection last"
        )
