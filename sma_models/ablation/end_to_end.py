"""One arm and seed of the end-to-end protocol: a whole network, trained as by `sma-net fit`."""

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
from sma_models.ablation.evaluation import AttentionBatch, RunScores, attention_scores, join, prediction_scores
from sma_models.ablation.fit_network import fit
from sma_models.data.face_table import Splits
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
    """Scores, and facts: parameters and seconds per step. Training resumes from the checkpoints in `folder`.

    masks: [n,R,H,W], coverage of each position by the true regions of `attention_faces`
    """
    size: Any = arm.network.image_size
    data = arm_data(settings)
    data.faces, data.splits = _synthetic_faces(settings, size)
    # Of the initial weights; order and augmentation depend on the seed of the data.
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
    predictions = Predictions(
        logits.numpy(),
        data.faces.labels[rows],
        info.calibration.threshold.numpy(),
        subjects,
        subjects,
        data.faces.detected[rows],
    )
    facts = {"parameters": sum(p.numel() for p in network.parameters()), "step_seconds": seconds}
    attention = attention_scores(network.attention, _attention_batches(network, _attention_faces(settings), masks))
    return join(prediction_scores([predictions]), [attention]), facts


@functools.cache
def _synthetic_faces(settings: Ablation, size: int) -> tuple[SyntheticTable, Splits]:
    """The faces of all runs of a process, rendered before anything is timed."""
    table, splits = arm_data(settings).load()
    for index in range(len(table)):
        table.image(index, canvas_size(size))
    assert isinstance(table, SyntheticTable)
    return table, splits


@functools.cache
def _attention_faces(settings: Ablation) -> SyntheticTable:
    return attention_faces(settings)


@torch.inference_mode()
def _outputs(
    network: SMANet, faces: SyntheticTable, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NetworkOutput]]:
    size: Any = network.config.image_size
    crop = Augment("none", size)
    for start in range(0, len(rows), _BATCH):
        batch_rows = rows[start : start + _BATCH]
        images = np.stack([faces.image(int(index), canvas_size(size)) for index in batch_rows])
        yield batch_rows, network(crop(torch.from_numpy(images).permute(0, 3, 1, 2), (0, 0, 0)))


def _attention_batches(network: SMANet, faces: SyntheticTable, masks: NDArray[np.float32]) -> Iterator[AttentionBatch]:
    for rows, output in _outputs(network, faces, np.arange(len(faces))):
        yield AttentionBatch(output.attention, torch.from_numpy(faces.labels[rows] == 1), torch.from_numpy(masks[rows]))
