"""DISFA: intensities of action units of 27 people, every frame of one video each."""

import re
from pathlib import Path
from typing import Any, Literal

from sma_models.data.databases.base import Database
from sma_models.data.manifest import (
    ALWAYS_POSITIVE,
    DatabaseIndex,
    Sample,
    folder,
    pictures_by_number,
    same_parts,
    visible,
)
from sma_models.synthetic.rates import BASE_RATES
from sma_models.utils.text_files import read_text

UNITS = (1, 2, 4, 6, 9, 12, 25, 26)
PARTS = {
    "P1": (1, 2, 9, 10, 16, 26, 27, 30, 32),
    "P2": (6, 11, 12, 13, 18, 21, 24, 28, 31),
    "P3": (3, 4, 5, 7, 8, 17, 23, 25, 29),
}
AU_THRESHOLD = 2
EXPECTED: dict[str, int | float] = {
    "subjects": 27,
    "sequences": 27,
    "frames": 130814,
    # BP4D's codes lack these: the published shares are DISFA's.
    **{f"AU{unit}, share of positives": BASE_RATES[unit] for unit in (9, 25, 26)},
    ALWAYS_POSITIVE: 0.187,
}
_CAMERAS = {"left": ("Left",), "right": ("Right",), "both": ("Left", "Right")}


def list_disfa(
    root: Path, images: Path | None = None, camera: Literal["left", "right", "both"] = "left"
) -> DatabaseIndex:
    """Every frame of DISFA with its intensities, 0 to 5.

    Args:
        root:   folder that holds ActionUnit_Labels/SN001/SN001_au1.txt and so on
        images: folder that holds the frames as pictures, SN001/... or LeftVideoSN001_comp/...; None is `root`
        camera: whose frames; "both" is another protocol than the published ones
    """
    where = Path(images or root)
    listing = DatabaseIndex("disfa", where, {"camera": camera}, UNITS, positive_from=AU_THRESHOLD)
    views = _CAMERAS[camera]
    listing.expected = {**EXPECTED, "sequences": 27 * len(views), "frames": 130814 * len(views)}
    for path in visible(folder(Path(root) / "ActionUnit_Labels", "SN001, SN002, ...")):
        if re.fullmatch(r"SN\d{3}", path.name) is None:
            listing.extra.append(str(path))
            continue
        labels = read_intensities(path)
        for view in views:
            _add_video(listing, path.name, view, labels)
    for path in sorted((*listing.images.glob("*SN*"), *listing.images.glob("Video_*Camera/*SN*"))):
        subject = re.search(r"SN\d{3}", path.name)
        if path.is_dir() and subject and not (Path(root) / "ActionUnit_Labels" / subject[0]).is_dir():
            listing.unlabelled.append(path.relative_to(listing.images).as_posix())
    same_parts(listing, {part: tuple(f"SN{number:03d}" for number in numbers) for part, numbers in PARTS.items()})
    return listing


def read_intensities(path: Path) -> list[tuple[int, ...]]:
    """Intensities of `UNITS` of the frames 1, 2, ... of one subject's folder. ValueError names file and line.

    A file that is missing is an error: an action unit that nobody coded is not absent.
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


def _add_video(listing: DatabaseIndex, subject: str, view: str, labels: list[tuple[int, ...]]) -> None:
    stem = f"{view}Video{subject}_comp"
    places = [stem, f"Video_{view}Camera/{stem}", f"Video_{view}Camera/{subject}"]
    if listing.settings["camera"] != "both":
        places.append(subject)
    found = [listing.images / place for place in places if (listing.images / place).is_dir()]
    if len(found) > 1:
        raise ValueError(f"{subject} is there twice: {found[0]} and {found[1]}; expected one folder of pictures")
    if not found:
        hint = (
            "; pictures are made of videos by `sma-net align`"
            if (listing.images / f"Video_{view}Camera" / f"{stem}.avi").is_file()
            else ""
        )
        listing.missing.append(f"{subject} ({view.lower()} camera, {len(labels)} frames{hint})")
        return
    pictures = pictures_by_number(found[0], listing.extra)
    base = index_base(found[0], list(pictures), len(labels))
    sequence = f"{subject}_{view.lower()}"
    for place, cells in enumerate(labels):
        if place + base in pictures:
            listing.samples.append(Sample(pictures[place + base], subject, sequence, place + 1, cells))
        else:
            listing.missing.append(f"{found[0].name} frame {place + base}")


def index_base(path: Path, numbers: list[int], frames: int) -> int:
    """0 or 1, the number of the first picture, as first and last number prove it. ValueError if they prove neither."""
    ends = (numbers[0], numbers[-1]) if numbers else None
    for base in (0, 1):
        if ends == (base, base + frames - 1):
            return base
    raise ValueError(
        f"{path}: expected pictures 0 to {frames - 1} or 1 to {frames}, which are labelled; "
        f"got {f'{ends[0]} to {ends[1]}' if ends else 'none'}: which frame is which cannot be told"
    )


class DISFA(Database):
    """DISFA's frames; the fold is the part that is tested: P1, P2 or P3.

    Args:
        manifest:     CSV file that `sma-net data check --dataset disfa` wrote
        au_threshold: an action unit is present from this intensity on
        settings:     see `Database`
    """

    dataset = "disfa"

    def __init__(self, manifest: str | Path, fold: str = "P1", au_threshold: int = AU_THRESHOLD, **settings: Any):
        super().__init__(manifest, fold, au_threshold=au_threshold, **settings)
