"""BP4D: action units of 41 subjects in eight tasks."""

import re
from pathlib import Path
from typing import Any

from sma_models.data.databases.au_occurrence import (
    UNITS,
    add_coded_sequence,
    coding_files,
    read_coded_sequence,
    record_uncoded,
)
from sma_models.data.databases.base import Database
from sma_models.data.manifest import ALWAYS_POSITIVE, DatabaseIndex, set_published_folds
from sma_models.synthetic.rates import BASE_RATES

FOLDS = {
    "P1": "F001 F002 F008 F009 F010 F016 F018 F023 M001 M004 M007 M008 M012 M014",
    "P2": "F003 F005 F011 F013 F020 F022 M002 M005 M010 M011 M013 M016 M017 M018",
    "P3": "F004 F006 F007 F012 F014 F015 F017 F019 F021 M003 M006 M009 M015",
}
EXPECTED: dict[str, int | float] = {
    "subjects": 41,
    "sequences": 328,
    "frames": 146847,
    "frames of fold P1": 50631,
    "frames of fold P2": 50182,
    "frames of fold P3": 46034,
    **{f"AU{unit}, share of positives": BASE_RATES[unit] for unit in UNITS},
    ALWAYS_POSITIVE: 0.480,
}
_CODING = re.compile(r"([FM]\d{3})_(T[1-8])\.csv")


def index_bp4d(root: Path, images: Path | None = None) -> DatabaseIndex:
    """The coded frames of BP4D.

    Args:
        root:   folder that contains AUCoding/AU_OCC
        images: folder that contains F001/T1/2440.jpg and so on; None means `root`
    """
    index = DatabaseIndex("bp4d", Path(images or root), {}, UNITS, expected=EXPECTED)
    coded = set()
    for file in coding_files(Path(root)):
        name = _CODING.fullmatch(file.name)
        if name is None:
            index.extra.append(str(file))
        else:
            sequence = read_coded_sequence(index, file, name[1], name[2])
            if sequence is not None:
                # Images and codes have the same numbering.
                add_coded_sequence(index, sequence, first_image=1)
                coded.add((name[1], name[2]))
    record_uncoded(index, coded, [f"T{number}" for number in range(1, 9)], ())
    set_published_folds(index, {fold: tuple(subjects.split()) for fold, subjects in FOLDS.items()})
    return index


class BP4D(Database):
    """BP4D's coded frames; the tested fold is P1, P2 or P3.

    Args:
        manifest: CSV file that `sma-net data check --dataset bp4d` wrote
        settings: see `Database`
    """

    dataset = "bp4d"

    def __init__(self, manifest: str | Path, fold: str = "P1", **settings: Any):
        super().__init__(manifest, fold, **settings)
