"""Losses of action units and expressions from logits, and their class weights.

Labels are float [B,R] of 0 and 1, `known` is bool [B,R]; unknown labels are ignored.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def weighted_asymmetric(logits: Tensor, labels: Tensor, known: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy with the negative term weighted by the predicted probability, without a gradient through the weight.

    This down-weights easy negatives, so that rare units are learned; in return, p = 0.5 means a posterior of 1/3.
    logits, labels, known: [B,R]; weights: [R]. Returns a scalar: the mean over samples of the mean over known units.
    """
    negative = logits.sigmoid().detach() * logsigmoid(-logits)
    return _masked_mean(-(labels * logsigmoid(logits) + (1 - labels) * negative) * weights, known)


def weighted_bce(logits: Tensor, labels: Tensor, known: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy with one weight per unit on both terms; shapes as in `weighted_asymmetric`."""
    return _masked_mean(-(labels * logsigmoid(logits) + (1 - labels) * logsigmoid(-logits)) * weights, known)


def _masked_mean(terms: Tensor, known: Tensor) -> Tensor:
    counts = known.sum(1).clamp_min(1)
    return (terms.where(known, 0).sum(1) / counts).mean()


AU_LOSSES = {"weighted_asymmetric": weighted_asymmetric, "weighted_bce": weighted_bce}


def au_weights(labels: Tensor, known: Tensor, names: Sequence[str]) -> Tensor:
    """Weights float32 [R], with mean 1, inversely proportional to each unit's share of positives among its known labels.

    labels: [n,R] of 0 and 1, known: bool [n,R]. ValueError names the units without a positive.
    """
    positives = (labels.bool() & known).sum(0).double()
    absent = [name for name, count in zip(names, positives.tolist(), strict=True) if not count]
    if absent:
        raise ValueError(f"no training subject shows {', '.join(absent)}; remove that action unit or test another fold")
    inverse = known.sum(0).double() / positives
    return (len(names) * inverse / inverse.sum()).float()


CLASS_WEIGHTS = {"none": 0.0, "sqrt": 0.5, "inverse": 1.0}


def class_weights(labels: Tensor, classes: int, kind: str) -> Tensor:
    """Weights float32 [R] of expression classes, proportional to (1/frequency)^{0, 1/2, 1} and scaled so that a sample
    weighs 1 on average. A class without samples is weighted as if it had one.

    labels: int64 [n]; kind: "none", "sqrt" or "inverse".
    """
    counts = torch.bincount(labels, minlength=classes).double()
    weights = counts.clamp_min(1) ** -CLASS_WEIGHTS[kind]
    return (weights * counts.sum() / (weights * counts).sum()).float()
