"""BP4D+: action units of 140 subjects in four tasks, or the task itself as the expression."""

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
    read_coded_sequence,
    record_uncoded,
)
from sma_models.data.databases.base import Database
from sma_models.data.manifest import (
    DatabaseIndex,
    Sample,
    folder,
    images_by_number,
    set_folds,
    set_folds_from_csv,
    set_published_folds,
    visible,
)

# Not checked against the database's description; `task_names` overrides it.
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
# The published folds for action units (FMAE-IAT): the subjects that each fold tests.
FOLDS = {
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


def index_bp4dplus(
    root: Path,
    images: Path | None = None,
    label: Literal["au", "task"] = "au",
    tasks: list[str] | None = None,
    task_names: dict[str, str] | None = None,
    middle: int = 20,
    every: int = 4,
    folds: Path | None = None,
    first_image: Literal[0, 1] | None = None,
) -> DatabaseIndex:
    """The coded frames of BP4D+, or frames from the middle of its tasks.

    Args:
        root:       folder that contains AUCoding/AU_OCC
        images:     folder that contains F001/T1/<frame>.jpg and so on; None means `root`
        label:      "au": coded action units, the four published folds; "task": the task's emotion, ten folds of ours
        tasks:      tasks for label "task"; None means T1 T2 T3 T7 T9 T10
        task_names: emotion by task, to override ours
        middle:     frames around the middle of a sequence, for label "task"
        every:      step between these frames
        folds:      CSV of subject,fold to use instead
        first_image: number of the image of frame 1; None infers it from the image numbers
    """
    index = DatabaseIndex("bp4dplus", Path(images or root), {"label": label})
    if label == "au":
        _add_units(index, Path(root), first_image)
        if folds is not None:
            set_folds_from_csv(index, folds)
        else:
            set_published_folds(index, {name: tuple(subjects.split()) for name, subjects in FOLDS.items()})
        return index
    if middle < 1 or every < 1:
        raise ValueError(f"middle and every must be at least 1; got {middle} and {every}")
    if unknown := sorted(set(task_names or ()) - set(TASK_NAMES)):
        raise ValueError(f"task_names: expected names for some of {', '.join(TASK_NAMES)}; got {', '.join(unknown)}")
    names = TASK_NAMES | (task_names or {})
    used = list(dict.fromkeys(tasks or FER_TASKS))
    if unknown := [task for task in used if task not in names]:
        raise ValueError(f"tasks: expected some of {', '.join(names)}; got {', '.join(unknown)}")
    index.settings |= {"tasks": {task: names[task] for task in used}, "middle": middle, "every": every}
    each = 140 * len(range(0, middle, every))
    index.expected = {"subjects": 140, "sequences": 140 * len(used), "frames": each * len(used)}
    index.expected |= {name: each * count for name, count in Counter(names[task] for task in used).items()}
    for path in visible(folder(index.images, "BP4D+'s images, F001/T1/<frame>.jpg")):
        if path.name in _SUBJECTS:
            _add_tasks(index, path, {task: names[task] for task in used})
        elif re.fullmatch(r"[FM]\d+", path.name):
            index.extra.append(str(path))
    set_folds(index, 10, folds)
    return index


def _add_units(index: DatabaseIndex, root: Path, first_image: int | None) -> None:
    index.units, index.expected = UNITS, {"subjects": 140, "sequences": 560}
    sequences = []
    for file in coding_files(root):
        name = _CODING.fullmatch(file.name)
        if name is None or name[1] not in _SUBJECTS or name[2] not in CODED_TASKS:
            index.extra.append(str(file))
        elif (sequence := read_coded_sequence(index, file, name[1], name[2])) is not None:
            sequences.append(sequence)
    first = infer_first_image(sequences) if first_image is None else first_image
    index.settings["first_picture"] = first  # the key in manifests, whose format does not change
    for sequence in sequences:
        add_coded_sequence(index, sequence, first)
    coded = {(sequence.subject, sequence.task) for sequence in sequences}
    record_uncoded(index, coded, CODED_TASKS, TASK_NAMES)


def infer_first_image(sequences: list[CodedSequence]) -> int:
    """The number, 0 or 1, of the image that shows frame 1: some copies number images from 0, others like the codes.

    In a folder of exactly the coded frames, the first and last number show it; in any other, whether it starts with 0 or 1.
    Raises ValueError if the folders are inconclusive or disagree.
    """
    evidence: dict[int, CodedSequence] = {}
    with_images = [sequence for sequence in sequences if sequence.images]
    for sequence in with_images:
        # Codes with a frame 0 are numbered like images that start with 0.
        first, window = 1 if 0 in sequence.labels else next(iter(sequence.images)), first_by_window(sequence)
        if window is not None or first in (0, 1):
            evidence.setdefault(first if window is None else window, sequence)
    if len(evidence) == 1 or not with_images:
        return next(iter(evidence), 1)
    findings = (
        " and ".join(f"{sequence} indicates {first}" for first, sequence in evidence.items()) or f"got {with_images[0]}"
    )
    raise ValueError(f"the image of frame 1 is ambiguous: {findings}; give --first_image 0 or 1")


def _add_tasks(index: DatabaseIndex, subject: Path, names: dict[str, str]) -> None:
    middle, every = index.settings["middle"], index.settings["every"]
    index.extra += [str(path) for path in visible(subject) if path.name not in TASK_NAMES]
    for task, name in names.items():
        images = images_by_number(subject / task, index.extra) if (subject / task).is_dir() else {}
        if not images:
            index.missing.append(f"{subject.name}/{task}")
        start = max(0, (len(images) - middle) // 2)
        for frame, image in list(images.items())[start : start + middle : every]:
            index.samples.append(Sample(image, subject.name, task, frame, name))


class BP4DPlus(Database):
    """BP4D+'s coded frames (folds 1 to 4), or its tasks as expressions (folds 0 to 9): the manifest decides.

    Args:
        manifest: CSV file that `sma-net data check --dataset bp4dplus` wrote
        settings: see `Database`
    """

    dataset = "bp4dplus"

    def __init__(self, manifest: str | Path, fold: str = "1", **settings: Any):
        super().__init__(manifest, fold, **settings)
