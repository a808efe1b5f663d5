"""Scores of action units and expressions, and the similarity of attention maps, as torchmetrics.

An undefined score (of an action unit without a positive or a negative in a split) is NaN, and left out of means.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from scipy.stats import rankdata
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from sma_kernels import SMAAttention, SMAOutput


@dataclass(frozen=True)
class AUScores:
    """Per action unit, float64 [R], NaN where undefined.

    f1_at_0_5:          F1 at a probability of one half
    f1:                 F1 at the given thresholds
    auc:                area under the ROC curve
    accuracy:           share of known labels that are predicted correctly at the given thresholds
    prevalence:         share of positives among known labels
    f1_always_positive: F1 of predicting "present" for every sample, the best constant prediction
    """

    f1_at_0_5: Tensor
    f1: Tensor
    auc: Tensor
    accuracy: Tensor
    prevalence: Tensor
    f1_always_positive: Tensor


_OLD_NAMES = {"f1_half": "f1_at_0_5", "constant": "f1_always_positive", "rate": "prevalence"}
_OLD_NAME = re.compile(rf"(^|mean_|/)({'|'.join(_OLD_NAMES)})$")


def current_names(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Scores of a JSON file or a log, under their current names; files of older runs use other names."""
    return {_OLD_NAME.sub(lambda match: match[1] + _OLD_NAMES[match[2]], name): value for name, value in scores.items()}


class AUPredictions(Metric):
    """Collects predictions; `compute` returns logits [n,R], labels [n,R] and known [n,R]."""

    full_state_update = False
    logits: list[Tensor]
    labels: list[Tensor]
    known: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("logits", "labels", "known"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor, known: Tensor) -> None:
        self.logits.append(logits.detach().float())
        self.labels.append(labels.detach())
        self.known.append(known)

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        return dim_zero_cat(self.logits), dim_zero_cat(self.labels), dim_zero_cat(self.known)


class SampleLogits(Metric):
    """Collects logits per sample; `compute` returns index int64 [n], ascending, and logits [n,R], of all processes."""

    full_state_update = False
    index: list[Tensor]
    logits: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("index", "logits"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, index: Tensor, logits: Tensor) -> None:
        self.index.append(index)
        self.logits.append(logits.detach().float())

    def compute(self) -> tuple[Tensor, Tensor]:
        index, order = dim_zero_cat(self.index).sort()
        return index, dim_zero_cat(self.logits)[order]


def f1_score(truth: Tensor, predicted: Tensor) -> float:
    """F1 of predictions, bool [n], against the truth, bool [n]; NaN unless the truth has positives and negatives."""
    positives = int(truth.sum())
    if not 0 < positives < len(truth):
        return float("nan")
    return 2 * int((truth & predicted).sum()) / (positives + int(predicted.sum()))


def roc_auc(scores: Tensor, truth: Tensor) -> float:
    """Area under the ROC curve of scores [n] against bool [n], ties counting half; NaN unless the truth has positives and
    negatives.

    Raw scores are ranked: a sigmoid would round different scores of a confident network to the same value.
    """
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores.double().cpu().numpy())
    # The Mann-Whitney U statistic: the number of correctly ordered pairs.
    pairs = ranks[truth.cpu().numpy()].sum() - positives * (positives + 1) / 2
    return float(pairs / (positives * negatives))


def au_scores(logits: Tensor, labels: Tensor, known: Tensor, threshold: Tensor) -> AUScores:
    """Scores of logits [n,R] against labels [n,R] of 0 and 1 where known (bool [n,R]); threshold: logits [R].

    If a unit has NaN logits, the scores that depend on its logits are undefined.
    """
    columns = []
    for unit in range(logits.shape[1]):
        rows = known[:, unit]
        x, truth = logits[rows, unit].double(), labels[rows, unit].bool()
        # A tensor without dimensions would be rounded to the other's dtype.
        predicted = x >= threshold[unit].double()
        always = f1_score(truth, torch.ones_like(truth))
        if x.isnan().any():
            columns.append((torch.nan, torch.nan, torch.nan, torch.nan, float(truth.double().mean()), always))
            continue
        columns.append(
            (
                f1_score(truth, x >= 0),
                f1_score(truth, predicted),
                roc_auc(x, truth),
                float((predicted == truth).double().mean()),
                float(truth.double().mean()),
                always,
            )
        )
    return AUScores(*torch.tensor(columns, dtype=torch.float64).T)


@dataclass(frozen=True)
class ExpressionScores:
    """Scores of expressions.

    confusion:         int64 [R,R], rows are true classes, columns predicted classes
    accuracy, macro_f1: floats; macro_f1 is the mean over the classes that occur
    f1:                float64 [R], NaN for a class without a sample
    majority_accuracy, majority_macro_f1: of always predicting the most frequent class
    """

    confusion: Tensor
    accuracy: float
    macro_f1: float
    f1: Tensor
    majority_accuracy: float
    majority_macro_f1: float


def expression_scores(confusion: Tensor) -> ExpressionScores:
    """Scores of a confusion matrix int64 [R,R] with at least one sample."""
    majority = torch.zeros_like(confusion)
    majority[:, int(confusion.sum(1).argmax())] = confusion.sum(1)
    f1, guess = _class_f1(confusion), _class_f1(majority)
    return ExpressionScores(
        confusion,
        accuracy=_accuracy(confusion),
        macro_f1=float(f1.nanmean()),
        f1=f1,
        majority_accuracy=_accuracy(majority),
        majority_macro_f1=float(guess.nanmean()),
    )


def _accuracy(confusion: Tensor) -> float:
    return float(confusion.trace().double() / confusion.sum())


def _class_f1(confusion: Tensor) -> Tensor:
    true = confusion.sum(1).double()
    f1 = 2 * confusion.diagonal() / (true + confusion.sum(0))
    return f1.where(true > 0, torch.nan)


class AttentionSimilarity(Metric):
    """How similar the maps of one region are, and how far refinement moves them; `compute` returns a dict of scalars.

    cosine_before, cosine_after: mean cosine of two maps of one region, before and after refinement (NaN if K = 1)
    moved:                       mean over maps of ‖m' − m‖/‖m‖
    """

    full_state_update = False
    sums: Tensor
    samples: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("sums", default=torch.zeros(3), dist_reduce_fx="sum")
        self.add_state("samples", default=torch.zeros(()), dist_reduce_fx="sum")

    @torch.no_grad()
    def update(self, attention: SMAAttention, output: SMAOutput) -> None:
        maps = output.maps.float()
        refined, _ = attention.refine(maps)
        before, after = maps.flatten(3), refined.flatten(3)
        moved = (after - before).norm(dim=3) / before.norm(dim=3).clamp_min(1e-6)
        each = torch.stack([_within_cosine(before), _within_cosine(after), moved.mean((1, 2))])
        self.sums += each.sum(1)
        self.samples += len(maps)

    def compute(self) -> dict[str, Tensor]:
        return dict(zip(("cosine_before", "cosine_after", "moved"), self.sums / self.samples, strict=True))


def _within_cosine(maps: Tensor) -> Tensor:
    """Mean cosine [B] over ordered pairs of different maps of one region, of maps [B,R,K,L]."""
    channels = maps.shape[2]
    if channels == 1:
        return maps.new_full((len(maps),), torch.nan)
    unit = maps / maps.norm(dim=3, keepdim=True).clamp_min(1e-6)
    gram = unit @ unit.mT
    off = gram.sum((2, 3)) - gram.diagonal(dim1=2, dim2=3).sum(2)
    return off.mean(1) / (channels * (channels - 1))
