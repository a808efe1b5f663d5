"""Metrics against counts by hand; unknown labels and undefined scores are ignored."""

import math

import pytest
import torch
from torch.testing import assert_close
from torchmetrics.classification import MulticlassConfusionMatrix

from sma_kernels import SMAAttention
from sma_models.metrics.scores import (
    AttentionSimilarity,
    AUPredictions,
    au_scores,
    expression_scores,
    f1_score,
    roc_auc,
)
from tools.synthetic_faces import difficulty

LOGITS = torch.tensor([[2.0, -1.0, 1.0], [-0.5, -2.0, 0.0], [1.0, 0.5, -1.0], [-3.0, 3.0, 2.0], [0.2, 9.0, 0.0]])
LABELS = torch.tensor([[1.0, 0, 1], [1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]])
KNOWN = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 0, 0]]).bool()


def test_scores_of_action_units_by_hand():
    scores = au_scores(LOGITS, LABELS, KNOWN, torch.tensor([-1.0, 0.0, 0.0]))
    # First unit, all known, true in rows 0, 1, 4: threshold 0 predicts rows 0, 2, 4, and -1 also row 1.
    assert scores.f1_at_0_5.tolist()[0] == pytest.approx(2 / 3)
    assert scores.f1.tolist()[0] == pytest.approx(6 / 7)
    assert scores.accuracy.tolist()[0] == pytest.approx(4 / 5)
    # True 2, -0.5, 0.2 against false 1, -3: four of the six pairs are in order.
    assert scores.auc.tolist()[0] == pytest.approx(4 / 6)
    assert scores.f1_always_positive.tolist()[0] == pytest.approx(2 * 0.6 / 1.6)
    # Second unit: row 4 is unknown, so one positive in four; rows 2 and 3 are predicted.
    assert scores.prevalence.tolist()[1] == pytest.approx(1 / 4)
    assert scores.f1.tolist()[1] == pytest.approx(2 / 3)
    assert scores.auc.tolist()[1] == pytest.approx(2 / 3)


def test_a_unit_without_a_negative_has_no_f1_and_no_auc():
    scores = au_scores(LOGITS, LABELS, KNOWN, torch.zeros(3))
    for name in ("f1", "f1_at_0_5", "auc", "f1_always_positive"):
        assert math.isnan(getattr(scores, name)[2]), name
        assert not getattr(scores, name)[:2].isnan().any(), name
    assert scores.accuracy.tolist()[2] == pytest.approx(3 / 4)


