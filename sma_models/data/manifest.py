"""What a local copy of a database holds, as found on disk, and the manifest that training reads instead of searching again."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sma_models.data.crops import Crops, common_alignment
from sma_models.data.images import IMAGE_SUFFIXES, frame_number
from sma_models.data.splits import fold_of_subjects
from sma_models.utils.text_files import read_table

# Names of counts.
UNLABELLED = "sequences without a label"
ALWAYS_POSITIVE = "mean F1 of calling every action unit present"


class Sample(NamedTuple):
    """One labelled picture. labels: an expression's name, or one cell for every action unit (9: nobody could code it)."""

    image: Path
    subject: str
    sequence: str
    frame: int
    labels: str | tuple[int, ...]


@dataclass
class DatabaseIndex:
    """A database as it lies on disk.

    dataset:   its name, which the manifest carries
    images:    folder that the pictures lie in
    settings:  what was chosen among its pictures and labels; tables name it
    units:     numbers of the action units, or () for expressions
    samples:   the labelled pictures
    folds:     fold of every subject
    expected:  counts that the published protocol has; only what the listing can count
    positive_from: the intensity from which on an action unit is scored as present
    missing:   labelled frames or sequences without a picture
    unlabelled: sequences without a label; `unlabelled_frames` counts pictures beside the coded ones of their sequence
    left_out:  sequences whose label or picture cannot be told, each with the reason
    extra:     files that belong to nothing
    unreadable: pictures that cannot be decoded
    crops:     what `sma-net align` noted of the pictures
    """

    dataset: str
    images: Path
    settings: dict[str, Any]
    units: tuple[int, ...] = ()
    samples: list[Sample] = field(default_factory=list)
    folds: dict[str, str] = field(default_factory=dict)
    expected: dict[str, int | float] = field(default_factory=dict)
    positive_from: int = 1
    missing: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    unlabelled_frames: int = 0
    left_out: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    crops: Crops = field(default_factory=Crops, repr=False)

    def found(self, sample: Sample) -> bool:
        """Whether a face was found in a picture when it was aligned; True of pictures that were made elsewhere."""
        crop = self.crops.of(sample.image)
        return crop is None or crop.found

    def counts(self) -> dict[str, int | float]:
        """Subjects, sequences, frames, frames of each fold, and positives of each action unit or frames of each class."""
        counts: dict[str, int | float] = {
            "subjects": len({sample.subject for sample in self.samples}),
            "sequences": len({(sample.subject, sample.sequence) for sample in self.samples}),
            "frames": len(self.samples),
        }
        for fold in sorted(set(self.folds.values())):
            counts[f"frames of fold {fold}"] = sum(self.folds[sample.subject] == fold for sample in self.samples)
        crops = self.crops.all_of(sample.image for sample in self.samples)
        if any(crops):
            counts["frames without a face"] = sum(crop is not None and not crop.found for crop in crops)
            if turned := sum(crop is not None and crop.turned for crop in crops):
                counts["frames turned upright"] = turned
        if self.unlabelled or UNLABELLED in self.expected:
            counts[UNLABELLED] = len(self.unlabelled)
        if self.unlabelled_frames:
            counts["pictures outside of what is coded"] = self.unlabelled_frames
        if self.units:
            counts |= self._unit_counts()
        else:
            for name in sorted({str(sample.labels) for sample in self.samples}):
                counts[name] = sum(sample.labels == name for sample in self.samples)
        return counts

    def _unit_counts(self) -> dict[str, int | float]:
        """Of each action unit positives, their share of what is known and what is not; and what a constant guess scores."""
        counts: dict[str, int | float] = {}
        labels = np.array([sample.labels for sample in self.samples], np.int64).reshape(-1, len(self.units))
        known, from_on = labels != 9, f" from {self.positive_from} on" if self.positive_from > 1 else ""
        positives = ((labels >= self.positive_from) & known).sum(0)
        shares = positives / np.maximum(known.sum(0), 1)
        for place, unit in enumerate(self.units):
            counts[f"AU{unit} positive{from_on}"] = int(positives[place])
            counts[f"AU{unit}, share of positives"] = round(float(shares[place]), 3)
            if not known.all():
                counts[f"AU{unit} unknown"] = int((~known[:, place]).sum())
        counts[ALWAYS_POSITIVE] = round(float((2 * shares / (1 + shares)).mean()), 3)
        return counts

    def warnings(self) -> list[str]:
        """One sentence for each way in which this copy differs from the published one."""
        counts = self.counts()
        told = [
            f"{name}: expected {number}, found {counts.get(name, 0)}"
            for name, number in self.expected.items()
            # Published shares are rounded.
            if abs(counts.get(name, 0) - number) > (0.0101 if isinstance(number, float) else 0)
        ]
        usual = len(self.unlabelled) == self.expected.get(UNLABELLED)
        for kind, names in (
            ("labelled, but there is no picture", self.missing),
            ("without a label", [] if usual else self.unlabelled),
            ("left out", self.left_out),
            ("not understood", self.extra),
            ("cannot be read as pictures", self.unreadable),
        ):
            if names:
                told.append(f"{len(names)} {kind}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}")
        return told


