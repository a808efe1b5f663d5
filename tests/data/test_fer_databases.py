"""CK+, MMI and BU-3DFE in their original layouts, with all their known pitfalls."""

import numpy as np
import pytest

from sma_models.data import BU3DFE, MMI, CKPlus
from sma_models.data.databases.bp4dplus import index_bp4dplus
from sma_models.data.databases.bu3dfe import index_bu3dfe
from sma_models.data.databases.ckplus import index_ckplus, read_facs
from sma_models.data.databases.mmi import index_mmi
from sma_models.data.manifest import DatabaseIndex, write_manifest
from tests.helpers.database_copies import (
    hide,
    loaded,
    write_bp4dplus,
    write_bu3dfe,
    write_ckplus,
    write_image,
    write_mmi,
)

CK_SEQUENCES = {(n, 1): 1 + n % 7 for n in range(10, 24)} | {(10, 2): None, (11, 2): 5, (5, 1): None}


def test_ckplus_takes_the_last_three_frames(tmp_path):
    write_ckplus(tmp_path, {(5, 1): 5, (6, 2): 1})
    assert [(s.subject, s.sequence, s.frame, s.labels) for s in index_ckplus(tmp_path).samples] == [
        *(("S005", "001", n, "happiness") for n in (3, 4, 5)),
        *(("S006", "002", n, "anger") for n in (3, 4, 5)),
    ]
    eight = index_ckplus(tmp_path, classes=8)
    assert [(s.frame, s.labels) for s in eight.samples[:2]] == [(1, "neutral"), (3, "happiness")]
    assert len(eight.samples) == 8
    assert all(int(sample.image.stem[-8:]) == sample.frame for sample in eight.samples)


def test_ckplus_codes(tmp_path):
    write_ckplus(tmp_path, {(code, 1): code for code in range(1, 8)})
    names = {sample.subject: sample.labels for sample in index_ckplus(tmp_path).samples}
    assert list(names.values()) == ["anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"]


def test_ckplus_folds_count_labelled_people_only(tmp_path):
    write_ckplus(tmp_path, CK_SEQUENCES)
    index = index_ckplus(tmp_path)
    # S005 has no label; S010 to S023 are numbers 0 to 13.
    assert index.folds == {f"S{10 + n:03d}": str(n % 10) for n in range(14)}
    assert sorted(index.unlabelled) == ["S005/001", "S010/002"]
    # A subject with only contempt is omitted, which changes nobody else's fold.
    without = index_ckplus(tmp_path, classes=6)
    assert without.folds == index.folds
    assert {"S015", "S022"} == {s.subject for s in index.samples} - {s.subject for s in without.samples}


@pytest.mark.parametrize(
    ("fold", "tested", "validating"), [("2", "S012 S022", "S013 S023"), ("9", "S019", "S010 S020")]
)
def test_ckplus_fold_after_the_tested_one_validates(tmp_path, fold, tested, validating):
    write_ckplus(tmp_path, CK_SEQUENCES)
    data = loaded(CKPlus, index_ckplus(tmp_path), tmp_path / "m.csv", fold=fold)
    train, val, test = (set(data.faces.subjects[rows]) for rows in data.splits)
    assert (test, val) == (set(tested.split()), set(validating.split()))
    assert len(train | val | test) == 14 and not train & (val | test)
    last = loaded(CKPlus, index_ckplus(tmp_path), tmp_path / "m.csv", fold=fold, selection="last")
    assert len(last.splits.val) == 0 and len(last.splits.train) == len(data.splits.train) + len(data.splits.val)
    with pytest.raises(ValueError, match="fold must be one of 0, 1"):
        CKPlus(tmp_path / "m.csv", "10").setup("fit")


def test_ckplus_intensity_zero_is_present(tmp_path):
    write_ckplus(tmp_path, {(5, 1): 5, (6, 2): None})
    assert read_facs(tmp_path / "FACS/S005/001/S005_001_00000005_facs.txt") == {1: None, 12: 4}
    (tmp_path / "FACS/S006/002/S006_002_00000005_facs.txt").write_text("  4.0e+00  2.0e+00\n")
    index = index_ckplus(tmp_path, label="au")
    assert index.units == (1, 4, 12)
    assert [(s.subject, s.frame, s.labels) for s in index.samples] == [("S005", 5, (1, 0, 1)), ("S006", 5, (0, 1, 0))]


