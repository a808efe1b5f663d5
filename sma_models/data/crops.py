"""What `sma-net align` noted of pictures, wherever among its folders they lie."""

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
    """One crop: how it was aligned, whether a face was found in its source, and whether that lay on its side."""

    alignment: Alignment
    found: bool = True
    turned: bool = False


class Crops:
    """Looks pictures up in the alignment.csv of the folder that they, or what they are links to, lie in or below.

    Each file is read once.
    """

    def __init__(self) -> None:
        self._tops: dict[Path, Path | None] = {}
        self._noted: dict[Path, dict[str, Crop] | Crop] = {}
        self._real: dict[Path, Path] = {}

    def of(self, picture: str | Path) -> Crop | None:
        """The crop that a picture is; None if `sma-net align` did not write it."""
        path = Path(picture).absolute()
        crop = self._at(path)
        if crop is None:
            if path.parent not in self._real:
                self._real[path.parent] = path.parent.resolve()
            real = path.resolve() if path.is_symlink() else self._real[path.parent] / path.name
            crop = self._at(real) if real != path else None
        return crop

    def _at(self, path: Path) -> Crop | None:
        top = self._top(path.parent)
        if top is None:
            return None
        if top not in self._noted:
            self._noted[top] = _read(top)
        noted = self._noted[top]
        return noted if isinstance(noted, Crop) else noted.get(path.relative_to(top).as_posix())

    def all_of(self, pictures: Iterable[str | Path]) -> list[Crop | None]:
        """The crop that each picture is, or None."""
        return [self.of(picture) for picture in pictures]

    def _top(self, folder: Path) -> Path | None:
        if folder not in self._tops:
            above = folder.parent
            noted = (folder / FACTS).is_file()
            self._tops[folder] = folder if noted else self._top(above) if above != folder else None
        return self._tops[folder]


def _read(top: Path) -> dict[str, Crop] | Crop:
    """Crops of a folder by their path in it; one for all where the folder has no table of them."""
    alignment = Alignment.of_folder(top)
    assert alignment is not None
    if not (top / ROWS).is_file():
        return Crop(alignment)
    return {
        row["crop"]: Crop(alignment, row["found"] == "1", row.get("turned") == "1")
        for row in read_rows(top / ROWS)
        if row["crop"]
    }


def detected_faces(pictures: Iterable[str | Path]) -> NDArray[np.bool_]:
    """bool [n]: False for crops of frames in which no face was found."""
    return np.array([crop is None or crop.found for crop in Crops().all_of(pictures)], bool)


def common_alignment(crops: Iterable[Crop | None], source: str | Path) -> Alignment | None:
    """How the pictures of `source` were aligned; None: elsewhere. ValueError that names `source` if not all alike.

    Detectors may differ: all are named.
    """
    alignments = Counter(crop.alignment if crop else None for crop in crops)
    kinds = Counter[str]()
    for alignment, count in alignments.items():
        kinds[f"{alignment.template} at {alignment.size} pixels" if alignment else "not by `sma-net align`"] += count
    if len(kinds) > 1:
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        raise ValueError(f"{source}: expected pictures that are aligned alike; got {told}")
    known = [alignment for alignment in alignments if alignment]
    detectors = ", ".join(sorted({alignment.detector for alignment in known}))
    return replace(known[0], detector=detectors) if known else None
