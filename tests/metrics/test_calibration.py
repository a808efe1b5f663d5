"""Thresholds with the best F1 and Platt scales, against brute force."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from sma_models.metrics.calibration import Calibration, best_f1_threshold, platt_scale


def f1(labels, called):
    hits = (labels & called).sum()
    return float(2 * hits / (labels.sum() + called.sum()))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=25))
def test_no_threshold_is_better_than_the_chosen_one(pairs):
    logits = torch.tensor([float(x) for x, _ in pairs])
    labels = torch.tensor([y for _, y in pairs])
    threshold = best_f1_threshold(logits, labels)
    if not 0 < labels.sum() < len(labels):
        assert threshold == 0.0
        return
    best = max(f1(labels, logits >= cut) for cut in torch.arange(-4.5, 5))
    assert f1(labels, logits >= threshold) == pytest.approx(best)
    assert threshold not in logits


@pytest.mark.parametrize("start", [1.0, 20.0, 1e6])
def test_a_threshold_parts_neighbours_in_float32(start):
    """Between two neighbouring numbers there is no third: rounding down would predict the lower one as present."""
    below = torch.tensor(start)
    for _ in range(4):
        above = torch.nextafter(below, torch.tensor(math.inf))
        logits = torch.stack([below - 1, below, above, above + 1])[:, None]
        labels = torch.tensor([[0.0], [0], [1], [1]])
        calibration = Calibration(1)
        calibration.fit(logits, labels, torch.ones(4, 1).bool())
        assert calibration.decide(logits).float().equal(labels)
        below = above


def test_a_threshold_is_not_chosen_by_rounded_scores():
    """F1 is 0.79986284 for a threshold of 3 and 0.79986286 for 2: equal in float32."""
    counts = {3: (13_996, 1_000), 2: (2, 3), 1: (6_002, 100_000)}
    logits = torch.cat([torch.full((sum(pair),), float(level)) for level, pair in counts.items()])
    labels = torch.cat([torch.arange(sum(pair)) < pair[0] for pair in counts.values()])
    assert best_f1_threshold(logits, labels) == 1.5


@pytest.mark.parametrize("scale, shift", [(20, 0), (1, 50), (1e4, -5e5)])
def test_platt_scale_follows_large_and_distant_logits(scale, shift):
    logits = torch.randn(2_000).double()
    labels = torch.rand(2_000) < (1.5 * logits - 1).sigmoid()
    slope, offset = platt_scale(logits, labels)
    moved_slope, moved_offset = platt_scale(scale * logits + shift, labels)
    assert moved_slope * scale == pytest.approx(slope, rel=1e-4)
    assert moved_offset + moved_slope * shift == pytest.approx(offset, rel=1e-3)


def test_platt_scale_recovers_the_line_that_drew_the_labels():
    logits = torch.randn(20_000) * 2
    labels = torch.rand(20_000) < (0.5 * logits - 1.0).sigmoid()
    scale, offset = platt_scale(logits, labels)
    assert scale == pytest.approx(0.5, abs=0.03)
    assert offset == pytest.approx(-1.0, abs=0.05)


def test_platt_scale_stays_finite_where_labels_are_separable():
    scale, offset = platt_scale(torch.tensor([-2.0, -1.0, 1.0, 2.0]), torch.tensor([0, 0, 1, 1]).bool())
    assert 0 < scale < 10
    assert math.isfinite(offset)


def test_fitting_works_where_lightning_measures():
    labels = torch.tensor([0, 1, 0, 1]).bool()
    expected = platt_scale(torch.arange(4.0), labels)
    with torch.inference_mode():
        assert platt_scale(torch.arange(4.0), labels) == expected


def test_platt_scale_is_neutral_without_a_negative():
    assert platt_scale(torch.randn(3), torch.ones(3).bool()) == (1.0, 0.0)


def test_calibration_reads_known_labels_only_and_survives_its_state():
    logits = torch.randn(60, 2)
    labels = (logits + 0.3 * torch.randn(60, 2) > 0.4).float()
    known = torch.rand(60, 2) > 0.3
    calibration = Calibration(2)
    calibration.fit(logits, labels, known)
    spoiled = Calibration(2)
    spoiled.fit(logits, torch.where(known, labels, 1 - labels), known)
    assert_close(spoiled.state_dict(), calibration.state_dict())
    alone = best_f1_threshold(logits[known[:, 1], 1], labels[known[:, 1], 1].bool())
    assert float(calibration.threshold[1]) == pytest.approx(alone)

    again = Calibration(2)
    again.load_state_dict(calibration.state_dict())
    assert torch.equal(again.decide(logits), logits >= calibration.threshold)
    assert_close(again.probabilities(logits), (calibration.scale * logits + calibration.offset).sigmoid())
    assert not torch.equal(again.scale, torch.ones(2))