@pytest.mark.parametrize("text", ["", "8.0", "0.0", "1.5", "1 2", "angry"])
def test_ckplus_refuses_odd_emotions(tmp_path, text):
    write_ckplus(tmp_path, {(5, 1): 5})
    next((tmp_path / "Emotion/S005/001").iterdir()).write_text(text)
    with pytest.raises(ValueError, match=r"_emotion\.txt: expected one number of 1 to 7"):
        index_ckplus(tmp_path)


def test_ckplus_labels_that_are_no_text_are_named(tmp_path):
    write_ckplus(tmp_path, {(5, 1): 5})
    next((tmp_path / "Emotion/S005/001").iterdir()).write_bytes(b"\xff5.0")
    with pytest.raises(ValueError, match=r"_emotion\.txt, line 1: expected UTF-8 text"):
        index_ckplus(tmp_path)


def test_ckplus_a_short_sequence_is_left_out_and_keeps_its_place_in_the_folds(tmp_path):
    write_ckplus(tmp_path, CK_SEQUENCES)
    folds = index_ckplus(tmp_path).folds
    for n in (3, 4):
        (tmp_path / f"cohn-kanade-images/S010/001/S010_001_{n:08d}.png").unlink()
    index = index_ckplus(tmp_path)
    assert index.left_out == ["S010/001 (expected more than 3 images; got 3)"] and index.folds == folds
    assert "S010" not in {sample.subject for sample in index.samples}


def test_ckplus_sequences_without_a_label_are_expected(tmp_path):
    index = DatabaseIndex("ckplus", tmp_path, {}, unlabelled=[f"S{n:03d}/001" for n in range(266)])
    write_ckplus(tmp_path, {(5, 1): 5, (6, 1): None})
    few = index_ckplus(tmp_path)
    index.expected = few.expected
    assert index.counts()["sequences without a label"] == index.expected["sequences without a label"] == 266
    assert not any("without a label" in message for message in index.warnings())
    assert "sequences without a label: expected 266, found 1" in few.warnings()
    assert "1 without a label: S006/001" in few.warnings()
    eight = index_ckplus(tmp_path, classes=8).warnings()
    assert "sequences: expected 327, found 1" in eight and "neutral: expected 327, found 1" in eight


def test_classes_are_counted_beside_what_is_expected(tmp_path):
    write_bu3dfe(tmp_path / "bu3dfe")
    assert "fear: expected 200, found 6" in index_bu3dfe(tmp_path / "bu3dfe").warnings()
    assert "fear: expected 300, found 9" in index_bu3dfe(tmp_path / "bu3dfe", levels=[1, 2, 3]).warnings()
    write_bp4dplus(tmp_path / "bp4dplus")
    # 140 people with five frames each, of one task or of two that share a name.
    names = {"T1": "joy", "T2": "joy"}
    message = index_bp4dplus(tmp_path / "bp4dplus", label="task", tasks=["T1", "T2", "T7"], task_names=names).warnings()
    assert {"joy: expected 1400, found 30", "fear: expected 700, found 15", "frames: expected 2100, found 45"} <= set(
        message
    )


def test_ckplus_names_a_sequence_without_images(tmp_path):
    write_ckplus(tmp_path, {(5, 1): 5, (6, 1): 1})
    (tmp_path / "cohn-kanade-images/S006").rename(tmp_path / "kept")
    assert index_ckplus(tmp_path).missing == ["S006/001"]


MMI_SESSIONS = {
    "101": ("S001-001.avi", 0, 4),
    "102": ("S001-002.avi", 1, 4),
    "103": ("S002-001.avi", 2, 6),
    "104": ("S002-002.avi", 0, 17),
    "105": ("S003-001.avi", 0, None),
    "106": ("S003-002.avi", 0, 1),
}


def test_mmi_views_and_codes(tmp_path):
    write_mmi(tmp_path, MMI_SESSIONS)
    index = index_mmi(tmp_path)
    assert [(s.subject, s.sequence, s.frame, s.labels) for s in index.samples] == [
        *(("S001", "101", n, "happiness") for n in (3, 4, 5)),
        *(("S003", "106", n, "anger") for n in (3, 4, 5)),
    ]
    left_out = {"Emotion 17": 1, "no Emotion": 1, "view 1 (profile)": 1, "view 2 (both in one image)": 1}
    assert index.settings["left out"] == left_out
    assert {s.sequence for s in index_mmi(tmp_path, views=[0, 2]).samples} == {"101", "103", "106"}
    assert {s.labels for s in index_mmi(tmp_path, codes={"17": "laughter"}).samples} == {"laughter"}
    with pytest.raises(ValueError, match="no session has both an image"):
        index_mmi(tmp_path, codes={"33": "boredom"})
    with pytest.raises(ValueError, match="some of 0, 1 and 2"):
        index_mmi(tmp_path, views=[3])


