"""BP4D+: action units of 140 people in four tasks, or the task itself as the expression."""

import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from sma_models.data.databases.au_occurrence import (
    UNITS,
    CodedSequence,
    add_coded_sequence,
    coding_files,
    first_by_window,
    name_uncoded,
    read_coded_sequence,
)
from sma_models.data.databases.base import Database
from sma_models.data.manifest import (
    DatabaseIndex,
    Sample,
    folder,
    folds_of,
    pictures_by_number,
    read_folds,
    same_parts,
    visible,
)

# From memory of the database's description: `task_names` replaces it.
TASK_NAMES = {
    "T1": "happiness",
    "T2": "surprise",
    "T3": "sadness",
    "T4": "startle",
    "T5": "skeptical",
    "T6": "embarrassment",
    "T7": "fear",
    "T8": "pain",
    "T9": "anger",
    "T10": "disgust",
}
# The folds that are published for action units (FMAE-IAT), each named by the part that is tested.
PARTS = {
    "1": "F004 F013 F014 F019 F020 F026 F033 F038 F039 F044 F046 F047 F053 F057 F061 F066 F071 F072 F076 F079 "
    "M003 M004 M015 M017 M020 M025 M026 M029 M033 M036 M040 M042 M048 M050 M051",
    "2": "F012 F016 F022 F024 F028 F030 F031 F032 F034 F056 F060 F065 F074 F075 F077 M001 M005 M009 M011 M016 "
    "M018 M019 M022 M023 M028 M034 M037 M038 M043 M044 M045 M046 M047 M052 M055",
    "3": "F001 F002 F008 F009 F017 F021 F027 F029 F035 F040 F042 F043 F045 F050 F052 F054 F058 F062 F063 F064 "
    "F068 F069 F078 F080 M008 M010 M024 M027 M030 M031 M035 M041 M054 M056 M057",
    "4": "F003 F005 F006 F007 F010 F011 F015 F018 F023 F025 F036 F037 F041 F048 F049 F051 F055 F059 F067 F070 "
    "F073 F081 F082 M002 M006 M007 M012 M013 M014 M021 M032 M039 M049 M053 M058",
}
CODED_TASKS = ("T1", "T6", "T7", "T8")
FER_TASKS = ("T1", "T2", "T3", "T7", "T9", "T10")
_SUBJECTS = [f"F{n:03d}" for n in range(1, 83)] + [f"M{n:03d}" for n in range(1, 59)]
_CODING = re.compile(r"([FM]\d{3})_(T\d+)\.csv")


def list_bp4dplus(
    root: Path,
    images: Path | None = None,
    label: Literal["au", "task"] = "au",
    tasks: list[str] | None = None,
    task_names: dict[str, str] | None = None,
    middle: int = 20,
    every: int = 4,
    folds: Path | None = None,
    first_picture: Literal[0, 1] | None = None,
) -> DatabaseIndex:
    """The coded frames of BP4D+, or frames from the middle of its tasks.

    Args:
        root:       folder that holds AUCoding/AU_OCC
        images:     folder that holds F001/T1/<frame>.jpg and so on; None is `root`
        label:      "au": coded action units, the four published folds; "task": the task's emotion, ten folds of ours
        tasks:      tasks that are used with label "task"; None is T1 T2 T3 T7 T9 T10
        task_names: emotion of tasks, where another than ours is meant
        middle:     frames round the middle of a sequence that are used with label "task"
        every:      of these, every so many-th
        folds:      CSV of subject,fold instead of these folds
        first_picture: number of the picture that shows frame 1 of the codes; None has the pictures' numbers prove it
    """
    listing = DatabaseIndex("bp4dplus", Path(images or root), {"label": label})
    if label == "au":
        _add_units(listing, Path(root), first_picture)
        if folds is not None:
            read_folds(listing, folds)
        else:
            same_parts(listing, {name: tuple(subjects.split()) for name, subjects in PARTS.items()})
        return listing
    if middle < 1 or every < 1:
        raise ValueError(f"middle and every must be at least 1; got {middle} and {every}")
    if unknown := sorted(set(task_names or ()) - set(TASK_NAMES)):
        raise ValueError(f"task_names: expected names for some of {', '.join(TASK_NAMES)}; got {', '.join(unknown)}")
    names = TASK_NAMES | (task_names or {})
    used = list(dict.fromkeys(tasks or FER_TASKS))
    if unknown := [task for task in used if task not in names]:
        raise ValueError(f"tasks: expected some of {', '.join(names)}; got {', '.join(unknown)}")
    listing.settings |= {"tasks": {task: names[task] for task in used}, "middle": middle, "every": every}
    each = 140 * len(range(0, middle, every))
    listing.expected = {"subjects": 140, "sequences": 140 * len(used), "frames": each * len(used)}
    listing.expected |= {name: each * count for name, count in Counter(names[task] for task in used).items()}
    for path in visible(folder(listing.images, "BP4D+'s pictures, F001/T1/<frame>.jpg")):
        if path.name in _SUBJECTS:
            _add_tasks(listing, path, {task: names[task] for task in used})
        elif re.fullmatch(r"[FM]\d+", path.name):
            listing.extra.append(str(path))
    folds_of(listing, 10, folds)
    return listing


