"""Thresholds and Platt scaling of action units, fitted on the validation subjects and stored in the checkpoint."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sma_models.utils.finite import require_finite


def best_f1_threshold(logits: Tensor, labels: Tensor) -> float:
    """The threshold on logits with the best F1, midway between two neighboring logits.

    logits: [n], labels: bool [n]. It separates them in float32 as well, its stored dtype. 0 (a probability of
    one half) if there is no positive or no negative. ValueError for logits that are not finite.
    """
    require_finite("logits", logits)
    positives = int(labels.sum())
    if not 0 < positives < len(labels):
        return 0.0
    scores, order = logits.double().sort(descending=True)
    hits = labels[order].cumsum(0)
    predicted = torch.arange(1, len(scores) + 1, device=scores.device)
    f1 = 2 * hits.double() / (predicted + positives)
    # Equal logits get the same prediction: only the last of them is a possible cut.
    cuts = torch.cat([scores[1:] < scores[:-1], torch.ones(1, dtype=torch.bool, device=scores.device)])
    best = int(f1.where(cuts, -1).argmax())
    below = scores[best + 1] if best + 1 < len(scores) else scores[best] - 1
    middle = (scores[best] + below) / 2
    return float(middle if middle.float() > below else scores[best])


def platt_scale(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """(a, b) such that sigmoid(a·logit + b) is a probability: Platt's fit with his smoothed targets (1999).

    logits: [n], labels: bool [n]. (1, 0) if there is no positive or no negative. ValueError for logits that are not finite.
    """
    require_finite("logits", logits)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return 1.0, 0.0
    # Lightning evaluates in inference mode, whose tensors cannot require gradients; copies made outside of it can.
    with torch.inference_mode(False), torch.enable_grad():
        x, present = logits.double().clone(), labels.clone()
        target = torch.where(present, (positives + 1) / (positives + 2), 1 / (negatives + 2)).double()
        # Logits that are large or far from 0 would stall the search, which starts at a slope of 1.
        mean, deviation = float(x.mean()), float(x.std()) or 1.0
        slope, offset = _fit_line((x - mean) / deviation, target)
        return slope / deviation, offset - slope * mean / deviation


def _fit_line(x: Tensor, target: Tensor) -> tuple[float, float]:
    """(a, b) minimizing the cross-entropy of sigmoid(a·x + b) and targets in (0, 1); both float64 [n], x standardized."""
    line = torch.tensor([1.0, 0.0], dtype=torch.float64, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = binary_cross_entropy_with_logits(line[0] * x + line[1], target)
        value.backward()
        return value

    optimizer.step(loss)
    scale, offset = line.tolist()
    return scale, offset


class Calibration(nn.Module):
    """Per action unit: the smallest logit at which it is predicted present, and its Platt scaling.

    threshold, scale, offset: float32 [R]; 0, 1 and 0 until `fit`.
    """

    threshold: Tensor
    scale: Tensor
    offset: Tensor

    def __init__(self, regions: int):
        super().__init__()
        self.register_buffer("threshold", torch.zeros(regions))
        self.register_buffer("scale", torch.ones(regions))
        self.register_buffer("offset", torch.zeros(regions))

    @torch.no_grad()
    def fit(self, logits: Tensor, labels: Tensor, known: Tensor) -> None:
        """Fit to logits [n,R] and labels [n,R] of 0 and 1, where known, bool [n,R]."""
        for unit in range(logits.shape[1]):
            rows = known[:, unit]
            x, y = logits[rows, unit], labels[rows, unit].bool()
            self.threshold[unit] = best_f1_threshold(x, y)
            self.scale[unit], self.offset[unit] = platt_scale(x, y)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities [n,R] of logits [n,R]."""
        return (self.scale * logits + self.offset).sigmoid()

    def decide(self, logits: Tensor) -> Tensor:
        """bool [n,R]: the units predicted present. ValueError for logits that are not finite."""
        require_finite("logits", logits)
        return logits >= self.threshold
