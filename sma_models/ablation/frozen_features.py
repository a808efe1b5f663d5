"""One arm and seed of the heads tier: train on cached features, test, and look where it looks."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sma_models.ablation.arms import Arm
from sma_models.ablation.config import Training
from sma_models.ablation.evaluation import Looked, RunScores, answer_scores, attention_scores, join
from sma_models.ablation.feature_cache import FeaturePart, read_part
from sma_models.ablation.frozen_heads import Course, Head, make_loss, train
from sma_models.data.face_table import UNKNOWN
from sma_models.metrics.calibration import best_f1_threshold
from sma_models.metrics.predictions import Predictions

_BATCH = 200
# A worker keeps the parts of its last experiment open.
_open = functools.cache(read_part)


def run_head(
    arm: Arm, seed: int, folds: Sequence[Path], regions: tuple[str, ...], training: Training, order_seed: int
) -> tuple[RunScores, dict[str, float | list[float]]]:
    """Scores over all folds, and facts: parameters, seconds a step, losses by epoch (means over folds)."""
    answers, looks, courses = [], [], []
    for folder in folds:
        part = _open(folder, "train")
        head = Head(arm, part.maps.shape[3], len(regions), seed)
        courses.append(train(head, arm, part, make_loss(torch.from_numpy(part.labels), regions), training, order_seed))
        head.eval()
        answers.append(_answers(head, folder))
        if head.attention is not None:
            looks.append(attention_scores(head.attention, _looked(head, folder)))
    return join(answer_scores(answers), looks), _facts(head, courses)


def _facts(head: Head, courses: list[Course]) -> dict[str, float | list[float]]:
    return {
        "parameters": sum(parameter.numel() for parameter in head.parameters()),
        "step_seconds": float(np.mean([course.step_seconds for course in courses])),
        "losses": np.mean([course.losses for course in courses], 0).tolist(),
    }


def _batches(part: FeaturePart) -> Iterator[tuple[slice, Tensor]]:
    for start in range(0, len(part), _BATCH):
        rows = slice(start, start + _BATCH)
        yield rows, part.batch(rows)


@torch.no_grad()
def _logits(head: Head, part: FeaturePart) -> Tensor:
    return torch.cat([head(x).logits for _, x in _batches(part)])


def _answers(head: Head, folder: Path) -> Predictions:
    """Answers to the test part; action units are called at thresholds chosen on the validation part."""
    test = _open(folder, "test")
    logits = _logits(head, test)
    threshold = np.zeros(logits.shape[1], np.float32)
    if test.labels.ndim == 2:
        val = _open(folder, "val")
        chosen_on, labels = _logits(head, val), torch.from_numpy(val.labels)
        for unit in range(len(threshold)):
            known = labels[:, unit] != UNKNOWN
            threshold[unit] = best_f1_threshold(chosen_on[known, unit], labels[known, unit] == 1)
    found = np.ones(len(test), bool)
    return Predictions(logits.numpy(), test.labels, threshold, test.subjects, test.subjects, found)


@torch.no_grad()
def _looked(head: Head, folder: Path) -> Iterator[Looked]:
    """The attention on faces with known regions, or on the test faces where there are none."""
    part = _open(folder, "attention" if (folder / "attention.npz").is_file() else "test")
    for rows, x in _batches(part):
        output = head(x).attention
        assert output is not None
        masks = None if part.masks is None else torch.from_numpy(part.masks[rows])
        yield Looked(output, shows(torch.from_numpy(part.labels[rows]), output.maps.shape[1]), masks)


def shows(labels: Tensor, regions: int) -> Tensor:
    """Which faces show which action unit or class, bool [B,R], by labels int8 [B,R] or int64 [B]."""
    if labels.ndim == 2:
        return labels == 1
    return torch.nn.functional.one_hot(labels, regions).bool()
