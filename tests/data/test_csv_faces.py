"""The CSV format: labels, boxes, splits, and errors that name the file and the line."""

import cv2
import numpy as np
import pytest
import torch

from sma_models.data import CSVFaces
from tests.helpers.face_sets import loaded, rows_with, write_csv, write_image


def test_expressions_are_numbered_by_their_sorted_names(expressions):
    data = loaded(expressions)
    assert data.faces.regions == ("anger", "happiness", "neutral")
    sample = data._dataset("train", "none")[0, 0]
    image = sample["image"]
    assert image.shape == (3, 32, 32)
    assert image.dtype == torch.uint8
    # The brightest colour channel determines the class, which proves the order red, green, blue.
    assert sample["label"] == int(image.float().mean((1, 2)).argmax())
    assert sample["label"].dtype == torch.int64


def test_classes_can_be_put_in_another_order(expressions):
    data = loaded(expressions, classes=["neutral", "happiness", "anger"])
    assert data.faces.regions == ("neutral", "happiness", "anger")
    other = loaded(expressions)
    assert (data.faces.labels == 2 - other.faces.labels).all()


def test_action_units_are_read_by_header_name_with_unknown_ones_masked(units):
    data = loaded(units, selection="last")
    assert data.faces.regions == ("AU1", "AU12")
    # The last of a subject's six rows shows only the first unit.
    position, row = next((i, row) for i, row in enumerate(data.splits.train.tolist()) if row % 6 == 5 and row % 5)
    sample = data._dataset("train", "none")[0, position]
    assert sample["labels"].tolist() == [1.0, 0.0]
    assert sample["known"].tolist() == [True, True]
    assert sample["subject"] == f"s{row // 6:02d}"
    assert sample["index"] == row
    unknown = data.faces.labels[:, 1] == -1
    assert unknown.tolist() == [row % 5 == 0 for row in range(60)]


def test_units_are_ordered_by_number_and_may_be_padded_or_empty(tmp_path):
    path = rows_with(tmp_path, AU12=["1", "0"], AU04=["", "9"], AU2=["0", "1"], subject=["a", "b"])
    data = CSVFaces(str(path), selection="last", fold="1")
    data.setup("fit")
    assert data.faces.regions == ("AU2", "AU4", "AU12")
    assert data.faces.labels.tolist() == [[0, -1, 1], [1, -1, 0]]


def test_intensities_are_read_with_a_threshold(tmp_path):
    levels = ["0", "1", "2", "5", "9", ""]
    path = rows_with(tmp_path, AU1=levels, split=["train"] * 6, subject=list("aabbcc"))
    data = loaded(path, au_threshold=2, selection="last")
    assert data.faces.labels[:, 0].tolist() == [0, 0, 1, 1, -1, -1]


def test_a_face_box_is_cut_out_and_padded_with_grey_to_a_square(tmp_path):
    image = np.zeros((60, 100, 3), np.uint8)
    image[20:40, 30:70] = (255, 0, 0)
    cv2.imwrite(str(tmp_path / "p.png"), image[..., ::-1])
    box = {"image": "p.png", "AU1": 1, "subject": "a", "width": 40, "height": 20}
    rows = [box | {"x": 30, "y": 20}, box | {"x": 80, "y": 45, "subject": "b"}]
    table = loaded(write_csv(tmp_path / "c.csv", rows), selection="last").faces
    inside = table.image(0, 40)
    assert (inside[10:30] == (255, 0, 0)).all()
    assert (inside[:9] == 0).all()
    # The second square is 40 wide from (80, 35): the image ends at x = 100 and y = 60.
    outside = table.image(1, 40)
    assert (outside[:25, :20] == 0).all()
    assert (outside[:, 20:] == 128).all()
    assert (outside[25:] == 128).all()


def test_an_image_that_is_no_square_keeps_its_proportions(tmp_path):
    write_image(tmp_path / "a.png", (250, 250, 250), (80, 40))
    path = write_csv(tmp_path / "faces.csv", [{"image": "a.png", "AU1": 1, "split": "train"}])
    image = loaded(path, selection="last").faces.image(0, 40)
    assert (image[:, :10] == 128).all() and (image[:, 30:] == 128).all()
    assert (image[:, 11:29] > 200).all()


def test_images_may_lie_under_another_root(tmp_path):
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "a.png", (0, 0, 90))
    path = write_csv(tmp_path / "faces.csv", [{"image": "a.png", "AU1": 1, "split": "train"}])
    assert loaded(path, root=str(tmp_path / "images"), selection="last").faces.image(0, 8).shape == (8, 8, 3)


