"""BP4D, BP4D+ and DISFA in their true layouts, with every trap that is known of them."""

from itertools import combinations

import numpy as np
import pytest

from sma_models.data import BP4D, DISFA, UNKNOWN, BP4DPlus
from sma_models.data.databases import bp4d as bp4d_file
from sma_models.data.databases import bp4dplus as bp4dplus_file
from sma_models.data.databases import disfa as disfa_file
from sma_models.data.databases.au_occurrence import read_occurrence
from sma_models.data.databases.bp4d import list_bp4d
from sma_models.data.databases.bp4dplus import list_bp4dplus
from sma_models.data.databases.disfa import list_disfa
from sma_models.data.manifest import write_manifest
from tests.helpers.database_copies import (
    BP4D_UNITS,
    hide,
    loaded,
    write_bp4d,
    write_bp4dplus,
    write_coding,
    write_disfa,
    write_image,
)


def test_published_parts_share_nobody():
    bp4d = [set(subjects.split()) for subjects in bp4d_file.PARTS.values()]
    disfa = [set(numbers) for numbers in disfa_file.PARTS.values()]
    for parts in (bp4d, disfa):
        assert all(a.isdisjoint(b) for a, b in combinations(parts, 2))
    assert set.union(*bp4d) == {f"F{n:03d}" for n in range(1, 24)} | {f"M{n:03d}" for n in range(1, 19)}
    assert set.union(*disfa) == set(range(1, 33)) - {14, 15, 19, 20, 22}
    assert [len(part) for part in bp4d] == [14, 14, 13]
    assert sum(bp4d_file.EXPECTED[f"frames of fold {part}"] for part in bp4d_file.PARTS) == 146847


def test_published_shares_and_the_score_of_a_constant_guess_agree():
    shares = [bp4d_file.EXPECTED[f"AU{unit}, share of positives"] for unit in BP4D_UNITS]
    assert np.mean([2 * share / (1 + share) for share in shares]) == pytest.approx(0.480, abs=0.001)


def test_positives_are_those_that_are_scored(tmp_path):
    """DISFA's from intensity 2 on, BP4D's among what could be coded; beside them what is published."""
    write_disfa(tmp_path / "disfa", frames=5, level=lambda unit, n: n if unit == 4 else int(unit == 1))
    listing = list_disfa(tmp_path / "disfa")
    counts = listing.counts()
    assert counts["AU4 positive from 2 on"] == 4 * 6 and counts["AU4, share of positives"] == 0.8
    assert counts["AU1 positive from 2 on"] == counts["AU1, share of positives"] == 0
    # One of eight at F1 = 2·0.8/1.8.
    assert counts["mean F1 of calling every action unit present"] == round(2 * 0.8 / 1.8 / 8, 3)
    told = listing.warnings()
    assert "AU25, share of positives: expected 0.28, found 0.0" in told
    assert "mean F1 of calling every action unit present: expected 0.187, found 0.111" in told
    write_bp4d(tmp_path / "bp4d", subjects=("F001",))
    rows = {20: {1: 1, 2: 9}, 21: {1: 0, 2: 1}, 22: {1: 0, 2: 9}, 23: {1: 1, 2: 0}}
    write_coding(tmp_path / "bp4d/AUCoding/AU_OCC/F001_T1.csv", rows)
    counts = list_bp4d(tmp_path / "bp4d").counts()
    assert [counts[f"AU{unit} positive"] for unit in (1, 2, 4)] == [2, 1, 0]
    assert [counts[f"AU{unit} unknown"] for unit in (1, 2, 4)] == [0, 2, 0]
    assert [counts[f"AU{unit}, share of positives"] for unit in (1, 2, 4)] == [0.5, 0.5, 0]


def test_a_share_is_as_published_within_its_rounding(tmp_path):
    write_bp4d(tmp_path, frames=100)
    rows = {frame: dict.fromkeys(BP4D_UNITS, int(frame < 41)) for frame in range(20, 120)}
    for coding in (tmp_path / "AUCoding/AU_OCC").iterdir():
        write_coding(coding, rows)
    told = [warning.partition(":")[0] for warning in list_bp4d(tmp_path).warnings() if "share" in warning]
    # Each is 0.21: what is published as 0.21, 0.20 or 0.17.
    assert "AU1, share of positives" not in told and "AU4, share of positives" not in told
    assert "AU2, share of positives" in told


