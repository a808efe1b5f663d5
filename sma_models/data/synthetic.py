"""Synthetic faces as a data module."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sma_models.data.data_module import FaceDataModule
from sma_models.data.face_table import FaceTable, Splits
from sma_models.synthetic import AUS, SyntheticFaces


class SyntheticTable(FaceTable):
    """Faces of several ranges of subjects as one table.

    ranges:        (images, subjects) of each range; consecutive ranges share no subject
    cache:         keep images in memory once rendered
    first_subject: number of the first subject of the first range
    """

    def __init__(self, ranges: list[tuple[int, int]], seed: int, mode: str, cache: bool, first_subject: int = 0):
        self.kind = "au"
        self.regions = tuple(f"AU{number}" for number in AUS)
        self._ranges, self._seed, self._mode, self._first_subject = ranges, seed, mode, first_subject
        self._cache: dict[tuple[int, int], NDArray[np.uint8]] | None = {} if cache else None
        # Labels do not depend on the image size.
        datasets = self.datasets(32)
        self.starts = np.cumsum([0, *(len(faces) for faces in datasets)])
        self.labels = np.concatenate([faces.all_labels() for faces in datasets]).astype(np.int8)
        self.subjects = np.concatenate(
            [np.array([f"{faces.subject(i):06d}" for i in range(len(faces))]) for faces in datasets]
        )
        self.sequences = self.subjects
        self.frames = np.concatenate([np.arange(len(faces)) for faces in datasets])
        self.detected = np.ones(len(self.labels), bool)

    def datasets(self, size: int) -> list[SyntheticFaces]:
        """The faces of each range, rendered at `size` pixels."""
        first = np.cumsum([self._first_subject, *(subjects for _, subjects in self._ranges)])
        return [
            SyntheticFaces(
                images,
                seed=self._seed,
                size=size,
                subjects=subjects,
                first_subject=int(start),
                mode=self._mode,
            )
            for (images, subjects), start in zip(self._ranges, first, strict=False)
        ]

    def image(self, index: int, size: int) -> NDArray[np.uint8]:
        if self._cache is not None and (index, size) in self._cache:
            return self._cache[index, size]
        faces, number = self._locate(index, size)
        image = faces[number].image
        if self._cache is not None:
            self._cache[index, size] = image
        return image

    def intensities(self) -> NDArray[np.int8]:
        """The intensity of every action unit, int8 [n,R] in 0 to 5."""
        return np.concatenate([faces.all_intensities() for faces in self.datasets(32)])

    def true_regions(self, index: int, size: int) -> NDArray[np.bool_]:
        """Where each action unit is visible, bool [R,size,size]."""
        faces, number = self._locate(index, size)
        return faces.regions(number)

    def _locate(self, index: int, size: int) -> tuple[SyntheticFaces, int]:
        range_index = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.datasets(size)[range_index], index - int(self.starts[range_index])


class SyntheticFaceData(FaceDataModule):
    """Synthetic faces with 15 action units; no subject is in two splits.

    Args:
        train, val, test: images per split
        subjects:         subjects per split
        faces_seed:       of the faces themselves; `seed` sets only order and augmentation
        mode:             "correlated" or "independent" action units
        first_subject:    number of the first subject; data whose ranges do not overlap share no subject
        cache:            keep images in memory once rendered, in every worker (36 kB each at 110 pixels)
        settings:         see `FaceDataModule`
    """

    def __init__(
        self,
        train: int = 4000,
        val: int = 1000,
        test: int = 1000,
        subjects: int = 200,
        faces_seed: int = 0,
        mode: str = "correlated",
        cache: bool = False,
        first_subject: int = 0,
        **settings: Any,
    ):
        super().__init__(**settings)
        for name, count in (("train", train), ("val", val), ("test", test)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1; got {count}")
        self.counts, self.subjects, self.faces_seed = (train, val, test), subjects, faces_seed
        self.mode, self.cache, self.first_subject = mode, cache, first_subject

    def load(self) -> tuple[FaceTable, Splits]:
        ranges = [(n, self.subjects) for n in self.counts]
        table = SyntheticTable(ranges, self.faces_seed, self.mode, self.cache, self.first_subject)
        train, val, test = (np.arange(a, b) for a, b in zip(table.starts[:-1], table.starts[1:], strict=True))
        if self.selection == "last":
            train, val = np.concatenate([train, val]), train[:0]
        return table, Splits(train, val, test)
