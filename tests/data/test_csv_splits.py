"""How a CSV file is divided into training, validation and test, by its columns or by subject, and the messages about it."""

import logging
import warnings

import numpy as np
import pytest

from sma_models.data import CSVFaces
from tests.helpers.face_sets import loaded, people, rows_with


def test_folds_and_validation_share_no_subject_and_cover_everybody(expressions):
    tested = set()
    for fold in "01234":
        data = loaded(expressions, fold=fold)
        train, val, test = (people(data, split) for split in ("train", "val", "test"))
        assert train and val and test
        assert not train & val and not train & test and not val & test
        assert len(train | val | test) == 10
        assert len(test) == 2
        tested |= test
    assert len(tested) == 10


def test_selection_last_keeps_every_training_subject(expressions):
    data = loaded(expressions, selection="last")
    assert len(people(data, "train")) == 8
    assert len(data.splits.val) == 0


def test_splits_come_from_the_column(tmp_path):
    path = rows_with(
        tmp_path, expression=["p", "q", "p", "q"], subject=list("abcd"), split=["train", "test", "val", "train"]
    )
    splits = loaded(path).splits
    assert [rows.tolist() for rows in splits] == [[0, 3], [2], [1]]
    assert [rows.tolist() for rows in loaded(path, selection="last").splits] == [[0, 2, 3], [], [1]]


def test_without_validation_rows_some_training_subjects_validate(tmp_path):
    path = rows_with(tmp_path, expression=list("pqpqpq"), subject=list("abcdef"), split=["train"] * 5 + ["test"])
    data = loaded(path, seed=1)
    assert people(data, "val") == {"b"}
    assert people(data, "train") == {"a", "c", "d", "e"}
    assert people(data, "test") == {"f"}


@pytest.mark.parametrize("split", [["train", "train", "test"], ["train", "val", "test"]])
def test_an_image_is_in_one_split_only(tmp_path, split):
    path = rows_with(tmp_path, expression=list("pqp"), split=split)
    path.write_text(path.read_text().replace("2.png", "./0.png"))
    with pytest.raises(ValueError, match=r"line 4: .*0\.png is in the test split, and by line 2 in the train split"):
        loaded(path, selection="last")


def test_faces_of_one_image_may_be_in_different_splits(tmp_path):
    box = {"x": [0, 0, 4], "y": [0] * 3, "width": [5] * 3, "height": [5] * 3}
    path = rows_with(tmp_path, expression=list("pqp"), split=["train", "train", "test"], **box)
    path.write_text(path.read_text().replace("2.png", "0.png"))
    assert [len(rows) for rows in loaded(path, selection="last").splits] == [2, 0, 1]


def test_an_image_that_is_tested_twice_is_reported(tmp_path):
    path = rows_with(tmp_path, expression=list("pqpq"), split=["train", "train", "test", "test"])
    path.write_text(path.read_text().replace("3.png", "2.png").replace("1.png", "0.png"))
    with pytest.warns(UserWarning, match=r"faces\.csv: 1 rows of the test split repeat an image"):
        loaded(path, selection="last")


def test_a_split_without_training_rows_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"faces\.csv: no row is left to train on"):
        loaded(rows_with(tmp_path, expression=list("pq"), subject=list("ab"), split=["test", "test"]))


def test_folds_come_from_the_column_by_name(tmp_path):
    path = rows_with(tmp_path, expression=list("pqpqpq"), subject=list("abcdef"), fold=["p1", "p1", "p2"] * 2)
    data = loaded(path, fold="p2")
    assert people(data, "test") == {"c", "f"}
    with pytest.raises(ValueError, match=r"p1, p2.*'0'"):
        loaded(path)


def test_without_subjects_splits_are_stratified_with_a_warning(tmp_path):
    path = rows_with(tmp_path, expression=["p"] * 40 + ["q"] * 10)
    with pytest.warns(UserWarning, match="no subjects"):
        data = loaded(path, fold="3")
    for split, p, q in (("train", 26, 6), ("val", 6, 2), ("test", 8, 2)):
        labels = data.faces.labels[getattr(data.splits, split)]
        assert abs((labels == 0).sum() - p) <= 1, split
        assert abs((labels == 1).sum() - q) <= 1, split
    assert sorted(np.concatenate(data.splits)) == list(range(50))


