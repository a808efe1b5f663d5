"""Measures of action units, of expressions and of attention maps, as torchmetrics.

What is undefined (an action unit without a positive or a negative in a part) is NaN, and left out of means.
"""

from dataclasses import dataclass

import torch
from scipy.stats import rankdata
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from sma_kernels import SMAAttention, SMAOutput
from sma_models.utils.finite import require_finite


@dataclass(frozen=True)
class AUScores:
    """Per action unit, float64 [R], NaN where undefined.

    f1_half:   F1 at a probability of one half
    f1:        F1 at the given thresholds
    auc:       area under the ROC curve
    accuracy:  share of known labels that are called right at the given thresholds
    rate:      positives among known labels
    constant:  the best F1 of a constant guess, which is "always present"
    """

    f1_half: Tensor
    f1: Tensor
    auc: Tensor
    accuracy: Tensor
    rate: Tensor
    constant: Tensor


class UnitPredictions(Metric):
    """Collects what was predicted; `compute` returns logits [n,R], labels [n,R] and known [n,R]."""

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
    """Collects logits by sample; `compute` returns index int64 [n], ascending, and logits [n,R], of all processes."""

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


def f1_score(truth: Tensor, called: Tensor) -> float:
    """F1 of bool [n] against bool [n]; NaN if nothing is true or everything is."""
    positives = int(truth.sum())
    if not 0 < positives < len(truth):
        return float("nan")
    return 2 * int((truth & called).sum()) / (positives + int(called.sum()))


def roc_auc(scores: Tensor, truth: Tensor) -> float:
    """Area under the ROC curve of scores [n] against bool [n], ties counting half; NaN if nothing is true or everything is.

    Scores are ranked as they are: a sigmoid would make equal what a confident network tells apart.
    """
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores.double().cpu().numpy())
    # Mann and Whitney's count of the pairs that are in order.
    pairs = ranks[truth.cpu().numpy()].sum() - positives * (positives + 1) / 2
    return float(pairs / (positives * negatives))


def au_scores(logits: Tensor, labels: Tensor, known: Tensor, threshold: Tensor) -> AUScores:
    """Scores of logits [n,R] against labels [n,R] of 0 and 1 where known (bool [n,R]); threshold: logits [R].

    Of a unit that was answered NaN, nothing that follows from its answers is defined.
    """
    columns = []
    for unit in range(logits.shape[1]):
        rows = known[:, unit]
        x, truth = logits[rows, unit].double(), labels[rows, unit].bool()
        # A tensor without dimensions would be rounded to the other's dtype.
        called = x >= threshold[unit].double()
        always = f1_score(truth, torch.ones_like(truth))
        if x.isnan().any():
            columns.append((torch.nan, torch.nan, torch.nan, torch.nan, float(truth.double().mean()), always))
            continue
        columns.append(
            (
                f1_score(truth, x >= 0),
                f1_score(truth, called),
                roc_auc(x, truth),
                float((called == truth).double().mean()),
                float(truth.double().mean()),
                always,
            )
        )
    return AUScores(*torch.tensor(columns, dtype=torch.float64).T)


@dataclass(frozen=True)
class ExpressionScores:
    """Of one part of a data set.

    confusion:         int64 [R,R], rows are true classes, columns predicted ones
    accuracy, macro_f1: floats; macro_f1 is the mean over the classes that the part contains
    f1:                float64 [R], NaN for a class that the part does not contain
    majority_accuracy, majority_macro_f1: of always guessing the most frequent class
    """

    confusion: Tensor
    accuracy: float
    macro_f1: float
    f1: Tensor
    majority_accuracy: float
    majority_macro_f1: float


class Confusion(Metric):
    """Confusion matrix, int64 [R,R]; `update` takes logits [B,R] and labels int64 [B]. ValueError for logits that are not
    finite."""

    full_state_update = False
    matrix: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.add_state("matrix", default=torch.zeros(classes, classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        require_finite("logits", logits)
        classes = len(self.matrix)
        cells = labels * classes + logits.argmax(1)
        self.matrix += torch.bincount(cells, minlength=classes**2).view(classes, classes)

    def compute(self) -> Tensor:
        return self.matrix


def expression_scores(confusion: Tensor) -> ExpressionScores:
    """Scores of a confusion matrix int64 [R,R] with at least one sample."""
    majority = torch.zeros_like(confusion)
    majority[:, int(confusion.sum(1).argmax())] = confusion.sum(1)
    f1, guess = _class_f1(confusion), _class_f1(majority)
    return ExpressionScores(
        confusion,
        accuracy=_share_right(confusion),
        macro_f1=float(f1.nanmean()),
        f1=f1,
        majority_accuracy=_share_right(majority),
        majority_macro_f1=float(guess.nanmean()),
    )


def _share_right(confusion: Tensor) -> float:
    return float(confusion.trace().double() / confusion.sum())


def _class_f1(confusion: Tensor) -> Tensor:
    true = confusion.sum(1).double()
    f1 = 2 * confusion.diagonal() / (true + confusion.sum(0))
    return f1.where(true > 0, torch.nan)


class AttentionSpread(Metric):
    """How alike the maps of one region are, and how far the refinement moves them; `compute` returns a dict of scalars.

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
