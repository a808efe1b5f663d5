"""Rows of a `FaceTable` as augmented samples."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from sma_models.data.face_table import UNKNOWN, FaceTable
from sma_models.data.transforms import Augment, canvas_size


class FaceDataset(Dataset[dict[str, Any]]):
    """Some rows of a `FaceTable` as samples.

    Indexed by (epoch, position); a sample is a dict: image uint8 [3,size,size], subject and sequence str, frame int, index int
    (the row in the table), and `labels` float [R] with `known` bool [R], or `label` int64.
    """

    def __init__(self, faces: FaceTable, rows: NDArray[np.int64], size: int, augment: str, seed: int):
        self.faces, self.rows, self.seed = faces, rows, seed
        self.canvas = canvas_size(size)
        self.augment = Augment(augment, size)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, position = key
        index = int(self.rows[position])
        image = torch.from_numpy(self.faces.image(index, self.canvas)).permute(2, 0, 1)
        sample = {
            "image": self.augment(image, (self.seed, epoch, index)).contiguous(),
            "subject": str(self.faces.subjects[index]),
            "sequence": str(self.faces.sequences[index]),
            "frame": int(self.faces.frames[index]),
            "index": index,
        }
        labels = self.faces.labels[index]
        if self.faces.kind == "expression":
            return {**sample, "label": torch.tensor(labels, dtype=torch.int64)}
        units = torch.from_numpy(labels)
        return {**sample, "labels": (units == 1).float(), "known": units != UNKNOWN}
