"""DISFA: action unit intensities of 27 subjects, in every frame of one video per subject."""

import re
from pathlib import Path
from typing import Any, Literal

from sma_models.data.databases.base import Database
from sma_models.data.manifest import (
    ALWAYS_POSITIVE,
    DatabaseIndex,
    Sample,
    folder,
    images_by_number,
    set_published_folds,
    visible,
)
from sma_models.synthetic.rates import BASE_RATES
from sma_models.utils.text_files import read_text

UNITS = (1, 2, 4, 6, 9, 12, 25, 26)
FOLDS = {
    "P1": (1, 2, 9, 10, 16, 26, 27, 30, 32),
    "P2": (6, 11, 12, 13, 18, 21, 24, 28, 31),
    "P3": (3, 4, 5, 7, 8, 17, 23, 25, 29),
}
AU_THRESHOLD = 2
EXPECTED: dict[str, int | float] = {
    "subjects": 27,
    "sequences": 27,
    "frames": 130814,
    # Not coded in BP4D: these published shares are DISFA's.
    **{f"AU{unit}, share of positives": BASE_RATES[unit] for unit in (9, 25, 26)},
    ALWAYS_POSITIVE: 0.187,
}
_CAMERAS = {"left": ("Left",), "right": ("Right",), "both": ("Left", "Right")}


def index_disfa(
    root: Path, images: Path | None = None, camera: Literal["left", "right", "both"] = "left"
) -> DatabaseIndex:
    """Every frame of DISFA with its intensities, 0 to 5.

    Args:
        root:   folder that contains ActionUnit_Labels/SN001/SN001_au1.txt and so on
        images: folder that contains the frames as images, SN001/... or LeftVideoSN001_comp/...; None means `root`
        camera: "left", "right" or "both", which differs from the published protocols
    """
    index = DatabaseIndex("disfa", Path(images or root), {"camera": camera}, UNITS, positive_from=AU_THRESHOLD)
    views = _CAMERAS[camera]
    index.expected = {**EXPECTED, "sequences": 27 * len(views), "frames": 130814 * len(views)}
    for path in visible(folder(Path(root) / "ActionUnit_Labels", "SN001, SN002, ...")):
        if re.fullmatch(r"SN\d{3}", path.name) is None:
            index.extra.append(str(path))
            continue
        labels = read_intensities(path)
        for view in views:
            _add_video(index, path.name, view, labels)
    for path in sorted((*index.images.glob("*SN*"), *index.images.glob("Video_*Camera/*SN*"))):
        subject = re.search(r"SN\d{3}", path.name)
        if path.is_dir() and subject and not (Path(root) / "ActionUnit_Labels" / subject[0]).is_dir():
            index.unlabelled.append(path.relative_to(index.images).as_posix())
    set_published_folds(
        index, {fold: tuple(f"SN{number:03d}" for number in numbers) for fold, numbers in FOLDS.items()}
    )
    return index


def read_intensities(path: Path) -> list[tuple[int, ...]]:
    """Intensities of `UNITS` in the frames 1, 2, ... of one subject's folder. Raises ValueError with file and line.

    A missing file is an error, since an uncoded action unit is not an absent one.
    """
    columns = []
    for unit in UNITS:
        file = path / f"{path.name}_au{unit}.txt"
        if not file.is_file():
            raise FileNotFoundError(f"there is no file {file} of AU{unit}")
        column = []
        for line, text in enumerate(read_text(file).split(), 1):
            cells = re.fullmatch(r"(\d+),([0-5])", text)
            if cells is None or int(cells[1]) != line:
                raise ValueError(f"{file}, line {line}: expected '{line},' and an intensity of 0 to 5; got {text!r}")
            column.append(int(cells[2]))
        columns.append(column)
        if len(column) != len(columns[0]) or not column:
            raise ValueError(
                f"{file}: expected {len(columns[0]) or 'some'} frames as in AU{UNITS[0]}; got {len(column)}"
            )
    return list(zip(*columns, strict=True))


def _add_video(index: DatabaseIndex, subject: str, view: str, labels: list[tuple[int, ...]]) -> None:
    stem = f"{view}Video{subject}_comp"
    candidates = [stem, f"Video_{view}Camera/{stem}", f"Video_{view}Camera/{subject}"]
    if index.settings["camera"] != "both":
        candidates.append(subject)
    folders = [index.images / name for name in candidates if (index.images / name).is_dir()]
    if len(folders) > 1:
        raise ValueError(f"{subject} has two folders of images: {folders[0]} and {folders[1]}; expected one")
    if not folders:
        hint = (
            "; `sma-net align` extracts images from videos"
            if (index.images / f"Video_{view}Camera" / f"{stem}.avi").is_file()
            else ""
        )
        index.missing.append(f"{subject} ({view.lower()} camera, {len(labels)} frames{hint})")
        return
    images = images_by_number(folders[0], index.extra)
    base = index_base(folders[0], list(images), len(labels))
    sequence = f"{subject}_{view.lower()}"
    for offset, cells in enumerate(labels):
        if offset + base in images:
            index.samples.append(Sample(images[offset + base], subject, sequence, offset + 1, cells))
        else:
            index.missing.append(f"{folders[0].name} frame {offset + base}")


def index_base(path: Path, numbers: list[int], frames: int) -> int:
    """The number of the first image, 0 or 1, according to first and last number. Raises ValueError if they fit neither."""
    ends = (numbers[0], numbers[-1]) if numbers else None
    for base in (0, 1):
        if ends == (base, base + frames - 1):
            return base
    raise ValueError(
        f"{path}: expected images 0 to {frames - 1} or 1 to {frames}, which are labeled; "
        f"got {f'{ends[0]} to {ends[1]}' if ends else 'none'}: the frame numbering is ambiguous"
    )


class DISFA(Database):
    """DISFA's frames; the tested fold is P1, P2 or P3.

    Args:
        manifest:     CSV file that `sma-net data check --dataset disfa` wrote
        au_threshold: the lowest intensity that counts as present
        settings:     see `Database`
    """

    dataset = "disfa"

    def __init__(self, manifest: str | Path, fold: str = "P1", au_threshold: int = AU_THRESHOLD, **settings: Any):
        super().__init__(manifest, fold, au_threshold=au_threshold, **settings)
