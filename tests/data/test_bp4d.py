"""BP4D in its original layout: codes, frame numbers, folds, and all known defects of copies."""

import numpy as np
import pytest

from sma_models.data import BP4D, DISFA, UNKNOWN
from sma_models.data.databases.au_occurrence import read_occurrence
from sma_models.data.databases.bp4d import index_bp4d
from sma_models.data.manifest import write_manifest
from tests.helpers.database_copies import (
    BP4D_UNITS,
    loaded,
    write_bp4d,
    write_coding,
    write_image,
)


def test_images_beside_the_coded_window_are_counted_and_no_surprise(tmp_path):
    write_bp4d(tmp_path)
    for n in range(50, 60):
        write_image(tmp_path / f"F001/T1/{n:04d}.jpg")
    index = index_bp4d(tmp_path)
    assert index.counts()["pictures outside of what is coded"] == 10
    assert not any("without a label" in message or "outside" in message for message in index.warnings())


def test_bp4d_reads_columns_by_name(tmp_path):
    labels = (1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 0)
    cells = dict(zip(BP4D_UNITS, labels, strict=True))
    write_coding(tmp_path / "plain.csv", {7: cells})
    write_coding(tmp_path / "permuted.csv", {7: cells}, (99, *reversed(BP4D_UNITS), 5))
    for name in ("plain.csv", "permuted.csv"):
        assert read_occurrence(tmp_path / name) == {7: labels}


def test_bp4d_nines_are_unknown(tmp_path):
    write_bp4d(tmp_path)
    write_coding(tmp_path / "AUCoding/AU_OCC/F003_T1.csv", {20: {1: 9, 2: 1}, 21: dict.fromkeys(BP4D_UNITS, 9)})
    data = loaded(BP4D, index_bp4d(tmp_path), tmp_path / "bp4d.csv", fold="P2", image_size=28, num_workers=0)
    rows = np.flatnonzero(data.faces.subjects == "F003")
    assert data.faces.frames[rows].tolist() == [20, 21]
    assert data.faces.labels[rows[0]].tolist() == [UNKNOWN, 1] + [0] * 10
    samples = {(s, f): k for batch in data.test_dataloader()
               for s, f, k in zip(batch["subject"], batch["frame"].tolist(), batch["known"], strict=True)}  # fmt: skip
    assert samples["F003", 20].tolist() == [False] + [True] * 11
    assert not samples["F003", 21].any() and samples["F005", 21].all()


