"""Text files supplied with images, in any encoding and with any header: errors name their location."""

import json

import pytest

from sma_models.cli import main
from sma_models.data import BP4D
from sma_models.data.alignment import Alignment
from sma_models.data.alignment_table import COLUMNS, read_rows
from sma_models.data.databases.au_occurrence import read_occurrence
from sma_models.data.databases.ckplus import read_emotion, read_facs
from sma_models.data.databases.disfa import UNITS, read_intensities
from sma_models.data.databases.mmi import read_track
from sma_models.data.manifest import read_pairs
from sma_models.faces.detect import Points
from sma_models.utils.text_files import check_yaml, read_json

EYES = "left_eye_x,left_eye_y,right_eye_x,right_eye_y"


def intensities(path):
    """DISFA's reader expects the folder of one subject; the file is used for each of its action units."""
    folder = path.parent / "SN001"
    folder.mkdir()
    for unit in UNITS:
        (folder / f"SN001_au{unit}.txt").write_bytes(path.read_bytes())
    return read_intensities(folder)


READERS = {
    "points": (Points, f"image,{EYES}\na.jpg,1,2,3,4\n"),
    "folds": (lambda path: read_pairs(path, ("subject", "fold")), "subject,fold\nS1,1\n"),
    "occurrence": (lambda path: read_occurrence(path, (1, 2)), "0,1,2\n1,0,1\n"),
    "intensities": (intensities, "1,0\n2,5\n"),
    "emotion": (read_emotion, "  3.0000000e+00\n"),
    "facs": (read_facs, "1 2\n12 0\n"),
    "json": (read_json, '{"a": 1}'),
    "yaml": (check_yaml, "a: 1\nb: {c: 2}\n"),
}


@pytest.mark.parametrize("kind", READERS)
def test_other_encodings_are_named(tmp_path, kind):
    read, text = READERS[kind]
    path = tmp_path / "file.txt"
    path.write_text(text, encoding="utf-8-sig")
    read(path)
    for name, content, words in (
        ("wide", text.encode("utf-16"), "got UTF-16"),
        ("latin", text.encode() + "caf\u00e9".encode("latin-1"), rf"line {text.count(chr(10)) + 1}: .*byte 0xE9"),
    ):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "file.txt"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}/.*{words}"):
            read(path)


@pytest.mark.parametrize(
    "kind, text, words",
    [
        ("points", f"image,{EYES},Nose_x,nose_y\n", "'Nose_x' resembles 'nose_x'"),
        ("points", f"image,{EYES},right_eye_y\n", "'right_eye_y' occurs twice"),
        ("points", f"image,{EYES}\na.jpg,1,2,3\n", "line 2: expected 5 cells; got 4"),
        ("points", f"image,{EYES}\n\na.jpg,1,2,3,four\n", "line 3: expected numbers"),
        ("folds", "subject,Fold\nS1,1\n", "'Fold' resembles 'fold'"),
        ("folds", "subject,fold,fold\nS1,1,2\n", "'fold' occurs twice"),
        ("folds", "fold,subject\n1,S1\n", "expected the columns subject,fold; got fold,subject"),
        ("folds", "subject,fold\nS1,1\nS1,2\n", "line 3: expected a new subject"),
        ("occurrence", "0,1,2,2\n1,0,1,1\n", "one column for each of AU 2"),
        ("occurrence", "0,1,\u00b2\n1,0,1\n", "expected a header of 0 and numbers"),
        ("occurrence", '0,1,2\n1,0,1\n2,"0,1\n3,0,1\n', "line 3: not valid CSV"),
        ("json", '{"a": 1,\n "b"}', "line 2: not valid JSON"),
        ("yaml", "data:\n  fold: a\nmodel: b\ndata:\n  fold: c\n", "line 4: data occurs twice"),
        ("yaml", "data:\n- {fold: a, fold: b}\n", "line 2: fold occurs twice"),
        ("yaml", "data: [a\nmodel: b\n", "line 2: not valid YAML"),
        ("yaml", "data: \x07\n", "not valid YAML"),
    ],
)
def test_headers_and_keys_are_checked(tmp_path, kind, text, words):
    path = tmp_path / "file.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words) as caught:
        READERS[kind][0](path)
    assert str(tmp_path) in str(caught.value)


def test_spaces_in_tables_do_no_harm(tmp_path):
    (tmp_path / "folds.csv").write_text("subject , fold\nS1 , a \n")
    assert read_pairs(tmp_path / "folds.csv", ("subject", "fold")) == {"S1": "a"}
    (tmp_path / "points.csv").write_text(f" image ,{EYES} \na.jpg , 1,2,3,4\n")
    assert len(Points(tmp_path / "points.csv").of("a.jpg", 9, 9)) == 1


def test_an_alignment_that_somebody_edited_is_named(tmp_path):
    (tmp_path / "alignment.json").write_text('{"template": "eyes", "made_by": "me"}')
    with pytest.raises(ValueError, match=r"alignment\.json: expected the settings"):
        Alignment.of_folder(tmp_path)
    (tmp_path / "alignment.csv").write_text("crop,found\na.jpg,1\n")
    with pytest.raises(ValueError, match=r"alignment\.csv: expected the columns crop, source"):
        list(read_rows(tmp_path / "alignment.csv"))
    (tmp_path / "alignment.csv").write_bytes(",".join(COLUMNS).encode() + b"\ncaf\xe9.jpg" + b"," * 12 + b"\n")
    with pytest.raises(ValueError, match=r"alignment\.csv, line .*UTF-8"):
        list(read_rows(tmp_path / "alignment.csv"))


def test_a_manifests_facts_are_checked(tmp_path):
    (tmp_path / "bp4d.csv").write_text("image,subject,fold,AU1\na.jpg,F001,P1,1\n")
    (tmp_path / "bp4d.json").write_text(json.dumps({"dataset": "bp4d"}))
    with pytest.raises(ValueError, match=r"bp4d\.json: .*it lacks alignment, images, settings"):
        BP4D(tmp_path / "bp4d.csv").setup("fit")
    (tmp_path / "bp4d.json").write_text("{")
    with pytest.raises(ValueError, match=r"bp4d\.json, line 1: not valid JSON"):
        BP4D(tmp_path / "bp4d.csv").setup("fit")


def test_a_session_in_an_unknown_encoding_is_named(tmp_path):
    for encoding in ("utf-99", "shift_jis", "utf-16"):
        (tmp_path / "session.xml").write_text(f'<?xml version="1.0" encoding="{encoding}"?><Session/>')
        with pytest.raises(ValueError, match=r"session\.xml"):
            read_track(tmp_path / "session.xml")


def test_settings_are_checked_before_they_are_used(tmp_path):
    settings = tmp_path / "mine.yaml"
    settings.write_text("data:\n  class_path: CSVFaces\nseed_everything: 1\nseed_everything: 2\n")
    for words in (("--config", str(settings)), (f"--config={settings}",)):
        with pytest.raises(ValueError, match=r"mine\.yaml, line 4: seed_everything occurs twice"):
            main(["fit", *words])