def test_pictures_beside_the_coded_window_are_counted_and_no_surprise(tmp_path):
    write_bp4d(tmp_path)
    for n in range(50, 60):
        write_image(tmp_path / f"F001/T1/{n:04d}.jpg")
    listing = list_bp4d(tmp_path)
    assert listing.counts()["pictures outside of what is coded"] == 10
    assert not any("without a label" in told or "outside" in told for told in listing.warnings())


def test_bp4d_reads_columns_by_name(tmp_path):
    cells = {unit: place % 2 for place, unit in enumerate(BP4D_UNITS)}
    write_coding(tmp_path / "plain.csv", {7: cells})
    write_coding(tmp_path / "permuted.csv", {7: cells}, (99, *reversed(BP4D_UNITS), 5))
    for name in ("plain.csv", "permuted.csv"):
        assert read_occurrence(tmp_path / name) == {7: tuple(place % 2 for place in range(12))}


def test_bp4d_nines_are_unknown(tmp_path):
    write_bp4d(tmp_path)
    write_coding(tmp_path / "AUCoding/AU_OCC/F003_T1.csv", {20: {1: 9, 2: 1}, 21: dict.fromkeys(BP4D_UNITS, 9)})
    data = loaded(BP4D, list_bp4d(tmp_path), tmp_path / "bp4d.csv", fold="P2", image_size=28, num_workers=0)
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
    listing = list_bp4d(tmp_path)
    assert len(listing.samples) == 24 and not listing.missing
    for sample in listing.samples:
        assert int(sample.image.stem) == sample.frame and len(sample.image.stem) == padding


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("0,1,2", "frame,1,2", "header of 0"),
        ("0,1,2,4", "0,1,2,3", "AU 4"),
        ("20,0", "20,5", r"line 2.*'5'"),
        # Digits to Python, of which `int` makes nothing.
        ("0,1,2", "0,1,²", "header of 0"),
        ("\n20,", "\n2²,", "line 2: expected a frame number.*2²"),
        ("20,0", "20", "line 2: expected 13 cells"),
        ("\n21,", "\n20,", "frame 20 is there twice"),
    ],
)
def test_bp4d_refuses_odd_codes(tmp_path, old, new, told):
    write_bp4d(tmp_path)
    coding = tmp_path / "AUCoding/AU_OCC/F001_T1.csv"
    coding.write_text(coding.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=told):
        list_bp4d(tmp_path)


def test_pictures_of_one_frame_are_left_out_and_named(tmp_path):
    write_bp4d(tmp_path)
    write_image(tmp_path / "F001/T1/020.jpg")
    listing = list_bp4d(tmp_path)
    assert listing.extra == [f"{tmp_path / 'F001/T1'}, frame 20 more than once: 0020.jpg, 020.jpg"]
    assert listing.missing == ["F001/T1 frame 20"] and len(listing.samples) == 23


@pytest.mark.parametrize("line", ["\n", "\n\n\n", "  \n", ",,,,,,,,,,,,\n", "\r\n"])
def test_empty_lines_of_codes_do_no_harm(tmp_path, line):
    write_bp4d(tmp_path)
    coding = tmp_path / "AUCoding/AU_OCC/F001_T1.csv"
    intact = read_occurrence(coding)
    coding.write_text(coding.read_text() + line)
    assert read_occurrence(coding) == intact
    coding.write_text(coding.read_text().replace("\n", "\n" + line, 2))
    assert read_occurrence(coding) == intact


def test_hidden_files_are_none_of_a_database(tmp_path):
    """As macOS leaves them on disks of other systems."""
    write_bp4d(tmp_path / "bp4d")
    write_bp4dplus(tmp_path / "bp4dplus", frames=9)
    write_disfa(tmp_path / "disfa")
    hide(tmp_path)
    for listing in (list_bp4d(tmp_path / "bp4d"), list_disfa(tmp_path / "disfa"), list_bp4dplus(tmp_path / "bp4dplus"),
                    list_bp4dplus(tmp_path / "bp4dplus", label="task")):  # fmt: skip
        assert listing.samples and not listing.extra and not listing.missing and not listing.unlabelled


