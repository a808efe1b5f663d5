"""Losses against their formulas; unknown labels are ignored; weights from the training labels."""

import math

import pytest
import torch
from torch.testing import assert_close

from sma_models.losses.classification import AU_LOSSES, au_weights, class_weights, weighted_asymmetric, weighted_bce

NAMES = ("AU1", "AU2", "AU4")


@pytest.fixture
def batch():
    logits = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    labels = (torch.rand(5, 3) > 0.5).double()
    known = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 0], [0, 0, 1], [1, 1, 0]]).bool()
    return logits, labels, known, torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)


def by_hand(logits, labels, known, weights, asymmetric):
    """The formula, one number at a time."""
    total = 0.0
    for x, y, k in zip(logits.tolist(), labels.tolist(), known.tolist(), strict=True):
        terms = []
        for unit in range(3):
            if not k[unit]:
                continue
            p = 1 / (1 + math.exp(-x[unit]))
            damp = p if asymmetric else 1.0
            log = y[unit] * math.log(p) + damp * (1 - y[unit]) * math.log(1 - p)
            terms.append(float(weights[unit]) * log)
        total += -sum(terms) / len(terms) if terms else 0.0
    return total / len(logits)


@pytest.mark.parametrize("name", AU_LOSSES)
def test_loss_is_its_formula(name, batch):
    expected = by_hand(*batch, asymmetric=name == "weighted_asymmetric")
    assert AU_LOSSES[name](*batch).item() == pytest.approx(expected, rel=1e-12)


def test_the_damping_factor_carries_no_gradient(batch):
    logits, labels, known, weights = batch
    weighted_asymmetric(*batch).backward()
    p = logits.detach().sigmoid()
    counts = known.sum(1, keepdim=True).clamp_min(1)
    # d/dx of log p is 1 - p, of log(1-p) is -p; the p before it is a constant.
    expected = -(labels * (1 - p) - (1 - labels) * p * p) * weights * known / counts / len(p)
    assert_close(logits.grad, expected)


@pytest.mark.parametrize("name", AU_LOSSES)
def test_unknown_labels_count_nowhere(name, batch):
    logits, labels, known, weights = batch
    value = AU_LOSSES[name](logits, labels, known, weights)
    other = AU_LOSSES[name](torch.where(known, logits, torch.nan), torch.where(known, labels, -7.0), known, weights)
    assert_close(value, other)
    value.backward()
    assert not logits.grad[~known].any()
    assert logits.grad[known].all()


@pytest.mark.parametrize("name", AU_LOSSES)
def test_extreme_logits_stay_finite(name):
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    ones = torch.ones(1, 2)
    loss = AU_LOSSES[name](logits, torch.tensor([[0.0, 1.0]]), ones.bool(), ones[0])
    loss.backward()
    assert loss.item() == pytest.approx(200.0)
    assert torch.isfinite(logits.grad).all()


def test_half_means_a_posterior_of_one_third_for_the_asymmetric_loss():
    """With a third of positives, the minimum over one shared logit is at p = 1/2."""
    labels = torch.tensor([1.0, 0, 0] * 100)[:, None]
    logit = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([logit], lr=1.0)
    for _ in range(200):
        optimizer.zero_grad()
        weighted_asymmetric(logit.expand(300, 1), labels, torch.ones(300, 1).bool(), torch.ones(1)).backward()
        optimizer.step()
    assert logit.sigmoid().item() == pytest.approx(0.5, abs=1e-3)


def test_unit_weights_are_inverse_rates_with_mean_one():
    labels = torch.tensor([[1, 0, 1], [1, 0, 0], [1, 1, 0], [0, 0, 1]])
    known = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 1, 1]]).bool()
    inverse = torch.tensor([4 / 3, 4 / 1, 3 / 1])  # the third: one positive of three known
    assert_close(au_weights(labels, known, NAMES), 3 * inverse / inverse.sum())


def test_a_unit_without_a_positive_is_named():
    labels = torch.tensor([[1, 1, 0], [1, 1, 0]])
    known = torch.tensor([[1, 0, 1], [1, 0, 1]]).bool()
    with pytest.raises(ValueError, match="AU2, AU4"):
        au_weights(labels, known, NAMES)


@pytest.mark.parametrize("kind, ratio", [("none", 1), ("sqrt", 2), ("inverse", 4)])
def test_class_weights_favour_rare_classes_by_their_kind(kind, ratio):
    labels = torch.tensor([0] * 8 + [1] * 2)
    weights = class_weights(labels, 3, kind)
    assert float(weights[1] / weights[0]) == pytest.approx(ratio)
    assert float(weights[labels].mean()) == pytest.approx(1.0)
    assert torch.isfinite(weights).all()


def test_bce_at_even_odds_is_log_two():
    ones = torch.ones(4, 3)
    assert weighted_bce(0 * ones, ones, ones.bool(), ones[0]).item() == pytest.approx(math.log(2))
