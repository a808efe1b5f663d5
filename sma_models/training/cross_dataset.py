"""Cross-dataset testing: shared action units only, unseen subjects only."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray

from sma_models.data.alignment import check_same_alignment
from sma_models.data.data_module import FaceDataModule
from sma_models.data.face_table import UNKNOWN, FaceTable
from sma_models.models.checkpoint import CheckpointInfo, load_checkpoint


class RemappedAUs(FaceTable):
    """Faces with the action units of a network, matched by name; action units without labels are unknown."""

    def __init__(self, faces: FaceTable, regions: tuple[str, ...]):
        self.kind, self.regions, self._faces = "au", regions, faces
        self.subjects, self.sequences, self.frames = faces.subjects, faces.sequences, faces.frames
        self.detected = faces.detected
        self.labels = np.full((len(faces), len(regions)), UNKNOWN, np.int8)
        for column, name in enumerate(regions):
            if name in faces.regions:
                self.labels[:, column] = faces.labels[:, faces.regions.index(name)]

    def image(self, index: int, size: int) -> NDArray[np.uint8]:
        return self._faces.image(index, size)


def prepare_test(task: Any, data: FaceDataModule, checkpoint: str | Path) -> None:
    """Set up `task` to test the network of a checkpoint on `data`.

    ValueError if the data have subjects of its training, were aligned differently, or share no action unit with it.
    """
    info, _ = load_checkpoint(checkpoint)
    data.setup("test")
    check_same_alignment(info.alignment, data.alignment)
    check_unseen_subjects(info, data.people, set(data.faces.subjects[data.splits.test].tolist()) - {""})
    task.network_config, task.pretrained, task.init_from = info.network, False, None
    # Tables describe the training of the tested network, not these settings.
    selection: Any = info.selection
    task.starts_from, data.selection = info.starts_from, selection
    regions, theirs = info.regions, tuple(data.faces.regions)
    if info.kind == data.faces.kind == "au" and regions != theirs:
        shared = [name for name in regions if name in theirs]
        if not shared:
            raise ValueError(
                f"expected action units in common; the checkpoint has {', '.join(regions)}, these data {', '.join(theirs)}"
            )
        rank_zero_info(
            f"scored: {', '.join(shared)}\n"
            f"only in the checkpoint: {', '.join(n for n in regions if n not in theirs) or 'none'}\n"
            f"only in these data: {', '.join(n for n in theirs if n not in regions) or 'none'}"
        )
        data.faces = RemappedAUs(data.faces, regions)


def check_unseen_subjects(info: CheckpointInfo, people: str | None, tested: set[str]) -> None:
    """ValueError if a checkpoint was trained on subjects to be tested.

    Different people may have the same name: names are compared unless both sides have a known group (`people`) and the groups
    differ. Case and dashes of groups are ignored: DISFA is disfa, BP4D+ is bp4dplus; DISFA+ shows people of disfa.
    """
    ours, theirs = _normalized(people or ""), _normalized(info.people or "")
    if ours and theirs and ours != theirs:
        return
    trained = {name.casefold() for name in info.subjects}
    seen = sorted(name for name in tested if name.casefold() in trained)
    if seen:
        raise ValueError(
            f"the checkpoint was trained on {len(seen)} of the subjects to be tested: {', '.join(seen[:12])}; "
            "test a fold without them (or, if these are other people of the same names, set `people` of the data)"
        )


def _normalized(people: str) -> str:
    name = re.sub(r"[\s_-]", "", people).casefold().replace("+", "plus")
    return "disfa" if name == "disfaplus" else name