def write_manifest(listing: DatabaseIndex, path: Path) -> None:
    """Write the samples as CSV, and beside it a JSON file of the same name that says what they are."""
    if path.suffix == ".json":
        raise ValueError(f"manifest must not end in .json, as the file of what it holds does; got {path}")
    if not listing.samples:
        raise ValueError(f"{listing.dataset}: nothing to list below {listing.images}: {'; '.join(listing.warnings())}")
    alignment = common_alignment(listing.crops.all_of(sample.image for sample in listing.samples), listing.images)
    labels = [f"AU{unit}" for unit in listing.units] or ["expression"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "subject", "sequence", "frame", "fold", "found", *labels])
        for sample in listing.samples:
            cells = [sample.labels] if isinstance(sample.labels, str) else sample.labels
            image = sample.image.relative_to(listing.images).as_posix()
            fold = listing.folds[sample.subject]
            detected = int(listing.found(sample))
            writer.writerow([image, sample.subject, sample.sequence, sample.frame, fold, detected, *cells])
    facts = {
        "dataset": listing.dataset,
        "settings": listing.settings,
        "images": str(listing.images.resolve()),
        "alignment": alignment.as_dict() if alignment else None,
        "counts": listing.counts(),
        "expected": listing.expected,
        "warnings": listing.warnings(),
    }
    facts_path(path).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def facts_path(manifest: Path) -> Path:
    """Where the JSON file of a manifest lies."""
    return manifest.with_suffix(".json")


def folder(path: Path, what: str) -> Path:
    """`path`. FileNotFoundError, with a hint if it lies one folder deeper, as archives unpack, if it is no folder."""
    if not path.is_dir():
        deeper = next((found for found in sorted(path.parent.glob(f"*/{path.name}")) if found.is_dir()), None)
        hint = f"; there is one at {deeper}, so perhaps {deeper.parent} is the folder to give" if deeper else ""
        raise FileNotFoundError(f"expected a folder of {what} at {path}{hint}")
    return path


def pictures_by_number(path: Path, extra: list[str]) -> dict[int, Path]:
    """The pictures of a folder by the last integer of their names, whatever its padding, in ascending order.

    Other files are named in `extra`, and so are pictures that have one number: which of them is meant cannot be told.
    """
    pictures: dict[int, list[Path]] = {}
    for file in visible(path):
        index = frame_number(file.stem)
        if index is not None and file.suffix.lower() in IMAGE_SUFFIXES and not file.is_dir():
            pictures.setdefault(index, []).append(file)
        elif file.is_file():
            extra.append(str(file))
    for index, files in pictures.items():
        if len(files) > 1:
            extra.append(f"{path}, frame {index} more than once: {', '.join(file.name for file in files)}")
    return {index: files[0] for index, files in sorted(pictures.items()) if len(files) == 1}


def visible(path: Path, pattern: str = "*") -> list[Path]:
    """What matches a pattern in a folder, sorted, but for hidden files, of which macOS adds one to each file of a disk."""
    return sorted(file for file in path.glob(pattern) if not file.name.startswith("."))


def folds_by_rank(subjects: Iterable[str], count: int) -> dict[str, str]:
    """Fold of every subject: of the different ones in ascending order, number i belongs to fold i mod `count`."""
    names = np.unique(list(subjects))
    return dict(zip(names.tolist(), fold_of_subjects(names, count).astype(str).tolist(), strict=True))


def read_pairs(path: Path, columns: tuple[str, str]) -> dict[str, str]:
    """A CSV file of two named columns as a dict. ValueError if its columns are others, or a key repeats."""
    table = read_table(path, columns)
    if tuple(table.columns) != columns:
        raise ValueError(f"{path}: expected the columns {','.join(columns)}; got {','.join(table.columns)}")
    pairs: dict[str, str] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        key, value = (row[name] for name in columns)
        if not key or not value or key in pairs:
            raise ValueError(f"{path}, line {line}: expected a new {columns[0]} and its {columns[1]}; got {row}")
        pairs[key] = value
    return pairs


def folds_of(listing: DatabaseIndex, count: int, override: Path | None) -> None:
    """Give the listing its folds: by rank of subject, or as a CSV `subject,fold` says, which must name every subject."""
    if override is not None:
        read_folds(listing, override)
    else:
        listing.folds = folds_by_rank({sample.subject for sample in listing.samples}, count)


def read_folds(listing: DatabaseIndex, path: Path) -> None:
    """Give the listing the folds of a CSV `subject,fold`, which must name every subject; tables name the file."""
    listing.folds = read_pairs(path, ("subject", "fold"))
    listing.settings["folds"] = path.name
    _all_named({sample.subject for sample in listing.samples}, listing.folds, f"{path} gives no fold")


def _all_named(subjects: Iterable[str], table: Mapping[str, str], problem: str) -> None:
    unknown = sorted(set(subjects) - set(table))
    if unknown:
        raise ValueError(f"{problem} to {', '.join(unknown)}")


def same_parts(listing: DatabaseIndex, parts: Mapping[str, tuple[str, ...]]) -> None:
    """Give the listing published parts as folds. ValueError if somebody is in none of them."""
    listing.folds = {subject: name for name, subjects in parts.items() for subject in subjects}
    _all_named({sample.subject for sample in listing.samples}, listing.folds, f"{listing.dataset}: no part belongs")
