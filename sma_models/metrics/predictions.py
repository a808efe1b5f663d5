"""What a network answered to every test sample, kept so that folds can be pooled."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sma_models.utils.finite import require_finite

PREDICTIONS = "answers_test.npz"


@dataclass
class Predictions:
    """One tested fold.

    logits:    float32 [n,R]
    labels:    int8 [n,R] (UNKNOWN where nobody could code it) or int64 [n] of class numbers
    threshold: float32 [R], the logits from which on an action unit is called present; zeros for expressions
    subjects, sequences: str [n]; found: bool [n], whether a face was found when the picture was aligned
    """

    logits: NDArray[np.float32]
    labels: NDArray[Any]
    threshold: NDArray[np.float32]
    subjects: NDArray[np.str_]
    sequences: NDArray[np.str_]
    found: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """ValueError for logits or thresholds that are not finite: they would be taken for answers."""
        require_finite("logits of answers", self.logits)
        require_finite("thresholds of answers", self.threshold)

    def with_a_face(self) -> "Predictions":
        """Those to pictures in which a face was found."""
        kept = {n: getattr(self, n)[self.found] for n in ("logits", "labels", "subjects", "sequences", "found")}
        return replace(self, **kept)


def predictions_of(task: Any) -> Predictions:
    """The answers of a task that has just been tested."""
    index, logits = task.tested
    faces, threshold = task.data.faces, task.thresholds()
    return Predictions(
        logits=logits,
        labels=faces.labels[index],
        threshold=np.zeros(logits.shape[1], np.float32) if threshold is None else threshold.cpu().numpy(),
        subjects=faces.subjects[index],
        sequences=faces.sequences[index],
        found=faces.detected[index],
    )


def write_predictions(answers: Predictions, path: Path) -> None:
    """Store them as a file."""
    part = path.with_name("part_" + path.name)
    np.savez_compressed(part, **vars(answers))
    # It marks a run as finished, so it is there as a whole or not at all.
    part.replace(path)


def read_predictions(path: Path) -> Predictions:
    """The answers of a file of `write_predictions`."""
    with np.load(path, allow_pickle=False) as stored:
        return Predictions(**{name: stored[name] for name in stored.files})
