"""Test-set predictions of one fold, saved so that folds can be aggregated."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sma_models.utils.finite import require_finite

PREDICTIONS = "answers_test.npz"  # its name and its keys stay: folds of older runs are aggregated with new ones

_KEYS = {"detected": "found"}
PER_SAMPLE = ("logits", "labels", "subjects", "sequences", "detected")


@dataclass
class Predictions:
    """One tested fold.

    logits:    float32 [n,R]
    labels:    int8 [n,R] (UNKNOWN if not coded) or int64 [n] of class numbers
    threshold: float32 [R], the smallest logit at which an action unit is predicted present; zeros for expressions
    subjects, sequences: str [n]; detected: bool [n], whether a face was detected when the image was aligned
    """

    logits: NDArray[np.float32]
    labels: NDArray[Any]
    threshold: NDArray[np.float32]
    subjects: NDArray[np.str_]
    sequences: NDArray[np.str_]
    detected: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """ValueError for logits or thresholds that are not finite: they would pass for predictions."""
        require_finite("logits of predictions", self.logits)
        require_finite("thresholds of predictions", self.threshold)

    def detected_only(self) -> "Predictions":
        """The predictions for images with a detected face."""
        return replace(self, **{name: getattr(self, name)[self.detected] for name in PER_SAMPLE})


def predictions_of(task: Any) -> Predictions:
    """The predictions of a task that has just been tested."""
    index, logits = task.tested
    faces, threshold = task.data.faces, task.thresholds()
    return Predictions(
        logits=logits,
        labels=faces.labels[index],
        threshold=np.zeros(logits.shape[1], np.float32) if threshold is None else threshold.cpu().numpy(),
        subjects=faces.subjects[index],
        sequences=faces.sequences[index],
        detected=faces.detected[index],
    )


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write predictions to a file, atomically: the file marks a run as finished."""
    unfinished = path.with_name("part_" + path.name)
    np.savez_compressed(unfinished, **{_KEYS.get(name, name): values for name, values in vars(predictions).items()})
    unfinished.replace(path)


def read_predictions(path: Path) -> Predictions:
    """The predictions of a file of `write_predictions`."""
    with np.load(path, allow_pickle=False) as stored:
        return Predictions(**{field.name: stored[_KEYS.get(field.name, field.name)] for field in fields(Predictions)})
