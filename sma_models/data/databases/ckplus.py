"""CK+: posed expressions of 123 subjects, from neutral to the apex."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from sma_models.data.databases.base import Database
from sma_models.data.manifest import (
    UNLABELLED,
    DatabaseIndex,
    Sample,
    folder,
    folds_by_rank,
    images_by_number,
    visible,
)
from sma_models.utils.text_files import read_text

EMOTIONS = {1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "happiness", 6: "sadness", 7: "surprise"}
FOLDS = 10
APEX_FRAMES = 3


def index_ckplus(
    root: Path,
    images: Path | None = None,
    label: Literal["expression", "au"] = "expression",
    classes: Literal[6, 7, 8] = 7,
) -> DatabaseIndex:
    """The last three frames of every labeled sequence of CK+, or the apex of every sequence with its action units.

    Args:
        root:    folder that contains Emotion or FACS
        images:  folder that contains cohn-kanade-images; None means `root`
        label:   "expression", or "au": the last frame of each sequence that has FACS codes
        classes: 7; 6 without contempt; 8 with the first frame of each labeled sequence as neutral
    """
    if classes not in (6, 7, 8):
        raise ValueError(f"classes must be 6, 7 or 8; got {classes}")
    index = DatabaseIndex("ckplus", Path(images or root), {"label": label})
    if label == "au":
        _add_units(index, Path(root))
    else:
        index.settings["classes"] = classes
        _add_expressions(index, Path(root), classes)
    return index


def read_emotion(path: Path) -> str:
    """The emotion in a file of one number. Raises ValueError otherwise."""
    text = read_text(path).split()
    try:
        return EMOTIONS[_whole(text[0])] if len(text) == 1 else EMOTIONS[0]
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{path}: expected one number of 1 to 7; got {' '.join(text)!r}") from error


def read_facs(path: Path) -> dict[int, int | None]:
    """Intensity of every action unit at the apex of a sequence; None if it was visible but not scored (a 0)."""
    units: dict[int, int | None] = {}
    for line, text in enumerate(read_text(path).splitlines(), 1):
        if not text.strip():
            continue
        try:
            unit, intensity = (_whole(cell) for cell in text.split())
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: expected an action unit and an intensity; got {text!r}") from error
        if unit < 1 or not 0 <= intensity <= 5 or unit in units:
            raise ValueError(
                f"{path}, line {line}: expected a new action unit and an intensity of 0 to 5; got {text!r}"
            )
        units[unit] = intensity or None
    return units


def _whole(text: str) -> int:
    number = float(text)
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"{text!r} is not a whole number")
    return int(number)


def _label_files(
    root: Path, kind: str, index: DatabaseIndex
) -> Iterator[tuple[str, str, Path | None, dict[int, Path]]]:
    """Subject, sequence, label file (or None) and images of every sequence with a folder of images or labels."""
    label_folder, image_folder = (
        folder(root / kind, "S005/001"),
        folder(index.images / "cohn-kanade-images", "S005/001"),
    )
    names = {
        path.relative_to(top) for top in (label_folder, image_folder) for path in top.glob("S*/*") if path.is_dir()
    }
    for name in sorted(names):
        subject, sequence = name.parts
        if re.fullmatch(r"S\d{3}", subject) is None or re.fullmatch(r"\d{3}", sequence) is None:
            index.extra.append(str(name))
            continue
        suffix = f"_{kind.lower()}.txt"
        files = visible(label_folder / name, f"*{suffix}")
        if len(files) > 1:
            raise ValueError(f"{label_folder / name}: expected one file *{suffix}; got {len(files)}")
        images = images_by_number(image_folder / name, index.extra) if (image_folder / name).is_dir() else {}
        if files and not images:
            index.missing.append(str(name))
        elif not files:
            index.unlabelled.append(str(name))
        yield subject, sequence, files[0] if files else None, images


def _add_expressions(index: DatabaseIndex, root: Path, classes: int) -> None:
    # 327 of the 593 sequences have an emotion.
    index.expected = {UNLABELLED: 266}
    if classes > 6:
        index.expected |= {"subjects": 118, "sequences": 327, "frames": 981}
    if classes == 8:
        index.expected |= {"frames": 1308, "neutral": 327}
    labelled = []
    for subject, sequence, file, images in _label_files(root, "Emotion", index):
        if file is None:
            continue
        # Every labeled subject counts, used or not, so that folds are the same for every choice of classes.
        labelled.append(subject)
        emotion = read_emotion(file)
        if not images or (emotion == "contempt" and classes == 6):
            continue
        frames = list(images.items())
        if len(frames) <= APEX_FRAMES:
            index.left_out.append(f"{subject}/{sequence} (expected more than {APEX_FRAMES} images; got {len(frames)})")
            continue
        if classes == 8:
            index.samples.append(Sample(frames[0][1], subject, sequence, frames[0][0], "neutral"))
        for frame, image in frames[-APEX_FRAMES:]:
            index.samples.append(Sample(image, subject, sequence, frame, emotion))
    index.folds = folds_by_rank(labelled, FOLDS)


def _add_units(index: DatabaseIndex, root: Path) -> None:
    index.expected = {"subjects": 123, "sequences": 593, "frames": 593}
    shown = {
        (subject, sequence): (list(images.items())[-1], read_facs(file))
        for subject, sequence, file, images in _label_files(root, "FACS", index)
        if file is not None and images
    }
    index.units = tuple(sorted({unit for _, units in shown.values() for unit in units}))
    for (subject, sequence), ((frame, image), units) in shown.items():
        cells = tuple(int(unit in units) for unit in index.units)
        index.samples.append(Sample(image, subject, sequence, frame, cells))
    index.folds = folds_by_rank((subject for subject, _ in shown), FOLDS)


class CKPlus(Database):
    """CK+'s expressions in ten folds, "0" to "9".

    Args:
        manifest: CSV file that `sma-net data check --dataset ckplus` wrote
        settings: see `Database`
    """

    dataset = "ckplus"

    def __init__(self, manifest: str | Path, fold: str = "0", **settings: Any):
        super().__init__(manifest, fold, **settings)
