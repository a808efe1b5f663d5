"""Scores of several folds and seeds against counts by hand."""

import numpy as np
import pytest

from sma_models.data.face_table import UNKNOWN
from sma_models.metrics.aggregate import aggregate_aus, aggregate_expressions, au_fold, expression_fold, summarize
from tests.helpers.fold_predictions import fold_predictions


def test_pooled_units_use_each_folds_thresholds():
    one = fold_predictions(
        [[3], [1], [-1], [-2]], np.array([[1], [0], [0], [UNKNOWN]], np.int8), list("aabb"), threshold=2
    )
    two = fold_predictions([[-3], [-5], [-1]], np.array([[1], [0], [1]], np.int8), list("ccd"), threshold=-4)
    assert au_fold(one)["f1"] == au_fold(two)["f1"] == 1
    pooled = aggregate_aus([one, two])
    assert pooled["f1"] == 1 and pooled["accuracy"] == 1
    # At one half: one true positive, one false positive, two of three positives missed.
    assert pooled["f1_at_0_5"] == pytest.approx(2 / (3 + 2))
    assert pooled["prevalence"] == pytest.approx(0.5) and pooled["f1_always_positive"] == pytest.approx(2 * 0.5 / 1.5)
    assert pooled["auc"] == pytest.approx((3 + 1 + 1.5) / 9)  # -1 ties with a negative


def test_pooled_is_not_the_mean_of_folds():
    one = fold_predictions([[1], [1]], np.array([[1], [1]], np.int8), list("ab"))
    two = fold_predictions([[1], [-1], [-1]], np.array([[1], [0], [1]], np.int8), list("cde"))
    result = summarize([[one, two]], "au")
    # The first fold has no negatives: its F1 is undefined, and left out.
    assert result["mean_of_folds"]["f1"]["mean"] == pytest.approx(2 / 3)
    assert result["pooled"]["f1"]["mean"] == pytest.approx(2 * 3 / (4 + 3))
    assert np.isnan(result["pooled"]["f1"]["sd_over_seeds"]) and np.isnan(
        result["mean_of_folds"]["f1"]["sd_over_folds"]
    )
    low, high = result["interval"]["f1"]
    # For five subjects resampled from five, F1 is below 0.4 with probability 0.015, and at most 0.4 with 0.034.
    assert low == pytest.approx(0.4) and high == 1


def test_deviations_over_folds_and_over_seeds():
    """Accuracies by fold (columns) and seed (rows): 1 and 1/2, 1/2 and 0."""
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    folds = [[[right, right], [right, wrong]], [[right, wrong], [wrong, wrong]]]
    runs = [
        [fold_predictions(logits, [0, 0], [f"{fold}a", f"{fold}b"]) for fold, logits in enumerate(seed)]
        for seed in folds
    ]
    result = summarize(runs, "expression")
    assert set(result["mean_of_folds"]) == {"accuracy", "sequence_accuracy", "majority_accuracy"}
    of_folds = result["mean_of_folds"]["accuracy"]
    assert of_folds["mean"] == pytest.approx(0.5)
    # Means over seeds are 3/4 and 1/4, like means over folds; the sample deviation of two numbers is their distance by √2.
    assert of_folds["sd_over_folds"] == pytest.approx(0.5 / 2**0.5)
    assert of_folds["sd_over_seeds"] == pytest.approx(0.5 / 2**0.5)
    assert result["pooled"]["accuracy"]["sd_over_seeds"] == pytest.approx(0.5 / 2**0.5)
    folds[1] = [[right, right], [right, wrong]]
    runs = [
        [fold_predictions(logits, [0, 0], [f"{fold}a", f"{fold}b"]) for fold, logits in enumerate(seed)]
        for seed in folds
    ]
    of_folds = summarize(runs, "expression")["mean_of_folds"]["accuracy"]
    assert of_folds["sd_over_folds"] == pytest.approx(0.5 / 2**0.5) and of_folds["sd_over_seeds"] == 0


def test_intervals_resample_people_not_frames():
    """A hundred frames of each of two people, one always right, one never: resampling frames would give 0.5 ± 0.07."""
    logits, labels, people = [[1.0, 0.0]] * 200, [0] * 100 + [1] * 100, ["a"] * 100 + ["b"] * 100
    result = summarize([[fold_predictions(logits, labels, people)]], "expression")
    assert result["interval"]["accuracy"] == [0, 1]
    # In any resample, each of the two people is right half of the time.
    even = summarize([[fold_predictions(logits, labels, ["a", "b"] * 100)]], "expression")
    assert even["interval"]["accuracy"] == [0.5, 0.5]
    units = np.array([[1], [0]] * 100, np.int8)
    both = summarize([[fold_predictions([[1]] * 200, units, ["a"] * 100 + ["b"] * 100)]], "au")
    assert both["interval"]["f1"] == pytest.approx([2 / 3, 2 / 3])


