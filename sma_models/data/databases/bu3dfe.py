"""BU-3DFE: posed expressions of 100 subjects at four levels."""

import re
from pathlib import Path
from typing import Any

from sma_models.data.databases.base import Database
from sma_models.data.images import IMAGE_SUFFIXES
from sma_models.data.manifest import DatabaseIndex, Sample, folder, set_folds, visible

EXPRESSIONS = {"AN": "anger", "DI": "disgust", "FE": "fear", "HA": "happiness", "SA": "sadness", "SU": "surprise"}
_SUBJECTS = {f"F{n:04d}" for n in range(1, 57)} | {f"M{n:04d}" for n in range(1, 45)}
# The letters between level and kind are the ethnicity, which differs in spelling between copies.
_NAME = re.compile(r"([FM]\d{4})_(?:(AN|DI|FE|HA|SA|SU)(0[1-4])|NE00)[A-Za-z]*_(F\d?[A-Z0-9]+)")


def index_bu3dfe(
    root: Path,
    images: Path | None = None,
    levels: list[int] | None = None,
    texture: str = "F2D",
    folds: Path | None = None,
) -> DatabaseIndex:
    """Textures of BU-3DFE with one of six expressions.

    Args:
        root:    folder that contains F0001/F0001_AN01WH_F2D.bmp and so on, or a folder Subjects with these
        images:  the same layout with other images, such as aligned ones; None means `root`
        levels:  the levels to use, of 1 to 4; None means 3 and 4
        texture: kind of texture
        folds:   CSV of subject,fold to use instead of our ten folds
    """
    used = sorted(set(levels)) if levels is not None else [3, 4]
    if not used or set(used) - {1, 2, 3, 4}:
        raise ValueError(f"levels: expected some of 1 to 4; got {levels}")
    index = DatabaseIndex("bu3dfe", Path(images or root), {"levels": used, "texture": texture})
    frames = 600 * len(used)
    index.expected = {"subjects": 100, "sequences": frames, "frames": frames}
    index.expected |= {name: 100 * len(used) for name in EXPRESSIONS.values()}
    subjects = index.images / "Subjects"
    top = subjects if subjects.is_dir() else folder(index.images, "F0001/F0001_AN01WH_F2D.bmp")
    for path in visible(top):
        if path.is_dir() and path.name in _SUBJECTS:
            _add_subject(index, path)
        elif path.is_dir():
            index.extra.append(str(path))
    set_folds(index, 10, folds)
    return index


def _add_subject(index: DatabaseIndex, path: Path) -> None:
    textures: dict[tuple[str, int], list[Path]] = {}
    for file in visible(path):
        if file.suffix.lower() not in IMAGE_SUFFIXES:
            # Shapes (.wrl) and points (.bnd, .pse) are part of the database.
            continue
        name = _NAME.fullmatch(file.stem)
        if name is None or name[1] != path.name:
            index.extra.append(str(file))
        elif name[2] and name[4] == index.settings["texture"]:
            textures.setdefault((name[2], int(name[3])), []).append(file)
    for code, name_of in EXPRESSIONS.items():
        for level in index.settings["levels"]:
            files = textures.get((code, level), [])
            if len(files) == 1:
                index.samples.append(Sample(files[0], path.name, f"{code}{level:02d}", level, name_of))
            elif files:
                index.left_out.append(
                    f"{path.name} {code}{level:02d} (one of {', '.join(file.name for file in files)})"
                )
            else:
                index.missing.append(f"{path.name} {code}{level:02d}")


class BU3DFE(Database):
    """BU-3DFE's six expressions in ten folds, "0" to "9".

    Args:
        manifest: CSV file that `sma-net data check --dataset bu3dfe` wrote
        settings: see `Database`
    """

    dataset = "bu3dfe"

    def __init__(self, manifest: str | Path, fold: str = "0", **settings: Any):
        super().__init__(manifest, fold, **settings)