def test_mmi_codes(tmp_path):
    write_mmi(tmp_path, {str(code): (f"S{code:03d}-1.avi", 0, code) for code in range(1, 7)})
    names = {sample.subject: sample.labels for sample in index_mmi(tmp_path).samples}
    assert list(names.values()) == ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]


def test_mmi_subjects(tmp_path):
    write_mmi(tmp_path, {"101": ("S001-001.avi", 0, 4), "102": ("clip.avi", 0, 4)})
    assert index_mmi(tmp_path).left_out == [
        "session 102: its media file 'clip.avi' (expected S001-...) names no subject"
    ]
    (tmp_path / "people.csv").write_text("session,subject\n101,anna\n102,ben\n")
    index = index_mmi(tmp_path, subjects=tmp_path / "people.csv")
    data = loaded(MMI, index, tmp_path / "m.csv", selection="last")
    assert set(data.faces.subjects) == {"anna", "ben"}


def test_mmi_stills_of_a_video_lie_in_its_folder(tmp_path):
    write_mmi(tmp_path, {"101": ("S001-001.avi", 0, 4)}, images=0)
    with pytest.raises(ValueError, match="sma-net align"):
        index_mmi(tmp_path)
    for n in range(9):
        write_image(tmp_path / f"Sessions/101/S001-001/{n:05d}.jpg")
    assert [sample.frame for sample in index_mmi(tmp_path).samples] == [3, 4, 5]


ODD_XML = (
    "<session/>",
    '<s><track view="7" filename="S001-1.avi"/></s>',
    '<s><track filename="S001-1.avi"/></s>',
    '<s><track view="0" filename="S001-1.avi"/><track view="0" filename="S001-2.avi"/></s>',
    "<s",
    '<s a="\xe9"/>',
)


@pytest.mark.parametrize("xml", ODD_XML)
def test_mmi_odd_sessions_are_left_out_and_named(tmp_path, xml):
    write_mmi(tmp_path, {"101": ("S001-001.avi", 0, 4), "102": ("S002-001.avi", 0, 1)})
    (tmp_path / "Sessions/101/session.xml").write_bytes(xml.encode("latin-1"))
    index = index_mmi(tmp_path)
    assert {sample.sequence for sample in index.samples} == {"102"}
    assert len(index.left_out) == 1 and "101/session.xml" in index.left_out[0]
    assert any(message.startswith("1 left out: ") for message in index.warnings())
    (tmp_path / "Sessions/102/session.xml").unlink()
    with pytest.raises(ValueError, match=r"no session has both an image.*1 left out: .*session\.xml"):
        index_mmi(tmp_path)


@pytest.mark.parametrize(
    "text", ["<s", '<a><Metatag Name="Emotion" Value="5"/></a>', '<?xml version="1.0" encoding="none"?><a/>']
)
def test_mmi_odd_annotations_leave_their_session_out(tmp_path, text):
    write_mmi(tmp_path, {"101": ("S001-001.avi", 0, 4), "102": ("S002-001.avi", 0, 1)})
    (tmp_path / "Sessions/101/more.xml").write_text(text)
    index = index_mmi(tmp_path)
    assert {sample.sequence for sample in index.samples} == {"102"}
    assert len(index.left_out) == 1 and "Sessions/101" in index.left_out[0]


def test_hidden_files_are_none_of_a_database(tmp_path):
    """As created by macOS on disks of other systems."""
    write_ckplus(tmp_path / "ckplus", {(5, 1): 5})
    write_mmi(tmp_path / "mmi", {"101": ("S001-001.avi", 0, 4)})
    write_bu3dfe(tmp_path / "bu3dfe")
    hide(tmp_path)
    for index in (index_ckplus(tmp_path / "ckplus"), index_ckplus(tmp_path / "ckplus", label="au"),
                    index_mmi(tmp_path / "mmi"), index_bu3dfe(tmp_path / "bu3dfe")):  # fmt: skip
        assert index.samples and not index.extra and not index.left_out


