"""Testing a checkpoint on other data than it was trained on: the action units that both have, and nobody it has seen."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray

from sma_models.data.alignment import check_same_alignment
from sma_models.data.data_module import FaceDataModule
from sma_models.data.face_table import UNKNOWN, FaceTable
from sma_models.models.checkpoint import ENTRY, read_checkpoint
from sma_models.models.sma_net import NetworkConfig


class OtherUnits(FaceTable):
    """Faces with the action units that a network reads, by name: those that the faces lack are unknown."""

    def __init__(self, faces: FaceTable, regions: tuple[str, ...]):
        self.kind, self.regions, self._faces = "au", regions, faces
        self.subjects, self.sequences, self.frames = faces.subjects, faces.sequences, faces.frames
        self.detected = faces.detected
        self.labels = np.full((len(faces), len(regions)), UNKNOWN, np.int8)
        for place, name in enumerate(regions):
            if name in faces.regions:
                self.labels[:, place] = faces.labels[:, faces.regions.index(name)]

    def image(self, index: int, size: int) -> NDArray[np.uint8]:
        return self._faces.image(index, size)


def prepare_test(task: Any, data: FaceDataModule, checkpoint: str | Path) -> None:
    """Let `task` test the network of a checkpoint on `data`.

    ValueError if the data have subjects that it was trained on, are aligned in another way, or share no action unit.
    """
    facts = read_checkpoint(checkpoint)[ENTRY]
    origin = facts.get("data", {})
    data.setup("test")
    check_same_alignment(origin.get("alignment"), data.alignment)
    tested = set(data.faces.subjects[data.splits.test].tolist()) - {""}
    refuse_seen(origin, data.people, tested)
    task.network_config, task.backbone_weights, task.init_from = NetworkConfig(**facts["network"]), "none", None
    # A table names how the tested network came about, not what these settings would train.
    task.starts_from = facts.get("starts_from", "unknown")
    data.selection = origin.get("selection", "unknown")
    regions, theirs = tuple(facts["regions"]), tuple(data.faces.regions)
    if facts["kind"] == data.faces.kind == "au" and regions != theirs:
        shared = [name for name in regions if name in theirs]
        if not shared:
            raise ValueError(f"the checkpoint has {', '.join(regions)}, these data {', '.join(theirs)}: none in common")
        rank_zero_info(
            f"scored: {', '.join(shared)}\n"
            f"left out, of the checkpoint only: {', '.join(n for n in regions if n not in theirs) or 'none'}\n"
            f"left out, of these data only: {', '.join(n for n in theirs if n not in regions) or 'none'}"
        )
        data.faces = OtherUnits(data.faces, regions)


def refuse_seen(origin: dict[str, Any], people: str | None, tested: set[str]) -> None:
    """ValueError if subjects to be tested are among those that a checkpoint was trained on.

    Names of different people may coincide; where either side does not say whose they are, they count as the same. Case
    and dashes do not tell people apart: DISFA is disfa, BP4D+ is bp4dplus, and DISFA+ has people of disfa.
    """
    ours, theirs = _plain(people or ""), _plain(origin.get("people") or "")
    if ours and theirs and ours != theirs:
        return
    trained = {name.casefold() for name in origin.get("subjects", ())}
    seen = sorted(name for name in tested if name.casefold() in trained)
    if seen:
        raise ValueError(
            f"the checkpoint was trained on {len(seen)} of the subjects that would be tested: {', '.join(seen[:12])}; "
            "expected a fold without them (or, for other people of the same names, `people` in the settings of the data)"
        )


def _plain(people: str) -> str:
    name = re.sub(r"[\s_-]", "", people).casefold().replace("+", "plus")
    return "disfa" if name == "disfaplus" else name
