"""One arm and seed of the heads protocol: training on cached features, testing, and scoring the attention."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sma_models.ablation.arms import Arm
from sma_models.ablation.config import Training
from sma_models.ablation.evaluation import AttentionBatch, RunScores, attention_scores, join, prediction_scores
from sma_models.ablation.feature_cache import FeatureSplit, read_split
from sma_models.ablation.frozen_heads import FrozenHead, TrainingLog, make_loss, train
from sma_models.data.face_table import UNKNOWN
from sma_models.metrics.calibration import best_f1_threshold
from sma_models.metrics.predictions import Predictions

_BATCH = 200
# A worker keeps the memory-mapped splits open.
_open = functools.cache(read_split)


def run_head(
    arm: Arm, seed: int, folds: Sequence[Path], regions: tuple[str, ...], training: Training, order_seed: int
) -> tuple[RunScores, dict[str, float | list[float]]]:
    """Scores over all folds, and facts: parameters, seconds per step, losses by epoch (means over folds)."""
    predictions, attention, logs = [], [], []
    for folder in folds:
        train_split = _open(folder, "train")
        head = FrozenHead(arm, train_split.maps.shape[3], len(regions), seed)
        loss = make_loss(torch.from_numpy(train_split.labels), regions)
        logs.append(train(head, arm, train_split, loss, training, order_seed))
        head.eval()
        predictions.append(_predictions(head, folder))
        if head.attention is not None:
            attention.append(attention_scores(head.attention, _attention_batches(head, folder)))
    return join(prediction_scores(predictions), attention), _facts(head, logs)


def _facts(head: FrozenHead, logs: list[TrainingLog]) -> dict[str, float | list[float]]:
    return {
        "parameters": sum(parameter.numel() for parameter in head.parameters()),
        "step_seconds": float(np.mean([log.step_seconds for log in logs])),
        "losses": np.mean([log.losses for log in logs], 0).tolist(),
    }


def _batches(split: FeatureSplit) -> Iterator[tuple[slice, Tensor]]:
    for start in range(0, len(split), _BATCH):
        rows = slice(start, start + _BATCH)
        yield rows, split.batch(rows)


@torch.no_grad()
def _logits(head: FrozenHead, split: FeatureSplit) -> Tensor:
    return torch.cat([head(x).logits for _, x in _batches(split)])


def _predictions(head: FrozenHead, folder: Path) -> Predictions:
    """Predictions on the test split; thresholds of action units are chosen on the validation split."""
    test = _open(folder, "test")
    logits = _logits(head, test)
    threshold = np.zeros(logits.shape[1], np.float32)
    if test.labels.ndim == 2:
        val = _open(folder, "val")
        val_logits, labels = _logits(head, val), torch.from_numpy(val.labels)
        for au in range(len(threshold)):
            known = labels[:, au] != UNKNOWN
            threshold[au] = best_f1_threshold(val_logits[known, au], labels[known, au] == 1)
    detected = np.ones(len(test), bool)
    return Predictions(logits.numpy(), test.labels, threshold, test.subjects, test.subjects, detected)


@torch.no_grad()
def _attention_batches(head: FrozenHead, folder: Path) -> Iterator[AttentionBatch]:
    """Attention on faces with known regions, or on the test faces if there are none."""
    split = _open(folder, "attention" if (folder / "attention.npz").is_file() else "test")
    for rows, x in _batches(split):
        output = head(x).attention
        assert output is not None
        masks = None if split.masks is None else torch.from_numpy(split.masks[rows])
        yield AttentionBatch(output, present(torch.from_numpy(split.labels[rows]), output.maps.shape[1]), masks)


def present(labels: Tensor, regions: int) -> Tensor:
    """Presence of each action unit or class, bool [B,R], from labels int8 [B,R] or int64 [B]."""
    if labels.ndim == 2:
        return labels == 1
    return torch.nn.functional.one_hot(labels, regions).bool()
