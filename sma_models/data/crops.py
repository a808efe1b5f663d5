"""Looks up what `sma-net align` recorded about an image, from any folder above it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sma_models.data.alignment import FACTS, ROWS, Alignment
from sma_models.data.alignment_table import read_rows


class Crop(NamedTuple):
    """One crop: how it was aligned, whether a face was detected in its source, and whether the source was sideways."""

    alignment: Alignment
    detected: bool = True
    turned: bool = False


class Crops:
    """Looks up images in the alignment.csv of a folder that contains them, or that contains what they link to.

    Each file is read once.
    """

    def __init__(self) -> None:
        self._tops: dict[Path, Path | None] = {}
        self._records: dict[Path, dict[str, Crop] | Crop] = {}
        self._resolved: dict[Path, Path] = {}

    def of(self, image: str | Path) -> Crop | None:
        """The record of an image, or None if `sma-net align` did not write it."""
        path = Path(image).absolute()
        crop = self._at(path)
        if crop is None:
            if path.parent not in self._resolved:
                self._resolved[path.parent] = path.parent.resolve()
            real = path.resolve() if path.is_symlink() else self._resolved[path.parent] / path.name
            crop = self._at(real) if real != path else None
        return crop

    def _at(self, path: Path) -> Crop | None:
        top = self._top(path.parent)
        if top is None:
            return None
        if top not in self._records:
            self._records[top] = _read(top)
        records = self._records[top]
        return records if isinstance(records, Crop) else records.get(path.relative_to(top).as_posix())

    def all_of(self, images: Iterable[str | Path]) -> list[Crop | None]:
        """The record of each image, or None."""
        return [self.of(image) for image in images]

    def _top(self, folder: Path) -> Path | None:
        if folder not in self._tops:
            parent = folder.parent
            is_top = (folder / FACTS).is_file()
            self._tops[folder] = folder if is_top else self._top(parent) if parent != folder else None
        return self._tops[folder]


def _read(top: Path) -> dict[str, Crop] | Crop:
    """The crops of a folder by relative path, or a single record for all if the folder has no table."""
    alignment = Alignment.of_folder(top)
    assert alignment is not None
    if not (top / ROWS).is_file():
        return Crop(alignment)
    return {
        row["crop"]: Crop(alignment, row["found"] == "1", row.get("turned") == "1")
        for row in read_rows(top / ROWS)
        if row["crop"]
    }


def detected_faces(images: Iterable[str | Path]) -> NDArray[np.bool_]:
    """Whether a face was detected, bool [n]; True for images that `sma-net align` did not write."""
    return np.array([crop is None or crop.detected for crop in Crops().all_of(images)], bool)


def common_alignment(crops: Iterable[Crop | None], source: str | Path) -> Alignment | None:
    """The alignment that all images of `source` share, or None if they come from elsewhere; detectors may differ.

    Raises ValueError, naming `source`, if the images were aligned in different ways.
    """
    alignments = Counter(crop.alignment if crop else None for crop in crops)
    kinds = Counter[str]()
    for alignment, count in alignments.items():
        kinds[f"{alignment.template} at {alignment.size} pixels" if alignment else "not by `sma-net align`"] += count
    if len(kinds) > 1:
        mixture = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        raise ValueError(f"{source}: expected images that are all aligned in the same way; got {mixture}")
    known = [alignment for alignment in alignments if alignment]
    detectors = ", ".join(sorted({alignment.detector for alignment in known}))
    return replace(known[0], detector=detectors) if known else None
