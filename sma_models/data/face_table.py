"""Tables of labeled face images, and their division into training, validation and test rows."""

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1  # the label of an action unit that could not be coded


class FaceTable(ABC):
    """Labeled face images, read one by one.

    kind:      "au" (action units) or "expression"
    regions:   names of the R action units or classes
    labels:    int8 [n,R] of 0, 1 and UNKNOWN for action units; int64 [n] of class numbers for expressions
    subjects, sequences: str [n]; frames: int64 [n], 0 where there is no number
    detected:  bool [n], whether the image was aligned by its own face
    """

    kind: Literal["au", "expression"]
    regions: tuple[str, ...]
    labels: NDArray[Any]
    subjects: NDArray[np.str_]
    sequences: NDArray[np.str_]
    frames: NDArray[np.int64]
    detected: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def image(self, index: int, size: int) -> NDArray[np.uint8]:
        """One face, uint8 RGB [size,size,3]."""


class Splits(NamedTuple):
    """Row numbers, int64, of the training, validation and test splits; the last two may be empty."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]