def _add_units(listing: DatabaseIndex, root: Path, first_picture: int | None) -> None:
    listing.units, listing.expected = UNITS, {"subjects": 140, "sequences": 560}
    sequences = []
    for file in coding_files(root):
        name = _CODING.fullmatch(file.name)
        if name is None or name[1] not in _SUBJECTS or name[2] not in CODED_TASKS:
            listing.extra.append(str(file))
        elif (sequence := read_coded_sequence(listing, file, name[1], name[2])) is not None:
            sequences.append(sequence)
    first = prove_first_picture(sequences) if first_picture is None else first_picture
    listing.settings["first_picture"] = first
    for sequence in sequences:
        add_coded_sequence(listing, sequence, first)
    coded = {(sequence.subject, sequence.task) for sequence in sequences}
    name_uncoded(listing, coded, CODED_TASKS, TASK_NAMES)


def prove_first_picture(sequences: list[CodedSequence]) -> int:
    """0 or 1, the number of the picture that shows frame 1: some copies count pictures from 0, others as the codes do.

    A folder of the coded frames only proves it by its first and last number, another one by starting with 0 or 1; the
    other folders follow. ValueError if they prove neither, or both.
    """
    proofs: dict[int, CodedSequence] = {}
    with_pictures = [sequence for sequence in sequences if sequence.pictures]
    for sequence in with_pictures:
        # Codes of a frame 0 count as pictures that start with 0 do.
        first, window = 1 if 0 in sequence.labels else next(iter(sequence.pictures)), first_by_window(sequence)
        if window is not None or first in (0, 1):
            proofs.setdefault(first if window is None else window, sequence)
    if len(proofs) == 1 or not with_pictures:
        return next(iter(proofs), 1)
    told = " and ".join(f"{sequence} says {first}" for first, sequence in proofs.items()) or f"got {with_pictures[0]}"
    raise ValueError(f"which picture shows frame 1 cannot be told: {told}; give --first_picture 0 or 1")


def _add_tasks(listing: DatabaseIndex, subject: Path, names: dict[str, str]) -> None:
    middle, every = listing.settings["middle"], listing.settings["every"]
    listing.extra += [str(path) for path in visible(subject) if path.name not in TASK_NAMES]
    for task, name in names.items():
        pictures = pictures_by_number(subject / task, listing.extra) if (subject / task).is_dir() else {}
        if not pictures:
            listing.missing.append(f"{subject.name}/{task}")
        start = max(0, (len(pictures) - middle) // 2)
        for frame, picture in list(pictures.items())[start : start + middle : every]:
            listing.samples.append(Sample(picture, subject.name, task, frame, name))


class BP4DPlus(Database):
    """BP4D+'s coded frames (folds 1 to 4), or its tasks as expressions (folds 0 to 9): the manifest decides.

    Args:
        manifest: CSV file that `sma-net data check --dataset bp4dplus` wrote
        settings: see `Database`
    """

    dataset = "bp4dplus"

    def __init__(self, manifest: str | Path, fold: str = "1", **settings: Any):
        super().__init__(manifest, fold, **settings)
