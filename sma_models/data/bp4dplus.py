"""BP4D+: action units of 140 people in four tasks, or the task itself as the expression."""

import re
from pathlib import Path
from typing import Any, Literal

from sma_models.data.database import Database
from sma_models.data.listing import Listing, Sample, folder, folds_of, pictures_by_number
from sma_models.data.occurrence import UNITS, add_coded_sequence, coding_files, name_uncoded

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
) -> Listing:
    """The coded frames of BP4D+, or frames from the middle of its tasks.

    Args:
        root:       folder that holds AUCoding/AU_OCC
        images:     folder that holds F001/T1/<frame>.jpg and so on; None is `root`
        label:      "au": coded action units, four folds; "task": the task's emotion, ten folds
        tasks:      tasks that are used with label "task"; None is T1 T2 T3 T7 T9 T10
        task_names: emotion of tasks, where another than ours is meant
        middle:     frames round the middle of a sequence that are used with label "task"
        every:      of these, every so many-th
        folds:      CSV of subject,fold instead of our folds
    """
    listing = Listing("bp4dplus", Path(images or root), {"label": label})
    if label == "au":
        listing.units, listing.expected = UNITS, {"subjects": 140, "sequences": 560}
        coded = set()
        for file in coding_files(Path(root)):
            name = _CODING.fullmatch(file.name)
            if name is None or name[1] not in _SUBJECTS or name[2] not in CODED_TASKS:
                listing.extra.append(str(file))
            else:
                add_coded_sequence(listing, file, name[1], name[2])
                coded.add((name[1], name[2]))
        name_uncoded(listing, coded, CODED_TASKS, TASK_NAMES)
        folds_of(listing, 4, folds)
        return listing
    if middle < 1 or every < 1:
        raise ValueError(f"middle and every must be at least 1; got {middle} and {every}")
    if unknown := sorted(set(task_names or ()) - set(TASK_NAMES)):
        raise ValueError(f"task_names: expected names for some of {', '.join(TASK_NAMES)}; got {', '.join(unknown)}")
    names = TASK_NAMES | (task_names or {})
    used = list(tasks or FER_TASKS)
    if unknown := [task for task in used if task not in names]:
        raise ValueError(f"tasks: expected some of {', '.join(names)}; got {', '.join(unknown)}")
    listing.settings |= {"tasks": {task: names[task] for task in used}, "middle": middle, "every": every}
    listing.expected = {"subjects": 140, "sequences": 140 * len(used)}
    for path in sorted(folder(listing.images, "BP4D+'s pictures, F001/T1/<frame>.jpg").iterdir()):
        if path.name in _SUBJECTS:
            _add_tasks(listing, path, {task: names[task] for task in used})
        elif re.fullmatch(r"[FM]\d+", path.name):
            listing.extra.append(str(path))
    folds_of(listing, 10, folds)
    return listing


def _add_tasks(listing: Listing, subject: Path, names: dict[str, str]) -> None:
    middle, every = listing.settings["middle"], listing.settings["every"]
    listing.extra += [str(path) for path in sorted(subject.iterdir()) if path.name not in TASK_NAMES]
    for task, name in names.items():
        pictures = pictures_by_number(subject / task, listing.extra) if (subject / task).is_dir() else {}
        if not pictures:
            listing.missing.append(f"{subject.name}/{task}")
        start = max(0, (len(pictures) - middle) // 2)
        for frame, picture in list(pictures.items())[start : start + middle : every]:
            listing.samples.append(Sample(picture, subject.name, task, frame, name))


class BP4DPlus(Database):
    """BP4D+'s coded frames (folds 0 to 3), or its tasks as expressions (folds 0 to 9): the manifest decides.

    Args:
        manifest: CSV file that `sma-net data check --dataset bp4dplus` wrote
        settings: see `Database`
    """

    dataset = "bp4dplus"

    def __init__(self, manifest: str | Path, fold: str = "0", **settings: Any):
        super().__init__(manifest, fold, **settings)
