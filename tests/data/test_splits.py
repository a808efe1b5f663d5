"""Which subjects are used for training, validation and test."""

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


def images_of(people, rates):
    """One image per person; action units are present at these rates."""
    shown = np.random.default_rng(7).random((people, len(rates))) < rates
    return np.array([f"{i:04d}" for i in range(people)]), shown.astype(np.int8)


@pytest.mark.parametrize("seed", range(5))
def test_validation_takes_a_fifth_of_the_subjects_and_of_every_units_positives(seed):
    """Rare units, with far fewer than fifty positives per fifth, once lost most of their positives to validation."""
    subjects, labels = images_of(500, [0.3, 0.12, 0.1, 0.03])
    rows = validation_rows(subjects, labels, seed)
    assert rows.sum() == 100
    assert (labels[rows].sum(0) <= np.ceil(labels.sum(0) / 5)).all()
    assert (labels[rows].sum(0) > 0).all()
    # By chance, some subjects besides every fifth validate.
    assert rows[seed::5].sum() >= 80


def test_whole_subjects_round_a_fifth_up():
    """Three of twelve are a quarter: among subjects with equal labels, every fifth validates."""
    labels = np.ones((len(SUBJECTS), 2), np.int8)
    assert validating(SUBJECTS, labels, 0) == ["F000", "F005", "F010"]
    assert validating(SUBJECTS, labels, 4) == ["F004", "F009"]


def with_positives(counts):
    """Labels of one unit: subject number -> how many of its 20 rows are positive."""
    labels = np.zeros((len(SUBJECTS), 1), np.int8)
    for number, count in counts.items():
        labels[20 * number : 20 * number + count] = 1
    return labels


def test_who_holds_more_than_a_fifth_of_a_units_positives_trains():
    """F005 has 20 of 56 positives, so F001, the next subject with positives that validation lacks, validates instead."""
    labels = with_positives({5: 20} | dict.fromkeys((1, 2, 3, 4, 6, 7, 8, 9, 11), 4))
    assert validating(SUBJECTS, labels, 0) == ["F000", "F001", "F010"]
    assert "F005" not in validating(SUBJECTS, labels, 5)


def test_a_unit_that_fewer_than_five_show_is_left_to_training():
    labels = with_positives({0: 1, 3: 1, 5: 1, 10: 1})
    assert validating(SUBJECTS, labels, 0) == ["F001", "F002", "F004"]


@pytest.mark.parametrize("each, replaces", [(20, "F002"), (30, "F001")])
def test_a_place_goes_first_to_who_shows_a_unit_with_fewer_than_fifty_positives(each, replaces):
    """Only F005 shows the second unit. All but F001 show the first, of which F000 and F010 have 40 or 60 positives."""
    subjects = np.repeat([f"F{i:03d}" for i in range(12)], 40)
    labels = np.zeros((12, 40, 2), np.int8)
    labels[:, :each, 0] = 1
    labels[1] = 0
    labels[5, :10, 1] = 1
    assert validating(subjects, labels.reshape(480, 2), 0) == ["F000", replaces, "F010"]


def test_unknown_labels_are_no_positives():
    labels = with_positives(dict.fromkeys(range(12), 4))
    labels[100:119] = -1  # F005 has one known row
    assert validating(SUBJECTS, labels, 0) == ["F000", "F005", "F010"]


def test_who_has_no_known_label_leaves_the_place_to_others():
    labels = with_positives(dict.fromkeys(range(12), 4))
    labels[:20] = labels[100:120] = labels[200:220] = -1  # F000, F005 and F010 have no known rows to validate on
    assert validating(SUBJECTS, labels, 0) == ["F001", "F002"]


@pytest.mark.parametrize("seed", range(3))
def test_of_few_subjects_the_only_one_with_known_labels_trains(seed):
    labels = np.full((60, 1), -1, np.int8)
    labels[:20] = 1
    assert "F000" not in validating(SUBJECTS[:60], labels, seed)
    labels[20:40] = 1
    assert validating(SUBJECTS[:60], labels, seed) == [f"F00{seed % 2}"]


def test_who_shows_nothing_leaves_the_place_where_a_unit_would_lack_positives():
    """F000, F005 and F010 show no unit, as in neutral sessions: no epoch could be selected on them alone."""
    labels = with_positives(dict.fromkeys((1, 2, 3, 4, 6, 7, 8, 9, 11), 4))
    assert validating(SUBJECTS, labels, 0) == ["F001", "F005", "F010"]


@pytest.mark.parametrize("seed", range(5))
def test_the_only_one_who_shows_a_class_trains(seed):
    """Training would otherwise lack that class; the next subject validates instead."""
    labels = np.tile([0, 1], 120)
    labels[20 * seed] = 2
    rest = [5 + seed, 10 + seed] if seed < 2 else [5 + seed]
    expected = sorted([1 if seed == 0 else 0, *rest])
    assert validating(SUBJECTS, labels, seed) == [f"F{number:03d}" for number in expected]


def test_where_everybody_alone_shows_a_class_every_fifth_validates():
    assert validating(SUBJECTS, np.repeat(np.arange(12), 20), 1) == ["F001", "F006", "F011"]


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_among_few_subjects_the_one_with_the_smallest_share_validates(count, seed):
    """Every subject has more than a fifth; only F000 shows the second unit, which could not be learned without it."""
    labels = np.ones((20 * count, 2), np.int8)
    assert validating(SUBJECTS[: 20 * count], labels, seed) == [f"F{seed % count:03d}"]
    labels[20:, 1] = 0
    assert validating(SUBJECTS[: 20 * count], labels, seed) == [f"F{max(1, seed % count):03d}"]


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
