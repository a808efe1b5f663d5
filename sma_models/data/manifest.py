"""The index of a local copy of a database, and the manifest that training reads instead of searching the disk again."""

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

# Names of counts, and keys of a manifest's JSON file: they do not change.
UNLABELLED = "sequences without a label"
ALWAYS_POSITIVE = "mean F1 of calling every action unit present"
UNCODED_IMAGES = "pictures outside of what is coded"
UNDETECTED = "frames without a face"


class Sample(NamedTuple):
    """One labeled image. labels: an expression's name, or one value per action unit (9: it could not be coded)."""

    image: Path
    subject: str
    sequence: str
    frame: int
    labels: str | tuple[int, ...]


@dataclass
class DatabaseIndex:
    """What a database on disk contains.

    dataset:   its name, as in the manifest
    images:    folder of the images
    settings:  how images and labels were selected; shown in tables
    units:     numbers of the action units, or () for expressions
    samples:   the labeled images
    folds:     fold of every subject
    expected:  counts of the published protocol, if they can be compared
    positive_from: the lowest intensity that is scored as present
    missing:   labeled frames or sequences without an image
    unlabelled: sequences without a label; `unlabelled_frames` counts uncoded images of coded sequences
    left_out:  sequences with an ambiguous label or image, each with the reason
    extra:     unrecognized files
    unreadable: images that cannot be decoded
    crops:     what `sma-net align` recorded about the images
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

    def detected(self, sample: Sample) -> bool:
        """Whether a face was detected when the image was aligned; True for images from elsewhere."""
        crop = self.crops.of(sample.image)
        return crop is None or crop.detected

    def counts(self) -> dict[str, int | float]:
        """Subjects, sequences, frames, frames per fold, and positives per action unit or frames per class."""
        counts: dict[str, int | float] = {
            "subjects": len({sample.subject for sample in self.samples}),
            "sequences": len({(sample.subject, sample.sequence) for sample in self.samples}),
            "frames": len(self.samples),
        }
        for fold in sorted(set(self.folds.values())):
            counts[f"frames of fold {fold}"] = sum(self.folds[sample.subject] == fold for sample in self.samples)
        crops = self.crops.all_of(sample.image for sample in self.samples)
        if any(crops):
            counts[UNDETECTED] = sum(crop is not None and not crop.detected for crop in crops)
            if turned := sum(crop is not None and crop.turned for crop in crops):
                counts["frames turned upright"] = turned
        if self.unlabelled or UNLABELLED in self.expected:
            counts[UNLABELLED] = len(self.unlabelled)
        if self.unlabelled_frames:
            counts[UNCODED_IMAGES] = self.unlabelled_frames
        if self.units:
            counts |= self._unit_counts()
        else:
            for name in sorted({str(sample.labels) for sample in self.samples}):
                counts[name] = sum(sample.labels == name for sample in self.samples)
        return counts

    def _unit_counts(self) -> dict[str, int | float]:
        """Per action unit: positives, their share of the known labels, unknown labels; and the score of a constant guess."""
        counts: dict[str, int | float] = {}
        labels = np.array([sample.labels for sample in self.samples], np.int64).reshape(-1, len(self.units))
        known, suffix = labels != 9, f" from {self.positive_from} on" if self.positive_from > 1 else ""
        positives = ((labels >= self.positive_from) & known).sum(0)
        shares = positives / np.maximum(known.sum(0), 1)
        for column, unit in enumerate(self.units):
            counts[f"AU{unit} positive{suffix}"] = int(positives[column])
            counts[f"AU{unit}, share of positives"] = round(float(shares[column]), 3)
            if not known.all():
                counts[f"AU{unit} unknown"] = int((~known[:, column]).sum())
        counts[ALWAYS_POSITIVE] = round(float((2 * shares / (1 + shares)).mean()), 3)
        return counts

    def warnings(self) -> list[str]:
        """One sentence per difference between this copy and the published database."""
        counts = self.counts()
        messages = [
            f"{name}: expected {number}, found {counts.get(name, 0)}"
            for name, number in self.expected.items()
            # Published shares are rounded.
            if abs(counts.get(name, 0) - number) > (0.0101 if isinstance(number, float) else 0)
        ]
        as_published = len(self.unlabelled) == self.expected.get(UNLABELLED)
        for kind, names in (
            ("labeled, but without an image", self.missing),
            ("without a label", [] if as_published else self.unlabelled),
            ("left out", self.left_out),
            ("not understood", self.extra),
            ("cannot be read as images", self.unreadable),
        ):
            if names:
                messages.append(f"{len(names)} {kind}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}")
        return messages


def write_manifest(index: DatabaseIndex, path: Path) -> None:
    """Writes the samples as CSV, and a JSON file of the same name that describes them."""
    if path.suffix == ".json":
        raise ValueError(f"manifest must not end in .json, the suffix of the file that describes it; got {path}")
    if not index.samples:
        raise ValueError(f"{index.dataset}: nothing to list below {index.images}: {'; '.join(index.warnings())}")
    alignment = common_alignment(index.crops.all_of(sample.image for sample in index.samples), index.images)
    labels = [f"AU{unit}" for unit in index.units] or ["expression"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "subject", "sequence", "frame", "fold", "found", *labels])
        for sample in index.samples:
            cells = [sample.labels] if isinstance(sample.labels, str) else sample.labels
            image = sample.image.relative_to(index.images).as_posix()
            fold = index.folds[sample.subject]
            detected = int(index.detected(sample))
            writer.writerow([image, sample.subject, sample.sequence, sample.frame, fold, detected, *cells])
    facts = {
        "dataset": index.dataset,
        "settings": index.settings,
        "images": str(index.images.resolve()),
        "alignment": alignment.as_dict() if alignment else None,
        "counts": index.counts(),
        "expected": index.expected,
        "warnings": index.warnings(),
    }
    facts_path(path).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def facts_path(manifest: Path) -> Path:
    """The JSON file that belongs to a manifest."""
    return manifest.with_suffix(".json")


def folder(path: Path, what: str) -> Path:
    """Returns `path`. Raises FileNotFoundError if it is not a folder, with a hint if one is a level deeper, as in archives."""
    if not path.is_dir():
        deeper = next((below for below in sorted(path.parent.glob(f"*/{path.name}")) if below.is_dir()), None)
        hint = f"; there is one at {deeper}, so perhaps {deeper.parent} is the folder to give" if deeper else ""
        raise FileNotFoundError(f"expected a folder of {what} at {path}{hint}")
    return path


def images_by_number(path: Path, extra: list[str]) -> dict[int, Path]:
    """The images of a folder by the last integer in their names, ignoring padding, in ascending order.

    Other files are added to `extra`, and so are images with the same number, which are ambiguous.
    """
    images: dict[int, list[Path]] = {}
    for file in visible(path):
        number = frame_number(file.stem)
        if number is not None and file.suffix.lower() in IMAGE_SUFFIXES and not file.is_dir():
            images.setdefault(number, []).append(file)
        elif file.is_file():
            extra.append(str(file))
    for number, files in images.items():
        if len(files) > 1:
            extra.append(f"{path}, frame {number} more than once: {', '.join(file.name for file in files)}")
    return {number: files[0] for number, files in sorted(images.items()) if len(files) == 1}


def visible(path: Path, pattern: str = "*") -> list[Path]:
    """The files of a folder that match a pattern, sorted, without hidden ones (macOS adds one per file on some disks)."""
    return sorted(file for file in path.glob(pattern) if not file.name.startswith("."))


def folds_by_rank(subjects: Iterable[str], count: int) -> dict[str, str]:
    """Fold by subject: of the distinct subjects in ascending order, number i is in fold i mod `count`."""
    names = np.unique(list(subjects))
    return dict(zip(names.tolist(), fold_of_subjects(names, count).astype(str).tolist(), strict=True))


def read_pairs(path: Path, columns: tuple[str, str]) -> dict[str, str]:
    """Reads a CSV file of two named columns as a dict. Raises ValueError if the columns differ or a key repeats."""
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


def set_folds(index: DatabaseIndex, count: int, override: Path | None) -> None:
    """Sets the folds of an index by rank of subject, or from a CSV `subject,fold` that names every subject."""
    if override is not None:
        set_folds_from_csv(index, override)
    else:
        index.folds = folds_by_rank({sample.subject for sample in index.samples}, count)


def set_folds_from_csv(index: DatabaseIndex, path: Path) -> None:
    """Sets the folds of an index from a CSV `subject,fold` that names every subject; tables show the file name."""
    index.folds = read_pairs(path, ("subject", "fold"))
    index.settings["folds"] = path.name
    _check_all_named({sample.subject for sample in index.samples}, index.folds, f"{path} defines no fold")


def _check_all_named(subjects: Iterable[str], table: Mapping[str, str], problem: str) -> None:
    unknown = sorted(set(subjects) - set(table))
    if unknown:
        raise ValueError(f"{problem} for {', '.join(unknown)}")


def set_published_folds(index: DatabaseIndex, folds: Mapping[str, tuple[str, ...]]) -> None:
    """Sets published folds, given as subjects by fold. Raises ValueError if a subject is in none of them."""
    index.folds = {subject: name for name, subjects in folds.items() for subject in subjects}
    _check_all_named(
        {sample.subject for sample in index.samples}, index.folds, f"{index.dataset}: no fold is published"
    )
