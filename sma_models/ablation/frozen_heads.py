"""Heads on frozen feature maps, and their training in a plain loop."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sma_kernels import SMAOutput
from sma_models.ablation.arms import Arm
from sma_models.ablation.config import Training
from sma_models.ablation.feature_cache import FeatureSplit
from sma_models.data.face_table import UNKNOWN
from sma_models.losses.classification import au_weights, class_weights, weighted_asymmetric
from sma_models.losses.diversity import diversity_term
from sma_models.models.sma_net import RegionClassifier, make_attention, make_classifier
from sma_models.training.optimizer import make_optimizer, make_schedule
from sma_models.utils.finite import require_finite

Loss = Callable[[Tensor, Tensor], Tensor]


class HeadOutput(NamedTuple):
    """logits [B,R], and the output of the attention; None for the arm without attention."""

    logits: Tensor
    attention: SMAOutput | None


class FrozenHead(nn.Module):
    """The head of an arm on feature maps of `width` channels: attention or average pooling, and linear classifiers.

    Attention and classifiers are each initialized from `seed`, so that arms share all initial tensors of the same shape.
    forward(x [B,width,H,W]) -> HeadOutput
    """

    def __init__(self, arm: Arm, width: int, regions: int, seed: int):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.attention = make_attention(width, regions, arm.network) if arm.has_attention else None
            torch.manual_seed(seed)
            self.classifier = (
                make_classifier(width, regions, arm.network)
                if arm.has_attention
                else RegionClassifier(regions, (), width)
            )

    def forward(self, x: Tensor) -> HeadOutput:
        if self.attention is None:
            return HeadOutput(self.classifier(x.mean((2, 3))[:, None]), None)
        attention = self.attention(x)
        return HeadOutput(self.classifier(attention.pooled), attention)

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay."""
        return (
            {f"attention.{name}" for name in self.attention.no_weight_decay()} if self.attention is not None else set()
        )


class TrainingLog(NamedTuple):
    """The mean loss of each epoch, and the median seconds per step."""

    losses: list[float]
    step_seconds: float


def train(
    head: FrozenHead, arm: Arm, split: FeatureSplit, loss: Loss, training: Training, order_seed: int
) -> TrainingLog:
    """Train `head` in place; batches depend on `order_seed` alone, so that all arms see the same ones."""
    order = np.random.default_rng(order_seed)
    steps = max(1, len(split) // training.batch_size)
    optimizer = make_optimizer(head, training.optimizer)
    schedule = make_schedule(optimizer, training.optimizer, steps * training.epochs, steps)
    labels = torch.from_numpy(split.labels)
    losses: list[float] = []
    times: list[float] = []
    head.train()
    for _ in range(training.epochs):
        total = 0.0
        # A last batch of one or two samples would distort the statistics of the batch norm.
        for rows in np.array_split(order.permutation(len(split))[: steps * training.batch_size], steps):
            x = split.batch(rows)
            started = time.perf_counter()
            output = head(x)
            value = loss(output.logits, labels[rows])
            if output.attention is not None and arm.diversity_weight:
                value = value + arm.diversity_weight * diversity_term(arm.diversity, output.attention).mean()
            require_finite(f"the loss of step {len(times)}", value.detach())
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            times.append(time.perf_counter() - started)
            total += value.item()
        losses.append(total / steps)
    return TrainingLog(losses, float(np.median(times)))


def make_loss(labels: Tensor, regions: tuple[str, ...]) -> Loss:
    """The training loss of logits [B,R] and labels, weighted by the rarity of labels in the training data.

    labels: int8 [n,R] of action units or int64 [n] of classes.
    """
    if labels.ndim == 1:
        weights = class_weights(labels, len(regions), "sqrt")
        return lambda logits, truth: cross_entropy(logits, truth, weights)
    weights = au_weights(labels == 1, labels != UNKNOWN, regions)
    return lambda logits, truth: weighted_asymmetric(logits, (truth == 1).float(), truth != UNKNOWN, weights)
