"""CK+: posed expressions of 123 people, from neutral to the apex."""

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
    pictures_by_number,
    visible,
)
from sma_models.utils.text_files import read_text

EMOTIONS = {1: "anger", 2: "contempt", 3: "disgust", 4: "fear", 5: "happiness", 6: "sadness", 7: "surprise"}
FOLDS = 10
APEX_FRAMES = 3


def list_ckplus(
    root: Path,
    images: Path | None = None,
    label: Literal["expression", "au"] = "expression",
    classes: Literal[6, 7, 8] = 7,
) -> DatabaseIndex:
    """The last three frames of every labelled sequence of CK+, or every sequence's apex with its action units.

    Args:
        root:    folder that holds Emotion or FACS
        images:  folder that holds cohn-kanade-images; None is `root`
        label:   "expression", or "au": the last frame of each sequence that has FACS codes
        classes: 7; 6 without contempt; 8 with the first frame of each labelled sequence as neutral
    """
    if classes not in (6, 7, 8):
        raise ValueError(f"classes must be 6, 7 or 8; got {classes}")
    listing = DatabaseIndex("ckplus", Path(images or root), {"label": label})
    if label == "au":
        _add_units(listing, Path(root))
    else:
        listing.settings["classes"] = classes
        _add_expressions(listing, Path(root), classes)
    return listing


def read_emotion(path: Path) -> str:
    """The emotion that a file of one number names. ValueError otherwise."""
    text = read_text(path).split()
    try:
        return EMOTIONS[_whole(text[0])] if len(text) == 1 else EMOTIONS[0]
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{path}: expected one number of 1 to 7; got {' '.join(text)!r}") from error


def read_facs(path: Path) -> dict[int, int | None]:
    """Intensity of every action unit that a sequence shows at its apex; None where it was seen but not scored (a 0)."""
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
                f"{path}, line {line}: expected another action unit and an intensity of 0 to 5; got {text!r}"
            )
        units[unit] = intensity or None
    return units


def _whole(text: str) -> int:
    number = float(text)
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"{text!r} is no whole number")
    return int(number)


def _label_files(
    root: Path, kind: str, listing: DatabaseIndex
) -> Iterator[tuple[str, str, Path | None, dict[int, Path]]]:
    """Subject, sequence, label file or None, and pictures of every sequence that has a folder of pictures or labels."""
    labels_of, pictures_of = folder(root / kind, "S005/001"), folder(listing.images / "cohn-kanade-images", "S005/001")
    names = {path.relative_to(top) for top in (labels_of, pictures_of) for path in top.glob("S*/*") if path.is_dir()}
    for name in sorted(names):
        subject, sequence = name.parts
        if re.fullmatch(r"S\d{3}", subject) is None or re.fullmatch(r"\d{3}", sequence) is None:
            listing.extra.append(str(name))
            continue
        suffix = f"_{kind.lower()}.txt"
        files = visible(labels_of / name, f"*{suffix}")
        if len(files) > 1:
            raise ValueError(f"{labels_of / name}: expected one file *{suffix}; got {len(files)}")
        pictures = pictures_by_number(pictures_of / name, listing.extra) if (pictures_of / name).is_dir() else {}
        if files and not pictures:
            listing.missing.append(str(name))
        elif not files:
            listing.unlabelled.append(str(name))
        yield subject, sequence, files[0] if files else None, pictures


def _add_expressions(listing: DatabaseIndex, root: Path, classes: int) -> None:
    # Of 593 sequences 327 have an emotion.
    listing.expected = {UNLABELLED: 266}
    if classes > 6:
        listing.expected |= {"subjects": 118, "sequences": 327, "frames": 981}
    if classes == 8:
        listing.expected |= {"frames": 1308, "neutral": 327}
    labelled = []
    for subject, sequence, file, pictures in _label_files(root, "Emotion", listing):
        if file is None:
            continue
        # Everybody with a label is counted, used or not, so that folds are the same for every choice of classes.
        labelled.append(subject)
        emotion = read_emotion(file)
        if not pictures or (emotion == "contempt" and classes == 6):
            continue
        frames = list(pictures.items())
        if len(frames) <= APEX_FRAMES:
            listing.left_out.append(
                f"{subject}/{sequence} (expected more than {APEX_FRAMES} pictures; got {len(frames)})"
            )
            continue
        if classes == 8:
            listing.samples.append(Sample(frames[0][1], subject, sequence, frames[0][0], "neutral"))
        for frame, picture in frames[-APEX_FRAMES:]:
            listing.samples.append(Sample(picture, subject, sequence, frame, emotion))
    listing.folds = folds_by_rank(labelled, FOLDS)


def _add_units(listing: DatabaseIndex, root: Path) -> None:
    listing.expected = {"subjects": 123, "sequences": 593, "frames": 593}
    shown = {
        (subject, sequence): (list(pictures.items())[-1], read_facs(file))
        for subject, sequence, file, pictures in _label_files(root, "FACS", listing)
        if file is not None and pictures
    }
    listing.units = tuple(sorted({unit for _, units in shown.values() for unit in units}))
    for (subject, sequence), ((frame, picture), units) in shown.items():
        cells = tuple(int(unit in units) for unit in listing.units)
        listing.samples.append(Sample(picture, subject, sequence, frame, cells))
    listing.folds = folds_by_rank((subject for subject, _ in shown), FOLDS)


class CKPlus(Database):
    """CK+'s expressions in ten folds, "0" to "9".

    Args:
        manifest: CSV file that `sma-net data check --dataset ckplus` wrote
        settings: see `Database`
    """

    dataset = "ckplus"

    def __init__(self, manifest: str | Path, fold: str = "0", **settings: Any):
        super().__init__(manifest, fold, **settings)
