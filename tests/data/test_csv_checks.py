"""Errors in a CSV file and its settings: each is named, with its line if it has one."""

import logging
import re

import pytest

from sma_models.data.prediction_columns import prediction_columns
from tests.helpers.face_sets import loaded, write_image

PEOPLE = "a.png,p1,{}\na.png,p2,{}\n"


def table(folder, text, encoding="utf-8"):
    write_image(folder / "a.png", (10, 200, 90))
    (folder / "faces.csv").write_bytes(text.encode(encoding))
    return folder / "faces.csv"


def refused(path, words, **settings):
    with pytest.raises(ValueError, match=words) as caught:
        loaded(path, **{"fold": "all"} | settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_header_cells_are_stripped(tmp_path):
    path = table(tmp_path, " image ,subject\t,split ,AU1 , AU02\u00a0\na.png,p1,train,1,0\na.png,p2,test,0,1\n")
    faces = loaded(path, fold="all").faces
    assert faces.regions == ("AU1", "AU2")
    assert faces.labels.tolist() == [[1, 0], [0, 1]]
    assert faces.splits.tolist() == ["train", "test"]


@pytest.mark.parametrize(
    "header, words",
    [
        ("Image,subject,AU1", "'Image' resembles 'image'"),
        ("image,Subject,AU1", "'Subject' resembles 'subject'"),
        ("image,SPLIT,AU1", "'SPLIT' resembles 'split'"),
        ("image,Found,AU1", "'Found' resembles 'found'"),
        ("image,subject,au1", "'au1' resembles 'AU1'"),
        ("image,AU2,Au01", "'Au01' resembles 'AU1'"),
        ("image,AU1,AU 2", "'AU 2' resembles 'AU2'"),
        ("image,AU1,AU_2", "'AU_2' resembles 'AU2'"),
        ("image,AU1,Width", "'Width' resembles 'width'"),
        ("image,AU1,folds", "'folds' resembles 'fold'"),
        ("image,AU1,Splits", "'Splits' resembles 'split'"),
        ("images,AU1", "'images' resembles 'image'"),
        ("image,AU1,AU1", "'AU1' occurs twice"),
        ("image,AU1,AU01", "'AU1' occurs twice"),
        ("image,AU1,image", "'image' occurs twice"),
        ("image,subject ,AU1,subject", "'subject' occurs twice"),
    ],
)
def test_columns_that_are_twice_or_nearly_there_are_refused(tmp_path, header, words):
    path = table(tmp_path, f"{header}\n" + ",".join(["a.png", *"0" * header.count(",")]) + "\n")
    assert str(path) in refused(path, words)


def test_other_columns_mean_nothing(tmp_path):
    header = "image,age,AU01_r,AU1,,AU\u00b2,AU\u0662,frame,frames"
    path = table(tmp_path, f"{header}\na.png,40,0.3,1,,,,1,9\na.png,31,0.1,0,,x,x,2,9\n")
    faces = loaded(path, fold="all").faces
    assert faces.labels.tolist() == [[1], [0]]
    assert faces.unused == ["age", "AU01_r", "AU\u00b2", "AU\u0662", "frames"]


def test_columns_that_mean_nothing_are_named(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        loaded(table(tmp_path, "image,person,AU1\na.png,p,1\n"), fold="all")
    assert "ignored columns: person" in caplog.text


def test_letters_that_look_alike_are_one_class(tmp_path):
    path = table(tmp_path, "image,expression\na.png,gen\u00e9\na.png,gene\u0301\n")
    refused(path, r"'gene\\u0301' and 'gen\\xe9' differ")
    refused(table(tmp_path, "image,expression\na.png,fear\na.png,fear\u200b\n"), r"'fear' and 'fear\\u200b' differ")


def test_subjects_that_differ_in_case_alone_are_refused(tmp_path):
    refused(
        table(tmp_path, "image,subject,AU1\na.png,p1,1\na.png,P1,0\n"), "subjects 'P1' and 'p1' differ only in case"
    )


@pytest.mark.parametrize(
    "cell, detected", [("0", False), ("1", True), ("False", False), ("TRUE", True), ("false ", False), ("true", True)]
)
def test_found_is_a_yes_or_a_no(tmp_path, cell, detected):
    path = table(tmp_path, f"image,found,AU1\na.png,1,1\na.png,{cell},0\n")
    assert loaded(path, fold="all").faces.detected.tolist() == [True, detected]


@pytest.mark.parametrize("cell", ["", "0.0", "no", "2", "None"])
def test_anything_else_is_not_found_by_guessing(tmp_path, cell):
    path = table(tmp_path, f"image,found,AU1\na.png,1,1\na.png,{cell},0\n")
    refused(path, rf"line 3: found is {re.escape(repr(cell))}; expected 0, 1, false or true")


@pytest.mark.parametrize("threshold", [0, 6, -1, 2.5])
def test_a_threshold_is_an_intensity_above_0(tmp_path, threshold):
    path = table(tmp_path, "image,AU1\na.png,5\na.png,0\n")
    refused(path, rf"au_threshold must be a whole number of 1 to 5; got {threshold}", au_threshold=threshold)


@pytest.mark.parametrize("threshold, positive", [(1, [1, 0, 1]), (5, [1, 0, 0])])
def test_the_lowest_and_the_highest_threshold(tmp_path, threshold, positive):
    path = table(tmp_path, "image,AU1\na.png,5\na.png,0\na.png,4\n")
    assert loaded(path, fold="all", au_threshold=threshold).faces.labels[:, 0].tolist() == positive


@pytest.mark.parametrize(
    "text, settings, words",
    [
        ("image,AU1\na.png,1\n", {"classes": ["joy", "fear"]}, "classes need a column 'expression'.*AU1"),
        ("image,expression\na.png,joy\n", {"au_threshold": 2}, "au_threshold needs columns of action units"),
        (
            "image,expression\na.png,joy\n",
            {"classes": ["joy", "joy"]},
            r"expected different names; got \['joy', 'joy'",
        ),
        ("image,expression\na.png,joy\n", {"classes": []}, "expected different names"),
        ("image,expression\na.png,joy\n", {"classes": ["joy", "Joy"]}, "'joy' and 'Joy' differ only in case"),
        ("image,expression\na.png,joy\na.png,Joy\n", {}, "'Joy' and 'joy' differ only in case"),
        ("image,AU1,fold\na.png,1,P1\na.png,0,p1\n", {}, "'P1' and 'p1' differ only in case"),
        ("image,AU1,fold\na.png,1,P1\na.png,0,all\n", {}, "line 3: fold is 'all', a name reserved for all rows"),
        ("image,AU1,frame\na.png,1,99999999999999999999\n", {}, "line 2: frame is '9{20}'; expected a whole number"),
        ("image,AU1,frame\na.png,1,1_0\n", {}, "line 2: frame is '1_0'; expected a whole number"),
    ],
)
def test_settings_and_names_that_cannot_be_meant(tmp_path, text, settings, words):
    refused(table(tmp_path, text), words, **settings)


@pytest.mark.parametrize("name", ["frame", "x", "score", "expression", "joy_smooth"])
def test_a_class_named_like_a_column_of_the_predictions_is_refused(tmp_path, name):
    path = table(tmp_path, f"image,expression\na.png,joy\na.png,{name}\n")
    assert str(path) in refused(path, rf"a class must not be named.*as {name} would be")
    with pytest.raises(ValueError, match=f"as {name} would be"):
        prediction_columns("expression", ["joy", name], smoothing=True)


def test_columns_of_the_predictions():
    assert prediction_columns("au", ["AU1"], smoothing=True)[9:] == ["score", "AU1", "AU1_on", "AU1_smooth"]
    assert prediction_columns("expression", ["joy", "fear"], smoothing=False)[10:] == ["joy", "fear", "expression"]


@pytest.mark.parametrize(
    "content, words",
    [
        (
            "image,expression\na.png,joy\na.png,d\u00e9go\u00fbt\n".encode("latin-1"),
            r"line 3: expected UTF-8 text; got byte 0xE9",
        ),
        ("image,expression\na.png,joy\n".encode("utf-16"), r"faces.csv: expected UTF-8 text; got UTF-16"),
        ("image,expression\na.png,joy\n".encode("utf-16-le"), r"line 1: expected UTF-8 text; got a zero byte"),
        (b"image,expression\na.png," + b"j" * 131073 + b"\n", r"line 2: not valid CSV: field larger than field limit"),
        (b'image,expression\na.png,"joy\na.png,fear\na.png,joy\n', r"line 2: not valid CSV: unexpected end of data"),
    ],
)
def test_what_is_no_csv_in_utf8_is_named(tmp_path, content, words):
    (tmp_path / "faces.csv").write_bytes(content)
    refused(tmp_path / "faces.csv", words)


def test_names_beyond_ascii_are_read(tmp_path):
    path = table(tmp_path, "image,subject,expression\n" + PEOPLE.format("d\u00e9go\u00fbt", "joie"), "utf-8-sig")
    faces = loaded(path, fold="all").faces
    assert faces.regions == ("d\u00e9go\u00fbt", "joie")
    assert faces.subjects.tolist() == ["p1", "p2"]
    assert faces.labels.tolist() == [0, 1]