@pytest.mark.parametrize("file", ["bp4d/AUCoding/AU_OCC/F001_T1.csv", "disfa/ActionUnit_Labels/SN001/SN001_au1.txt"])
def test_labels_that_are_no_text_are_named(tmp_path, file):
    write_bp4d(tmp_path / "bp4d")
    write_disfa(tmp_path / "disfa")
    (tmp_path / file).write_bytes(b"0,1\xff\xfe\x00")
    with pytest.raises(ValueError, match=f"{file}, line 1: expected UTF-8 text"):
        list_bp4d(tmp_path / "bp4d")
        list_disfa(tmp_path / "disfa")


def test_bp4d_refuses_strangers(tmp_path):
    write_bp4d(tmp_path)
    (tmp_path / "AUCoding/AU_OCC/F001_T1.csv").rename(tmp_path / "AUCoding/AU_OCC/F024_T1.csv")
    (tmp_path / "F001").rename(tmp_path / "F024")
    with pytest.raises(ValueError, match="no part belongs to F024"):
        list_bp4d(tmp_path)
    with pytest.raises(FileNotFoundError, match="AU_OCC"):
        list_bp4d(tmp_path / "nowhere")


def test_bp4d_names_what_is_missing_and_extra(tmp_path):
    write_bp4d(tmp_path)
    (tmp_path / "F001/T1/0020.jpg").unlink()
    write_image(tmp_path / "F002/T1/9999.jpg")
    (tmp_path / "F002/T1/notes.txt").write_text("")
    (tmp_path / "AUCoding/AU_OCC/readme.csv").write_text("")
    write_image(tmp_path / "F002/T5/1.jpg")
    write_image(tmp_path / "F002/T9/1.jpg")
    listing = list_bp4d(tmp_path)
    assert listing.missing == ["F001/T1 frame 20"] and listing.unlabelled_frames == 1
    assert {name.rsplit("/", 1)[1] for name in listing.extra} == {"readme.csv", "notes.txt", "T9"}
    assert listing.unlabelled == ["F002/T5"]
    told = "\n".join(listing.warnings())
    assert "subjects: expected 41, found 6" in told and "frames of fold P1: expected 50631, found 7" in told


@pytest.mark.parametrize("part", ["P1", "P2", "P3"])
@pytest.mark.parametrize("selection", ["val", "last"])
def test_a_bp4d_part_tests_and_the_others_train(tmp_path, part, selection):
    write_bp4d(tmp_path)
    data = loaded(BP4D, list_bp4d(tmp_path), tmp_path / "m.csv", fold=part, selection=selection)
    train, val, test = (set(data.faces.subjects[rows]) for rows in data.splits)
    assert test == {"P1": {"F001", "F002"}, "P2": {"F003", "F005"}, "P3": {"F004", "F006"}}[part]
    assert train.isdisjoint(val) and not (train | val) & test
    assert len(train | val) == 4 and bool(val) == (selection == "val")
    assert data.origin() == {"people": "bp4d", "subjects": sorted(train | val), "alignment": None,
                             "selection": selection}  # fmt: skip


def test_a_subject_in_two_parts_is_refused(tmp_path):
    write_bp4d(tmp_path)
    path = tmp_path / "m.csv"
    write_manifest(list_bp4d(tmp_path), path)
    path.write_text(path.read_text().replace(",P1,", ",P2,", 1))
    with pytest.raises(ValueError, match="more than one fold: subjects F001"):
        BP4D(path).setup("fit")
    with pytest.raises(ValueError, match="expected a manifest of disfa; got one of bp4d"):
        DISFA(path).setup("fit")
    with pytest.raises(FileNotFoundError, match="data check"):
        BP4D(tmp_path / "other.csv").setup("fit")