@pytest.mark.parametrize("ethnicity", ["WH", "AE", "", "xyz"])
def test_bu3dfe_levels_and_textures(tmp_path, ethnicity):
    write_bu3dfe(tmp_path, ethnicity=ethnicity)
    index = index_bu3dfe(tmp_path)
    assert len(index.samples) == 3 * 6 * 2 and not index.extra
    assert {sample.frame for sample in index.samples} == {3, 4}
    assert all(sample.image.name.endswith("_F2D.bmp") for sample in index.samples)
    assert index.samples[0].image.name.startswith("F0001_AN03") and index.samples[0].labels == "anger"
    other = index_bu3dfe(tmp_path, levels=[1], texture="F3D")
    assert len(other.samples) == 18 and other.samples[0].image.name.endswith("_F3D.bmp")


def test_bu3dfe_names_what_is_odd(tmp_path):
    write_bu3dfe(tmp_path)
    (tmp_path / "F0001/F0001_AN03WH_F2D.bmp").unlink()
    for name in ("F0001/snapshot.bmp", "F0001/F0002_HA03WH_F2D.bmp", "F0099/F0099_HA03WH_F2D.bmp"):
        write_image(tmp_path / name)
    index = index_bu3dfe(tmp_path)
    assert index.missing == ["F0001 AN03"] and len(index.extra) == 3
    data = loaded(BU3DFE, index, tmp_path / "m.csv", fold="1")
    assert [np.unique(data.faces.subjects[rows]).tolist() for rows in data.splits] == [["F0001"], ["M0001"], ["F0002"]]
    write_image(tmp_path / "F0002/F0002_HA03XX_F2D.bmp")
    assert index_bu3dfe(tmp_path).left_out == ["F0002 HA03 (one of F0002_HA03WH_F2D.bmp, F0002_HA03XX_F2D.bmp)"]


def test_bu3dfe_subjects_may_lie_in_a_folder_of_theirs(tmp_path):
    write_bu3dfe(tmp_path / "plain")
    write_bu3dfe(tmp_path / "copy/Subjects")
    plain, copy = index_bu3dfe(tmp_path / "plain"), index_bu3dfe(tmp_path / "copy")
    assert [sample[1:] for sample in copy.samples] == [sample[1:] for sample in plain.samples] and not copy.extra
    data = loaded(BU3DFE, copy, tmp_path / "m.csv", fold="all")
    assert data.faces.image(0, 8).shape == (8, 8, 3)


def test_a_folder_one_deeper_is_hinted_at(tmp_path):
    write_ckplus(tmp_path / "copy", {(5, 1): 5})
    (tmp_path / "copy/Emotion").rename(tmp_path / "kept")
    (tmp_path / "copy/Emotion_labels").mkdir()
    (tmp_path / "kept").rename(tmp_path / "copy/Emotion_labels/Emotion")
    with pytest.raises(
        FileNotFoundError, match=r"at .*copy/Emotion; there is one at .*copy/Emotion_labels/Emotion, so per"
    ):
        index_ckplus(tmp_path / "copy")
    assert index_ckplus(tmp_path / "copy/Emotion_labels", images=tmp_path / "copy").samples


def test_nothing_to_list_is_an_error(tmp_path):
    write_ckplus(tmp_path, {(5, 1): None})
    with pytest.raises(ValueError, match="nothing to list"):
        write_manifest(index_ckplus(tmp_path), tmp_path / "m.csv")


def test_codes_of_yaml_may_be_numbers_and_views_are_used_once(tmp_path):
    write_mmi(tmp_path, {"1": ("S001-1.avi", 0, 1), "2": ("S002-1.avi", 0, 2)})
    index = index_mmi(tmp_path, codes={1: "joy", 2: "rage"}, views=[0, 0])
    assert {sample.labels for sample in index.samples} == {"joy", "rage"} and index.settings["views"] == [0]


def test_a_manifest_is_not_the_file_beside_it(tmp_path):
    write_mmi(tmp_path, {"1": ("S001-1.avi", 0, 1)})
    with pytest.raises(ValueError, match=r"manifest must not end in \.json"):
        write_manifest(index_mmi(tmp_path), tmp_path / "mmi.json")