def test_what_each_split_holds_is_printed_before_training(units, caplog):
    logging.getLogger("lightning.pytorch").addHandler(caplog.handler)
    data = loaded(units)
    printed = caplog.text.split("positives per split:\n")[1].splitlines()[:4]
    assert printed[0].split() == ["split", "samples", "subjects", "AU1", "AU12"]
    for line, name in zip(printed[1:], ("train", "val", "test"), strict=True):
        rows = getattr(data.splits, name)
        positives = (data.faces.labels[rows] == 1).sum(0)
        assert line.split() == [name, *map(str, (len(rows), len(rows) // 6, *positives))]


def test_one_expression_is_nothing_to_learn(tmp_path):
    one = rows_with(tmp_path, expression=["joy"] * 5, subject=list("abcde"))
    with pytest.raises(ValueError, match=r"faces.csv.*at least two expressions to train on; got joy"):
        loaded(one).train_dataloader()
    assert len(loaded(one, fold="all").splits.test) == 5
    hidden = rows_with(
        tmp_path, expression=["joy"] * 4 + ["fear"], subject=list("abcde"), split=["train"] * 4 + ["test"]
    )
    with pytest.raises(ValueError, match=r"at least two expressions to train on; got joy"):
        loaded(hidden).train_dataloader()


def test_folds_spread_classes_and_share_nobody(tmp_path):
    """By rank of subject, all five subjects who show fear would be in one fold."""
    expressions = ["fear" if n % 5 == 0 else "anger" if n % 5 == 1 and n < 15 else "joy" for n in range(25)]
    subjects = [f"p{n:02d}" for n in range(25)]
    path = rows_with(tmp_path, expression=expressions, subject=subjects)
    data = [loaded(path, fold=fold) for fold in "01234"]
    assert sorted(np.concatenate([one.splits.test for one in data])) == list(range(25))
    for one in data:
        shown = np.bincount(one.faces.labels[one.splits.test], minlength=3)
        assert shown[1] == 1 and shown[0] <= 1 and shown[2] in (3, 4)


def test_folds_are_the_same_for_every_seed(expressions):
    first, second = (loaded(expressions, seed=seed) for seed in (0, 1))
    assert first.splits.test.tolist() == second.splits.test.tolist()
    assert people(first, "val") != people(second, "val")


def test_action_units_are_spread_over_folds_by_the_rarest_of_a_row(tmp_path):
    shown = [int(n % 5 == 0) for n in range(25)]
    path = rows_with(tmp_path, AU1=["1"] * 25, AU2=shown, subject=[f"p{n:02d}" for n in range(25)])
    for fold in "01234":
        data = loaded(path, fold=fold)
        assert (data.faces.labels[data.splits.test] == 1).sum(0).tolist() == [5, 1]


def test_few_people_have_as_many_folds(tmp_path):
    for each in (2, 4):  # rows per person: too few rows of a class for five folds, and enough
        path = rows_with(tmp_path, expression=list("pq") * (3 * each // 2), subject=sorted("abc" * each))
        assert CSVFaces(path).fold_names() == ["0", "1", "2"]
    path = rows_with(tmp_path, expression=list("pq"), subject=list("aa"))
    assert CSVFaces(path).fold_names() == ["0"]


@pytest.mark.parametrize("column", ["split", "fold"])
def test_classes_of_the_test_split_that_are_one_persons_or_absent_are_named(tmp_path, column):
    path = rows_with(
        tmp_path,
        expression=["fear", "joy", "joy", "rage", "rage", "fear"],
        subject=list("abcdde"),
        **{column: ["train", "train", "test", "test", "test", "train"]},
    )
    fold = {"fold": "test"} if column == "fold" else {}
    with pytest.warns(UserWarning, match=r"in the test split fear is absent; joy comes .*\(c\); rage comes .*\(d\)"):
        loaded(path, selection="last", **fold)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded(rows_with(tmp_path, AU1=["1"] * 4, subject=list("abcd"), split=["train", "train", "test", "test"]))


def test_units_without_subjects_keep_four_fifths_of_their_positives(tmp_path):
    generator = np.random.default_rng(3)
    first, second = ((generator.random(100) < rate).astype(int).tolist() for rate in (0.3, 0.12))
    path = rows_with(tmp_path, AU1=first, AU2=second, split=["train"] * 100)
    for seed in range(3):
        data = loaded(path, seed=seed)
        positives = (data.faces.labels == 1).sum(0)
        assert len(data.splits.val) == 20
        assert ((data.faces.labels[data.splits.val] == 1).sum(0) <= np.ceil(positives / 5)).all()


def test_a_split_is_one_fold(tmp_path):
    path = rows_with(tmp_path, expression=list("pqpqpq"), subject=list("abcdef"), split=["train"] * 4 + ["test"] * 2)
    assert CSVFaces(path).fold_names() == ["split"]
    data = loaded(path, fold="split")
    assert data.splits.test.tolist() == loaded(path).splits.test.tolist() == [4, 5]
    assert data.protocol == loaded(path).protocol == "faces.csv, its own split tested"
    with pytest.raises(ValueError, match=r"fold must be split or all, since .* has a column 'split'; got '3'"):
        loaded(path, fold="3")
    path = rows_with(tmp_path, expression=list("pq"), subject=list("ab"), split=["train", "val"])
    with pytest.raises(ValueError, match=r"faces.csv: expected rows of the split 'test'; got train, val"):
        CSVFaces(path).fold_names()