PATTERNS = (
    "{subject}/{n}.png",
    "{subject}/{subject}_{n}.png",
    "{subject}/{n:05d}.jpg",
    "Video_LeftCamera/LeftVideo{subject}_comp/{n:05d}.jpg",
)


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_disfa_patterns_and_bases(tmp_path, pattern, base):
    write_disfa(tmp_path, pattern=pattern, base=base, frames=12, level=lambda unit, n: n % 6)
    listing = list_disfa(tmp_path)
    assert len(listing.samples) == 72 and not listing.missing
    for sample in listing.samples:
        assert int(sample.image.stem.rpartition("_")[2]) - base == sample.frame - 1
        assert sample.labels == (sample.frame % 6,) * 8


def test_disfa_base_must_be_proved(tmp_path):
    write_disfa(tmp_path)
    (tmp_path / "SN001/0.png").unlink()
    with pytest.raises(ValueError, match=r"SN001: expected pictures 0 to 3 or 1 to 4.*got 1 to 3"):
        list_disfa(tmp_path)
    write_image(tmp_path / "SN001/0.png")
    write_image(tmp_path / "SN001/4.png")
    with pytest.raises(ValueError, match="got 0 to 4"):
        list_disfa(tmp_path)


def test_disfa_missing_frame_or_file(tmp_path):
    write_disfa(tmp_path)
    (tmp_path / "SN001/1.png").unlink()
    write_image(tmp_path / "SN033/0.png")
    listing = list_disfa(tmp_path)
    assert listing.missing == ["SN001 frame 1"] and listing.unlabelled == ["SN033"]
    (tmp_path / "ActionUnit_Labels/SN002/SN002_au26.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"SN002_au26\.txt"):
        list_disfa(tmp_path)


@pytest.mark.parametrize("text", ["1,0\n2,6\n", "0,0\n1,0\n", "1,0\n3,0\n", "1,0\n", ""])
def test_disfa_refuses_odd_intensities(tmp_path, text):
    write_disfa(tmp_path, frames=2)
    (tmp_path / "ActionUnit_Labels/SN002/SN002_au12.txt").write_text(text)
    with pytest.raises(ValueError, match=r"SN002_au12\.txt"):
        list_disfa(tmp_path)


def test_disfa_threshold_and_units_by_name(tmp_path):
    write_disfa(tmp_path, level=lambda unit, n: {25: 2, 4: 1}.get(unit, 0) if n % 2 else 5)
    data = loaded(DISFA, list_disfa(tmp_path), tmp_path / "m.csv")
    assert data.faces.regions == tuple(f"AU{unit}" for unit in (1, 2, 4, 6, 9, 12, 25, 26))
    odd = data.faces.frames % 2 == 1
    assert (data.faces.labels[odd] == np.array([0, 0, 0, 0, 0, 0, 1, 0])).all()
    lower = loaded(DISFA, list_disfa(tmp_path), tmp_path / "m.csv", au_threshold=1)
    assert (lower.faces.labels[odd][:, 2] == 1).all()


def test_disfa_cameras(tmp_path):
    for view in ("Left", "Right"):
        write_disfa(tmp_path, pattern="Video_" + view + "Camera/" + view + "Video{subject}_comp/{n}.png")
    assert {sample.sequence[6:] for sample in list_disfa(tmp_path).samples} == {"left"}
    both = list_disfa(tmp_path, camera="both")
    assert len(both.samples) == 48 and both.settings == {"camera": "both"}
    write_image(tmp_path / "SN001/0.png")
    with pytest.raises(ValueError, match="SN001 is there twice"):
        list_disfa(tmp_path)


def test_disfa_videos_ask_for_pictures(tmp_path):
    write_disfa(tmp_path)
    (tmp_path / "SN001").rename(tmp_path / "kept")
    (tmp_path / "Video_LeftCamera").mkdir()
    (tmp_path / "Video_LeftCamera/LeftVideoSN001_comp.avi").write_bytes(b"x")
    assert "sma-net align" in list_disfa(tmp_path).missing[0]


def test_bp4dplus_codes(tmp_path):
    write_bp4dplus(tmp_path, frames=9)
    write_coding(tmp_path / "AUCoding/AU_OCC/F042_T11.csv", {1: {}})
    write_image(tmp_path / "F042/T11/1.jpg")
    (tmp_path / "AUCoding/AU_OCC/M001_T8.csv").unlink()
    listing = list_bp4dplus(tmp_path)
    assert len(listing.samples) == (3 * 4 - 1) * 4
    # Tasks that nobody coded are no gap; the phantom is in the codes and among the pictures.
    assert listing.unlabelled == ["M001/T8"]
    assert all(sample.labels == (sample.frame % 2,) * 12 for sample in listing.samples)
    assert listing.extra == [str(tmp_path / "AUCoding/AU_OCC/F042_T11.csv"), str(tmp_path / "F042/T11")]
    assert len(listing.folds) == 140
    assert [listing.folds[subject] for subject in ("F001", "F003", "M001")] == ["3", "4", "2"]


def test_bp4dplus_parts_are_those_of_the_paper(tmp_path):
    parts = {name: subjects.split() for name, subjects in bp4dplus_file.PARTS.items()}
    assert [len(part) for part in parts.values()] == [35] * 4
    everybody = {f"F{n:03d}" for n in range(1, 83)} | {f"M{n:03d}" for n in range(1, 59)}
    assert set().union(*parts.values()) == everybody
    # Some of the women and men of each published list.
    for name, some in {"1": "M040 F072 M020", "2": "M052 F074", "3": "F029 F068", "4": "M058 F036"}.items():
        assert set(some.split()) <= set(parts[name])
    write_bp4dplus(tmp_path, frames=9)
    data = loaded(BP4DPlus, list_bp4dplus(tmp_path), tmp_path / "m.csv", fold="4", selection="last")
    assert set(data.faces.subjects[data.splits.test]) == {"F003"}


def shown(listing):
    """Labelled frame and number of the picture."""
    return {(sample.frame, int(sample.image.stem)) for sample in listing.samples}


@pytest.mark.parametrize("base", [0, 1])
def test_bp4dplus_pictures_are_counted_from_0_or_from_1(tmp_path, base):
    write_bp4dplus(tmp_path, frames=9, base=base)
    listing = list_bp4dplus(tmp_path)
    assert shown(listing) == {(frame, frame - 1 + base) for frame in range(5, 9)} and not listing.missing
    assert all(sample.labels == (sample.frame % 2,) * 12 for sample in listing.samples)
    assert f"'first_picture': {base}" in loaded(BP4DPlus, listing, tmp_path / "m.csv", fold="all").protocol
    # A folder whose first pictures are lost follows the others.
    for n in range(base, base + 2):
        (tmp_path / f"F001/T1/{n:05d}.jpg").unlink()
    assert shown(list_bp4dplus(tmp_path)) == shown(listing)


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("coded", [range(2, 6), range(1, 5), range(7, 11)])
def test_bp4dplus_pictures_of_coded_frames_only(tmp_path, base, coded):
    write_coding(tmp_path / "AUCoding/AU_OCC/F001_T1.csv", {frame: {} for frame in coded})
    for frame in coded:
        write_image(tmp_path / f"F001/T1/{frame - 1 + base}.jpg")
    assert shown(list_bp4dplus(tmp_path)) == {(frame, frame - 1 + base) for frame in coded}
    with pytest.raises(
        ValueError, match=rf"F001/T1 \(pictures .*: expected frame 1 to be picture {1 - base}; these are one"
    ):
        list_bp4dplus(tmp_path, first_picture=1 - base)


def test_bp4dplus_codes_of_frame_0_count_as_the_pictures_do(tmp_path):
    write_coding(tmp_path / "AUCoding/AU_OCC/F001_T1.csv", {frame: {} for frame in range(4)})
    for n in range(9):
        write_image(tmp_path / f"F001/T1/{n}.jpg")
    assert shown(list_bp4dplus(tmp_path)) == {(frame, frame) for frame in range(4)}


def test_bp4dplus_first_picture_must_be_proved_or_given(tmp_path):
    write_coding(tmp_path / "AUCoding/AU_OCC/F001_T1.csv", {frame: {} for frame in range(5, 9)})
    for n in range(3, 12):
        write_image(tmp_path / f"F001/T1/{n}.jpg")
    with pytest.raises(
        ValueError, match=r"cannot be told: got F001/T1 \(pictures 3 to 11, frames 5 to 8.*--first_picture"
    ):
        list_bp4dplus(tmp_path)
    for base in (0, 1):
        assert shown(list_bp4dplus(tmp_path, first_picture=base)) == {
            (frame, frame - 1 + base) for frame in range(5, 9)
        }
    write_bp4dplus(tmp_path, ("F003",), frames=9, base=0)
    write_bp4dplus(tmp_path, ("M001",), frames=9, base=1)
    with pytest.raises(
        ValueError, match=r"F003/T1 \(pictures 0 to 8, .* says 0 and M001/T1 \(pictures 1 to 9, .* says 1;"
    ):
        list_bp4dplus(tmp_path)


def test_bp4d_pictures_that_are_one_off_are_refused(tmp_path):
    """BP4D's are numbered as its codes are."""
    write_bp4d(tmp_path)
    for n in range(20, 24):
        (tmp_path / f"F001/T1/{n:04d}.jpg").rename(tmp_path / f"F001/T1/{n - 1:04d}.jpg")
    with pytest.raises(ValueError, match=r"F001/T1 \(pictures 19 to 22, frames 20 to 23 coded\): .* one off"):
        list_bp4d(tmp_path)


def test_codes_without_a_row_are_no_codes(tmp_path):
    write_bp4d(tmp_path)
    write_coding(tmp_path / "AUCoding/AU_OCC/F001_T1.csv", {})
    assert list_bp4d(tmp_path).unlabelled == ["F001/T1"]


def test_bp4dplus_tasks(tmp_path):
    write_bp4dplus(tmp_path, frames=30)
    write_image(tmp_path / "F042/T11/1.jpg")
    listing = list_bp4dplus(tmp_path, label="task")
    assert str(tmp_path / "F042/T11") in listing.extra
    assert {sample.sequence for sample in listing.samples} == {"T1", "T2", "T3", "T7", "T9", "T10"}
    assert [sample.frame for sample in listing.samples[:5]] == [6, 10, 14, 18, 22]
    names = {"T1": "happiness", "T2": "surprise", "T3": "sadness", "T7": "fear", "T9": "anger", "T10": "disgust"}
    assert {(s.sequence, s.labels) for s in listing.samples} == set(names.items())
    rest = list_bp4dplus(tmp_path, label="task", tasks=["T4", "T5", "T6", "T8"])
    names = {"T4": "startle", "T5": "skeptical", "T6": "embarrassment", "T8": "pain"}
    assert {(s.sequence, s.labels) for s in rest.samples} == set(names.items())
    other = list_bp4dplus(tmp_path, label="task", tasks=["T4"], task_names={"T4": "fright"}, middle=2, every=1)
    assert [(s.frame, s.labels) for s in other.samples[:2]] == [(15, "fright"), (16, "fright")]
    with pytest.raises(ValueError, match=r"task_names: expected names for some of T1, .*; got t4"):
        list_bp4dplus(tmp_path, label="task", task_names={"t4": "fright"})


def test_folds_of_ones_own(tmp_path):
    write_bp4dplus(tmp_path, frames=9)
    folds = tmp_path / "folds.csv"
    folds.write_text("subject,fold\nF001,a\nF003,b\nM001,a\n")
    assert list_bp4dplus(tmp_path, folds=folds).folds["M001"] == "a"
    for text, told in (
        ("subject,fold\nF001,a\nF003,b\n", "no fold to M001"),
        ("subject,fold\nF001,a\nF001,b\n", "line 3"),
        ("person,fold\n", "expected the columns subject,fold"),
    ):
        folds.write_text(text)
        with pytest.raises(ValueError, match=told):
            list_bp4dplus(tmp_path, folds=folds)


def test_a_folder_that_is_named_like_a_picture_is_none(tmp_path):
    write_bp4d(tmp_path)
    (tmp_path / "F001" / "T1" / "0009.jpg").mkdir()
    listing = list_bp4d(tmp_path)
    assert listing.unlabelled_frames == 0 and not listing.extra