@pytest.mark.parametrize("padding", [3, 4, 5])
def test_bp4d_frames_are_found_by_number(tmp_path, padding):
    write_bp4d(tmp_path, padding=padding)
    index = index_bp4d(tmp_path)
    assert len(index.samples) == 24 and not index.missing
    for sample in index.samples:
        assert int(sample.image.stem) == sample.frame and len(sample.image.stem) == padding


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0,1,2", "frame,1,2", "header of 0"),
        ("0,1,2,4", "0,1,2,3", "AU 4"),
        ("20,0", "20,5", r"line 2.*'5'"),
        # Digits according to `str.isdigit`, but not to `int`.
        ("0,1,2", "0,1,²", "header of 0"),
        ("\n20,", "\n2²,", "line 2: expected a frame number.*2²"),
        ("20,0", "20", "line 2: expected 13 cells"),
        ("\n21,", "\n20,", "frame 20 occurs twice"),
    ],
)
def test_bp4d_refuses_odd_codes(tmp_path, old, new, message):
    write_bp4d(tmp_path)
    coding = tmp_path / "AUCoding/AU_OCC/F001_T1.csv"
    coding.write_text(coding.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        index_bp4d(tmp_path)


def test_images_of_one_frame_are_left_out_and_named(tmp_path):
    write_bp4d(tmp_path)
    write_image(tmp_path / "F001/T1/020.jpg")
    index = index_bp4d(tmp_path)
    assert index.extra == [f"{tmp_path / 'F001/T1'}, frame 20 more than once: 0020.jpg, 020.jpg"]
    assert index.missing == ["F001/T1 frame 20"] and len(index.samples) == 23


@pytest.mark.parametrize("line", ["\n", "\n\n\n", "  \n", ",,,,,,,,,,,,\n", "\r\n"])
def test_empty_lines_of_codes_do_no_harm(tmp_path, line):
    write_bp4d(tmp_path)
    coding = tmp_path / "AUCoding/AU_OCC/F001_T1.csv"
    intact = read_occurrence(coding)
    coding.write_text(coding.read_text() + line)
    assert read_occurrence(coding) == intact
    coding.write_text(coding.read_text().replace("\n", "\n" + line, 2))
    assert read_occurrence(coding) == intact


def test_bp4d_refuses_strangers(tmp_path):
    write_bp4d(tmp_path)
    (tmp_path / "AUCoding/AU_OCC/F001_T1.csv").rename(tmp_path / "AUCoding/AU_OCC/F024_T1.csv")
    (tmp_path / "F001").rename(tmp_path / "F024")
    with pytest.raises(ValueError, match="no fold is published for F024"):
        index_bp4d(tmp_path)
    with pytest.raises(FileNotFoundError, match="AU_OCC"):
        index_bp4d(tmp_path / "nowhere")


def test_bp4d_names_what_is_missing_and_extra(tmp_path):
    write_bp4d(tmp_path)
    (tmp_path / "F001/T1/0020.jpg").unlink()
    write_image(tmp_path / "F002/T1/9999.jpg")
    (tmp_path / "F002/T1/notes.txt").write_text("")
    (tmp_path / "AUCoding/AU_OCC/readme.csv").write_text("")
    write_image(tmp_path / "F002/T5/1.jpg")
    write_image(tmp_path / "F002/T9/1.jpg")
    index = index_bp4d(tmp_path)
    assert index.missing == ["F001/T1 frame 20"] and index.unlabelled_frames == 1
    assert {name.rsplit("/", 1)[1] for name in index.extra} == {"readme.csv", "notes.txt", "T9"}
    assert index.unlabelled == ["F002/T5"]
    message = "\n".join(index.warnings())
    assert "subjects: expected 41, found 6" in message and "frames of fold P1: expected 50631, found 7" in message


@pytest.mark.parametrize("part", ["P1", "P2", "P3"])
@pytest.mark.parametrize("selection", ["val", "last"])
def test_a_bp4d_part_tests_and_the_others_train(tmp_path, part, selection):
    write_bp4d(tmp_path)
    data = loaded(BP4D, index_bp4d(tmp_path), tmp_path / "m.csv", fold=part, selection=selection)
    train, val, test = (set(data.faces.subjects[rows]) for rows in data.splits)
    assert test == {"P1": {"F001", "F002"}, "P2": {"F003", "F005"}, "P3": {"F004", "F006"}}[part]
    assert train.isdisjoint(val) and not (train | val) & test
    assert len(train | val) == 4 and bool(val) == (selection == "val")
    assert data.origin() == {"people": "bp4d", "subjects": sorted(train | val), "alignment": None,
                             "selection": selection}  # fmt: skip


def test_a_subject_in_two_parts_is_refused(tmp_path):
    write_bp4d(tmp_path)
    path = tmp_path / "m.csv"
    write_manifest(index_bp4d(tmp_path), path)
    path.write_text(path.read_text().replace(",P1,", ",P2,", 1))
    with pytest.raises(ValueError, match="one fold; got several for F001"):
        BP4D(path).setup("fit")
    with pytest.raises(ValueError, match="expected a manifest of disfa; got one of bp4d"):
        DISFA(path).setup("fit")
    with pytest.raises(FileNotFoundError, match="data check"):
        BP4D(tmp_path / "other.csv").setup("fit")


def test_bp4d_images_that_are_one_off_are_refused(tmp_path):
    """BP4D numbers its images like its codes."""
    write_bp4d(tmp_path)
    for n in range(20, 24):
        (tmp_path / f"F001/T1/{n:04d}.jpg").rename(tmp_path / f"F001/T1/{n - 1:04d}.jpg")
    with pytest.raises(ValueError, match=r"F001/T1 \(images 19 to 22, frames 20 to 23 coded\): .* off by one"):
        index_bp4d(tmp_path)


def test_codes_without_a_row_are_no_codes(tmp_path):
    write_bp4d(tmp_path)
    write_coding(tmp_path / "AUCoding/AU_OCC/F001_T1.csv", {})
    assert index_bp4d(tmp_path).unlabelled == ["F001/T1"]


def test_a_folder_that_is_named_like_an_image_is_none(tmp_path):
    write_bp4d(tmp_path)
    (tmp_path / "F001" / "T1" / "0009.jpg").mkdir()
    index = index_bp4d(tmp_path)
    assert index.unlabelled_frames == 0 and not index.extra