@pytest.mark.parametrize("column", ["split", "fold", "note"])
def test_all_tests_every_row(tmp_path, column):
    """With a single person, nobody would be left to train on."""
    path = rows_with(tmp_path, expression=list("pq"), subject=list("aa"), **{column: ["train", "train"]})
    data = loaded(path, fold="all")
    assert [part.tolist() for part in data.splits] == [[], [], [0, 1]]
    assert data.origin()["subjects"] == []


GOOD = {"expression": ["p", "q"], "subject": ["a", "b"]}


@pytest.mark.parametrize(
    "columns, settings, words",
    [
        ({"expression": ["p", "smirk"]}, {"classes": ["p", "q"]}, r"line 3.*'smirk'.*p, q"),
        ({"expression": ["p", ""]}, {}, r"line 3: expression is empty"),
        (GOOD | {"subject": ["", "b"]}, {}, r"line 2: subject is empty"),
        ({"AU1": ["0", "2"]}, {}, r"line 3: AU1 is '2'; expected 0, 1, 9 or nothing"),
        ({"AU1": ["0", "6"]}, {"au_threshold": 2}, r"line 3: AU1 is '6'; expected 0, 1, 2, 3, 4, 5, 9 or nothing"),
        ({"AU1": ["0", "1.0"]}, {}, r"line 3: AU1 is '1.0'"),
        (GOOD | {"AU1": ["0", "1"]}, {}, r"either.*'expression'"),
        ({"subject": ["a", "b"]}, {}, r"either.*'expression'"),
        (GOOD | {"split": ["train", "dev"]}, {}, r"line 3: split is 'dev'"),
        (GOOD | {"split": ["train", "test"], "fold": ["0", "1"]}, {}, r"'split'.*'fold'.*both"),
        (GOOD | {"subject": ["a", "a"], "split": ["train", "test"]}, {}, "one fold; got several for a"),
        (GOOD | {"subject": ["a", "a"], "fold": ["0", "1"]}, {}, "one fold; got several for a"),
        (GOOD | {"split": ["test", "test"]}, {"selection": "last"}, r"no row is left to train"),
        (GOOD | {"frame": ["1", "two"]}, {}, r"line 3: frame is 'two'"),
        (GOOD | {"x": ["1", "2"], "y": ["1", "2"]}, {}, r"x, y, width, height.*got x, y"),
        (GOOD | {k: ["1", "0"] for k in ("x", "y", "width", "height")}, {}, r"line 3: the face box"),
        (GOOD, {"fold": "7"}, r"fold must be one of 0, 1.*'7'"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, columns, settings, words):
    path = rows_with(tmp_path, **columns)
    with pytest.raises(ValueError, match=words):
        loaded(path, **settings)


def test_a_missing_image_is_named_when_the_file_is_read(tmp_path):
    path = rows_with(tmp_path, **GOOD)
    path.write_text(path.read_text() + "gone.png,p,c\n")
    with pytest.raises(FileNotFoundError, match=r"faces.csv, line 4.*gone.png"):
        loaded(path)


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    path = rows_with(tmp_path, AU1=["0", "1"], subject=["a", "b"])
    (tmp_path / "0.png").write_text("no image")
    data = loaded(path, selection="last")
    with pytest.raises(ValueError, match=r"faces.csv, line 2: cannot read .*0.png"):
        data.faces.image(0, 8)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "'image'"),
        ("photo,expression\na.png,x\n", r"'image'; got \['photo'"),
        ("image,expression\n", "at least one row"),
        ("image,expression\na.png\n", "line 2: expected 2 cells"),
        ("image,expression\na.png,x,y\n", "line 2: expected 2 cells"),
    ],
)
def test_a_file_that_is_no_table_of_faces_is_refused(tmp_path, text, words):
    (tmp_path / "faces.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        loaded(tmp_path / "faces.csv")


def test_spaces_and_a_byte_order_mark_do_no_harm(tmp_path):
    write_image(tmp_path / "a.png", (9, 9, 90))
    (tmp_path / "faces.csv").write_text(
        "\ufeffimage, expression , split \na.png, joy , train\na.png,fear,train\n", encoding="utf-8"
    )
    data = loaded(tmp_path / "faces.csv", selection="last")
    assert data.faces.regions == ("fear", "joy")
    assert data.faces.splits.tolist() == ["train", "train"]
