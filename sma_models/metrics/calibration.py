"""Thresholds and Platt scales of action units, fitted on the validation subjects and kept in the checkpoint."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from sma_models.utils.finite import require_finite


def best_f1_threshold(logits: Tensor, labels: Tensor) -> float:
    """The logit from which on calling a unit present gives the best F1; midway between two neighbouring logits.

    logits: [n], labels: bool [n]. It parts the two in float32 too, in which it is stored. 0 (a probability of one half) if
    there is no positive or no negative. ValueError for logits that are not finite.
    """
    require_finite("logits", logits)
    positives = int(labels.sum())
    if not 0 < positives < len(labels):
        return 0.0
    scores, order = logits.double().sort(descending=True)
    hits = labels[order].cumsum(0)
    called = torch.arange(1, len(scores) + 1, device=scores.device)
    f1 = 2 * hits.double() / (called + positives)
    # Equal logits are called together: only the last of them is a possible cut.
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
    # Lightning measures in inference mode, whose tensors take no part in gradients: copies made outside of it do.
    with torch.inference_mode(False), torch.enable_grad():
        x, present = logits.double().clone(), labels.clone()
        target = torch.where(present, (positives + 1) / (positives + 2), 1 / (negatives + 2)).double()
        # Far from 0, or large, logits would stall the search, which starts at a slope of 1.
        centre, spread = float(x.mean()), float(x.std()) or 1.0
        slope, offset = _fit_line((x - centre) / spread, target)
        return slope / spread, offset - slope * centre / spread


def _fit_line(x: Tensor, target: Tensor) -> tuple[float, float]:
    """(a, b) of the least cross-entropy of sigmoid(a·x + b) against targets in (0, 1); both float64 [n], x standardised."""
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
    """Per action unit: the logit at which it is called present, and its Platt scale.

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
        """From logits [n,R], labels [n,R] of 0 and 1, and bool [n,R] of which labels are known."""
        for unit in range(logits.shape[1]):
            rows = known[:, unit]
            x, y = logits[rows, unit], labels[rows, unit].bool()
            self.threshold[unit] = best_f1_threshold(x, y)
            self.scale[unit], self.offset[unit] = platt_scale(x, y)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities [n,R] of logits [n,R]."""
        return (self.scale * logits + self.offset).sigmoid()

    def decide(self, logits: Tensor) -> Tensor:
        """bool [n,R]: which units are called present. ValueError for logits that are not finite."""
        require_finite("logits", logits)
        return logits >= self.threshold
