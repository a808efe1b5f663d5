"""Summary of what each split contains, printed before training starts."""

import numpy as np
from numpy.typing import NDArray

from sma_models.data.face_table import FaceTable, Splits


def contents(faces: FaceTable, splits: Splits) -> str:
    """A table: samples and subjects per split, and positives per action unit or samples per class."""
    table = [["split", "samples", "subjects", *faces.regions]]
    for name, rows in splits._asdict().items():
        subjects = set(faces.subjects[rows].tolist()) - {""}
        table.append([name, *map(str, (len(rows), len(subjects) or "-", *region_counts(faces, rows)))])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    return "\n".join([f"{'positives' if faces.kind == 'au' else 'samples'} per split:", *lines])


def region_counts(faces: FaceTable, rows: NDArray[np.int64]) -> list[int]:
    """How many of the rows [n] show each action unit or class."""
    return [int(present(faces, region)[rows].sum()) for region in range(len(faces.regions))]


def present(faces: FaceTable, region: int) -> NDArray[np.bool_]:
    """Which rows, bool [n], show the action unit or belong to the class with this number."""
    return faces.labels[:, region] == 1 if faces.kind == "au" else faces.labels == region


def underrepresented(faces: FaceTable, rows: NDArray[np.int64]) -> list[str]:
    """One phrase for each action unit or class that no subject, or only one, shows among the rows [n]."""
    problems = []
    for region, name in enumerate(faces.regions):
        subjects = set(faces.subjects[rows[present(faces, region)[rows]]].tolist())
        if not subjects:
            problems.append(f"{name} is absent")
        elif len(subjects) == 1 and "" not in subjects:
            problems.append(f"{name} comes from one subject only ({subjects.pop()})")
    return problems
