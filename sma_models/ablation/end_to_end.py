"""One arm and seed of the end-to-end tier: a whole network, trained as `sma-net fit` trains it."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray

from sma_models.ablation.arms import Arm
from sma_models.ablation.config import Ablation
from sma_models.ablation.datasets import arm_data, attention_faces
from sma_models.ablation.evaluation import Looked, RunScores, answer_scores, attention_scores, join
from sma_models.ablation.fit_network import fit
from sma_models.data.base import Splits
from sma_models.data.synthetic import SyntheticTable
from sma_models.data.transforms import Augment, canvas_size
from sma_models.metrics.predictions import Predictions
from sma_models.models.checkpoint import load_checkpoint
from sma_models.models.sma_net import NetworkOutput, SMANet
from sma_models.training.task import ActionUnitTask

_BATCH = 100


def run_network(
    arm: Arm, seed: int, settings: Ablation, masks: NDArray[np.float32], folder: Path
) -> tuple[RunScores, dict[str, float]]:
    """Scores, and facts: parameters and seconds a step. Training goes on from what lies in `folder`.

    masks: [n,R,H,W], shares of each position that lie in the true regions of `attention_faces`
    """
    size: Any = arm.network.image_size
    data = arm_data(settings)
    data.faces, data.splits = _drawn_once(settings, size)
    # The initial weights; order and augmentation follow from the seed of the data.
    lightning.seed_everything(seed, verbose=False)
    task = ActionUnitTask(
        network=arm.network,
        optimizer=settings.training.optimizer,
        diversity=arm.diversity,
        diversity_weight=arm.diversity_weight,
    )
    best, seconds = fit(task, data, settings.training.epochs, folder, progress=False)
    info, network = load_checkpoint(best)
    rows = data.splits.test
    logits = torch.cat([output.logits for _, output in _outputs(network, data.faces, rows)])
    subjects = data.faces.subjects[rows]
    answers = Predictions(
        logits.numpy(),
        data.faces.labels[rows],
        info.calibration.threshold.numpy(),
        subjects,
        subjects,
        data.faces.found[rows],
    )
    facts = {"parameters": sum(p.numel() for p in network.parameters()), "step_seconds": seconds}
    looked = attention_scores(network.attention, _looked(network, _attention_faces(settings), masks))
    return join(answer_scores([answers]), [looked]), facts


@functools.cache
def _drawn_once(settings: Ablation, size: int) -> tuple[SyntheticTable, Splits]:
    """The faces of all runs of a process, drawn before anything is timed."""
    table, parts = arm_data(settings).load()
    for index in range(len(table)):
        table.picture(index, canvas_size(size))
    assert isinstance(table, SyntheticTable)
    return table, parts


@functools.cache
def _attention_faces(settings: Ablation) -> SyntheticTable:
    return attention_faces(settings)


@torch.inference_mode()
def _outputs(
    network: SMANet, faces: SyntheticTable, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NetworkOutput]]:
    size: Any = network.config.image_size
    centre = Augment("none", size)
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        pictures = np.stack([faces.picture(int(index), canvas_size(size)) for index in some])
        yield some, network(centre(torch.from_numpy(pictures).permute(0, 3, 1, 2), (0, 0, 0)))


def _looked(network: SMANet, faces: SyntheticTable, masks: NDArray[np.float32]) -> Iterator[Looked]:
    for rows, output in _outputs(network, faces, np.arange(len(faces))):
        yield Looked(output.attention, torch.from_numpy(faces.labels[rows] == 1), torch.from_numpy(masks[rows]))
