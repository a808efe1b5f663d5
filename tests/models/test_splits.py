"""Who trains, validates and is tested."""

import numpy as np
import pytest

from sma_models.data.splits import fold_of_subjects, strata_of, stratified_folds, validation_rows

SUBJECTS = np.repeat([f"F{i:03d}" for i in range(12)], 20)


def validating(subjects, labels, seed):
    return sorted(set(subjects[validation_rows(subjects, labels, seed)]))


def test_subject_i_is_in_fold_i_mod_n_whatever_the_order_of_rows():
    order = np.random.default_rng(0).permutation(len(SUBJECTS))
    folds = fold_of_subjects(SUBJECTS[order], 5)
    for i in range(12):
        assert set(folds[SUBJECTS[order] == f"F{i:03d}"]) == {i % 5}


@pytest.mark.parametrize("seed, expected", [(0, "0 5 10"), (3, "3 8"), (6, "1 6 11")])
def test_every_fifth_training_subject_validates_from_seed_mod_5(seed, expected):
    labels = np.zeros(len(SUBJECTS), np.int64)
    assert validating(SUBJECTS, labels, seed) == [f"F{int(i):03d}" for i in expected.split()]


def test_subjects_that_show_a_rare_unit_are_added_until_fifty_frames():
    labels = np.zeros((len(SUBJECTS), 2), np.int8)
    labels[:, 0] = 1
    for subject in ("F002", "F004", "F007", "F009"):
        labels[np.flatnonzero(subject == SUBJECTS), 1] = 1
    # 20 frames each: three subjects reach 60, and F009 is left to train on.
    assert validating(SUBJECTS, labels, 0) == ["F000", "F002", "F004", "F005", "F007", "F010"]


def test_unknown_labels_are_no_positives():
    labels = np.zeros((len(SUBJECTS), 1), np.int8)
    labels[np.isin(SUBJECTS, ["F002", "F003", "F004", "F006"])] = 1
    labels[SUBJECTS == "F001"] = -1
    assert validating(SUBJECTS, labels, 0) == ["F000", "F002", "F003", "F004", "F005", "F010"]


def test_the_last_subject_that_shows_a_unit_stays_in_training():
    """F004 alone shows the second unit: neither unit's search may take it."""
    labels = np.zeros((len(SUBJECTS), 2), np.int8)
    labels[np.isin(SUBJECTS, ["F004", "F006", "F007", "F008"]), 0] = 1
    labels[SUBJECTS == "F004", 1] = 1
    found = validating(SUBJECTS, labels, 0)
    assert "F004" not in found
    assert found == ["F000", "F005", "F006", "F007", "F008", "F010"]


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_few_subjects_still_leave_some_on_both_sides(count, seed):
    subjects = SUBJECTS[: 20 * count]
    rows = validation_rows(subjects, np.zeros(len(subjects), np.int64), seed)
    assert rows.any()
    assert not rows.all()


def test_one_subject_cannot_be_divided():
    with pytest.raises(ValueError, match=r"two.*F000"):
        validation_rows(SUBJECTS[:20], np.zeros(20, np.int64), 0)


def test_rows_without_subjects_are_spread_evenly_over_folds_by_seed():
    labels = np.array([0] * 53 + [1] * 9 + [2] * 3)
    folds = stratified_folds(strata_of(labels), 5, seed=1)
    for label, count in ((0, 53), (1, 9), (2, 3)):
        per_fold = np.bincount(folds[labels == label], minlength=5)
        assert per_fold.max() - per_fold.min() <= 1, label
        assert per_fold.sum() == count
    assert np.ptp(np.bincount(folds)) <= 1
    assert (folds == stratified_folds(strata_of(labels), 5, seed=1)).all()
    assert (folds != stratified_folds(strata_of(labels), 5, seed=2)).any()


def test_action_units_are_stratified_by_the_rarest_that_a_row_shows():
    labels = np.array([[1, 0, 0], [1, 1, 0], [1, 1, -1], [0, 0, 0], [1, 0, 1]])
    assert strata_of(labels).tolist() == [0, 1, 1, 3, 2]