def test_a_unit_without_a_positive_has_no_f1_and_no_auc():
    scores = au_scores(LOGITS, 1 - LABELS, KNOWN, torch.zeros(3))
    assert math.isnan(scores.f1[2])
    assert math.isnan(scores.auc[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_auc_ranks_what_a_sigmoid_would_make_equal(dtype):
    """Above logits of 16.6, all probabilities are 1 in float32; above 36.7, in float64."""
    confident = torch.tensor([20.0, 25, 30, 35], dtype=dtype)
    for logits in (confident, confident + 100, -confident.flip(0), confident * 1e4):
        scores = au_scores(
            logits[:, None], torch.tensor([[0.0], [1], [0], [1]]), torch.ones(4, 1).bool(), torch.zeros(1)
        )
        assert scores.auc.tolist() == [0.75]
    truth = torch.rand(500) < 0.3
    logits = 20 * (torch.randn(500) + truth)
    pairs = logits[truth][:, None] - logits[~truth]
    assert roc_auc(logits, truth) == pytest.approx(float((pairs > 0).double().mean()), abs=1e-12)


def test_the_difficulty_of_synthetic_faces_is_measured_on_logits():
    level = torch.tensor([20.0, 30.0])
    logits = difficulty.predict(lambda images: level[: len(images), None], torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert logits[:, 0].tolist() == [20, 30]


def test_ties_count_half_in_the_auc():
    assert roc_auc(torch.tensor([1.0, 1, 2, 0]), torch.tensor([True, False, True, False])) == (1 + 1 + 0.5 + 1) / 4
    assert math.isnan(roc_auc(torch.tensor([1.0, math.nan]), torch.tensor([True, False])))


def test_a_threshold_of_float64_is_not_rounded_to_the_logits():
    logits, labels = torch.tensor([[16_777_216.0], [16_777_218.0]]), torch.tensor([[0.0], [1.0]])
    threshold = torch.tensor([16_777_216.5], dtype=torch.float64)
    assert au_scores(logits, labels, torch.ones(2, 1).bool(), threshold).f1.tolist() == [1]


def test_scores_have_all_digits_of_their_counts():
    """Ratios of large counts may differ only beyond the seventh digit, the last of float32."""
    truth = torch.arange(30_000) < 9_999
    assert f1_score(truth, truth.roll(1)) == 2 * 9_998 / (2 * 9_999)
    confusion = torch.tensor([[70_000_001, 2], [3, 30_000_007]])
    assert expression_scores(confusion).accuracy == 100_000_008 / 100_000_013


def test_unknown_labels_change_no_score():
    spoiled = torch.where(KNOWN, LABELS, 1 - LABELS), torch.where(KNOWN, LOGITS, -LOGITS)
    expected = au_scores(LOGITS, LABELS, KNOWN, torch.zeros(3))
    actual = au_scores(spoiled[1], spoiled[0], KNOWN, torch.zeros(3))
    for name, value in vars(expected).items():
        assert_close(getattr(actual, name), value, equal_nan=True)


def test_predictions_are_collected_over_batches_and_dropped_by_reset():
    predictions = AUPredictions()
    for rows in (slice(0, 2), slice(2, 5)):
        predictions.update(LOGITS[rows], LABELS[rows], KNOWN[rows])
    for actual, expected in zip(predictions.compute(), (LOGITS, LABELS, KNOWN), strict=True):
        assert torch.equal(actual, expected)
    predictions.reset()
    predictions.update(LOGITS[:1], LABELS[:1], KNOWN[:1])
    assert len(predictions.compute()[0]) == 1


def test_scores_of_expressions_by_hand():
    """Classes 0, 1, 2, of which 2 has no sample; the majority guess is 1."""
    metric = MulticlassConfusionMatrix(3, validate_args=False)
    truth = torch.tensor([0, 0, 1, 1, 1, 1])
    guess = torch.tensor([0, 1, 1, 1, 2, 1])
    logits = torch.nn.functional.one_hot(guess, 3).float()
    metric.update(logits[:2], truth[:2])
    metric.update(logits[2:], truth[2:])
    scores = expression_scores(metric.compute())
    assert scores.confusion.tolist() == [[1, 1, 0], [0, 3, 1], [0, 0, 0]]
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.f1.tolist()[:2] == pytest.approx([2 / 3, 6 / 8])
    assert math.isnan(scores.f1[2])
    assert scores.macro_f1 == pytest.approx((2 / 3 + 6 / 8) / 2)
    assert scores.majority_accuracy == pytest.approx(4 / 6)
    assert scores.majority_macro_f1 == pytest.approx(8 / 10 / 2)


def within_cosine(maps):
    """Mean cosine over different maps of one region, one pair at a time, of maps [B,R,K,L]."""
    cosines = []
    for sample in maps:
        for region in sample:
            for i, a in enumerate(region):
                for j, b in enumerate(region):
                    if i != j:
                        cosines.append(float(a @ b / (a.norm() * b.norm())))
    return sum(cosines) / len(cosines)


def test_spread_of_attention_maps_before_and_after_refinement():
    head = SMAAttention(5, regions=2, channels=3, embed_dim=4, merge="none").eval()
    with torch.no_grad():
        head.relation_bias.normal_()
    x = torch.randn(4, 5, 3, 3) * 4
    outputs = [head(x[:3]), head(x[3:])]
    metric = AttentionSimilarity()
    for output in outputs:
        metric.update(head, output)
    actual = metric.compute()
    before = torch.cat([output.maps.detach() for output in outputs]).flatten(3)
    # With merge "none" the attention is the refined maps themselves.
    after = torch.cat([output.attention.detach() for output in outputs]).flatten(3)
    assert float(actual["cosine_before"]) == pytest.approx(within_cosine(before), abs=1e-5)
    assert float(actual["cosine_after"]) == pytest.approx(within_cosine(after), abs=1e-5)
    moved = ((after - before).norm(dim=3) / before.norm(dim=3)).mean()
    assert float(actual["moved"]) == pytest.approx(float(moved), abs=1e-5)
    assert float(actual["cosine_after"]) > float(actual["cosine_before"]) + 0.01


def test_one_map_per_region_has_no_cosine():
    head = SMAAttention(5, regions=2, channels=1, embed_dim=4).eval()
    metric = AttentionSimilarity()
    metric.update(head, head(torch.randn(2, 5, 3, 3)))
    assert math.isnan(metric.compute()["cosine_before"])
