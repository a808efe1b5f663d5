"""What the parts of a set of faces hold, to be read before hours are spent on them."""

import numpy as np
from numpy.typing import NDArray

from sma_models.data.face_table import FaceTable, Splits


def contents(faces: FaceTable, parts: Splits) -> str:
    """A table: samples and subjects of each part, and the positives of each action unit or the samples of each class."""
    table = [["part", "samples", "subjects", *faces.regions]]
    for name, rows in parts._asdict().items():
        subjects = set(faces.subjects[rows].tolist()) - {""}
        table.append([name, *map(str, (len(rows), len(subjects) or "-", *region_counts(faces, rows)))])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join([f"{'positives' if faces.kind == 'au' else 'samples'} of each part:", *lines])


def region_counts(faces: FaceTable, rows: NDArray[np.int64]) -> list[int]:
    """How many of some rows show each action unit or class."""
    return [int(shows(faces, region)[rows].sum()) for region in range(len(faces.regions))]


def shows(faces: FaceTable, region: int) -> NDArray[np.bool_]:
    """Which rows [n] show an action unit, or are of a class, by its number."""
    return faces.labels[:, region] == 1 if faces.kind == "au" else faces.labels == region


def few_people(faces: FaceTable, rows: NDArray[np.int64]) -> list[str]:
    """Of each action unit or class that nobody or one subject shows among some rows: its name and what is the matter."""
    told = []
    for region, name in enumerate(faces.regions):
        subjects = set(faces.subjects[rows[shows(faces, region)[rows]]].tolist())
        if not subjects:
            told.append(f"{name} is absent")
        elif len(subjects) == 1 and "" not in subjects:
            told.append(f"{name} is one subject's alone ({subjects.pop()})")
    return told