def test_frames_without_a_face_are_scored_and_reported():
    seen = fold_predictions([[1], [-1], [-1]], np.array([[1], [0], [0]], np.int8), list("abc"))
    blind = fold_predictions([[-1], [1]], np.array([[1], [0]], np.int8), list("de"), detected=False)
    result = summarize([[seen, blind]], "au")
    assert (result["frames"], result["without_a_face"]) == (5, 2)
    assert result["pooled"]["f1"]["mean"] == pytest.approx(0.5) and result["pooled_with_a_face"]["f1"]["mean"] == 1
    assert "pooled_with_a_face" not in summarize([[seen]], "au")
    mixed = fold_predictions([[1], [-1], [-1], [1]], np.array([[1], [0], [1], [0]], np.int8), list("abcd"))
    mixed.detected[2:] = False
    result = summarize([[mixed]], "au")
    assert result["pooled"]["f1"]["mean"] == pytest.approx(0.5) and result["pooled_with_a_face"]["f1"]["mean"] == 1


def test_sequences_are_called_by_mean_probability():
    # Two of three frames slightly favor class 1, one strongly favors class 0: the sequence is class 0.
    logits = [[0, 0.1], [0, 0.1], [5, 0], [0, 4]]
    one = fold_predictions(logits, [0, 0, 0, 1], list("aaab"), sequences=["s", "s", "s", "s"])
    assert expression_fold(one)["accuracy"] == 0.5 and expression_fold(one)["sequence_accuracy"] == 1
    # By probability, two confident frames outvote a third one, however large its logit; by logit, they would not.
    loud = fold_predictions([[0, 3], [0, 3], [99, 0]], [1, 1, 1], list("aaa"), sequences=list("sss"))
    assert expression_fold(loud)["sequence_accuracy"] == 1
    # Probabilities of a confident network round to 1 in float64: frames that disagree must not tie.
    sure = fold_predictions([[40, 0], [0, 45]], [1, 1], list("aa"), sequences=list("ss"))
    assert expression_fold(sure)["sequence_accuracy"] == 1
    sure = fold_predictions(
        [[400, 0, 1], [0, 450, 0], [0, 0, 500], [1, 0, 0]], [2] * 4, list("aaab"), sequences=list("ssss")
    )
    assert expression_fold(sure)["sequence_accuracy"] == 0.5
    # Sequences of different subjects have the same names.
    alike = fold_predictions([[0, 1], [3, 0]], [0, 0], list("ab"), sequences=["001", "001"])
    assert expression_fold(alike)["sequence_accuracy"] == 0.5
    two = fold_predictions([[0, 1], [1, 0]], [0, 0], list("cd"))
    pooled = aggregate_expressions([one, two])
    assert pooled["accuracy"] == pytest.approx(3 / 6) and pooled["sequence_accuracy"] == pytest.approx(3 / 4)
    assert pooled["confusion"].tolist() == [[2, 3], [0, 1]]
    assert pooled["macro_f1"] == pytest.approx((2 * 2 / 7 + 2 * 1 / 5) / 2)


def test_frames_outside_of_sequences_are_in_none():
    logits, labels = [[1, 0], [1, 0], [0, 1], [0, 1]], [0, 0, 0, 0]
    some = fold_predictions(logits, labels, list("aaaa"), sequences=["s", "s", "", ""])
    assert expression_fold(some)["sequence_accuracy"] == 1
    none = fold_predictions(logits, labels, list("aaaa"), sequences=[""] * 4)
    assert expression_fold(none)["accuracy"] == 0.5 and np.isnan(expression_fold(none)["sequence_accuracy"])


@pytest.mark.parametrize("subjects", [[""] * 4, ["p1"] * 4], ids=["nobody named", "one person"])
def test_one_person_has_no_interval(subjects):
    """Every resample of one person is the same, which does not mean an interval of width 0."""
    faces = fold_predictions([[1, 0], [1, 0], [0, 1], [0, 1]], [0, 0, 0, 1], subjects)
    interval = summarize([[faces]], "expression")["interval"]
    assert np.isnan([*interval["accuracy"], *interval["macro_f1"]]).all()
    units = fold_predictions([[1], [-1]], np.array([[1], [0]], np.int8), subjects[:2])
    assert np.isnan(summarize([[units]], "au")["interval"]["f1"]).all()
