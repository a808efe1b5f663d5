"""BP4D+ in its original layout: the first number of its images, coded frames, tasks and folds."""

import pytest

from sma_models.data import BP4DPlus
from sma_models.data.databases import bp4dplus as bp4dplus_file
from sma_models.data.databases.bp4dplus import index_bp4dplus
from tests.helpers.database_copies import (
    loaded,
    write_bp4dplus,
    write_coding,
    write_image,
)


def test_bp4dplus_codes(tmp_path):
    write_bp4dplus(tmp_path, frames=9)
    write_coding(tmp_path / "AUCoding/AU_OCC/F042_T11.csv", {1: {}})
    write_image(tmp_path / "F042/T11/1.jpg")
    (tmp_path / "AUCoding/AU_OCC/M001_T8.csv").unlink()
    index = index_bp4dplus(tmp_path)
    assert len(index.samples) == (3 * 4 - 1) * 4
    # Uncoded tasks are not a gap; the phantom has both codes and images.
    assert index.unlabelled == ["M001/T8"]
    assert all(sample.labels == (sample.frame % 2,) * 12 for sample in index.samples)
    assert index.extra == [str(tmp_path / "AUCoding/AU_OCC/F042_T11.csv"), str(tmp_path / "F042/T11")]
    assert len(index.folds) == 140
    assert [index.folds[subject] for subject in ("F001", "F003", "M001")] == ["3", "4", "2"]


def test_bp4dplus_parts_are_those_of_the_paper(tmp_path):
    parts = {name: subjects.split() for name, subjects in bp4dplus_file.FOLDS.items()}
    assert [len(part) for part in parts.values()] == [35] * 4
    everybody = {f"F{n:03d}" for n in range(1, 83)} | {f"M{n:03d}" for n in range(1, 59)}
    assert set().union(*parts.values()) == everybody
    # Some of the women and men of each published list.
    for name, some in {"1": "M040 F072 M020", "2": "M052 F074", "3": "F029 F068", "4": "M058 F036"}.items():
        assert set(some.split()) <= set(parts[name])
    write_bp4dplus(tmp_path, frames=9)
    data = loaded(BP4DPlus, index_bp4dplus(tmp_path), tmp_path / "m.csv", fold="4", selection="last")
    assert set(data.faces.subjects[data.splits.test]) == {"F003"}


def shown(index):
    """The labelled frame and the number of its image."""
    return {(sample.frame, int(sample.image.stem)) for sample in index.samples}


@pytest.mark.parametrize("base", [0, 1])
def test_bp4dplus_images_are_counted_from_0_or_from_1(tmp_path, base):
    write_bp4dplus(tmp_path, frames=9, base=base)
    index = index_bp4dplus(tmp_path)
    assert shown(index) == {(frame, frame - 1 + base) for frame in range(5, 9)} and not index.missing
    assert all(sample.labels == (sample.frame % 2,) * 12 for sample in index.samples)
    assert f"'first_picture': {base}" in loaded(BP4DPlus, index, tmp_path / "m.csv", fold="all").protocol
    # A folder without its first images is numbered like the others.
    for n in range(base, base + 2):
        (tmp_path / f"F001/T1/{n:05d}.jpg").unlink()
    assert shown(index_bp4dplus(tmp_path)) == shown(index)


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("coded", [range(2, 6), range(1, 5), range(7, 11)])
def test_bp4dplus_images_of_coded_frames_only(tmp_path, base, coded):
    write_coding(tmp_path / "AUCoding/AU_OCC/F001_T1.csv", {frame: {} for frame in coded})
    for frame in coded:
        write_image(tmp_path / f"F001/T1/{frame - 1 + base}.jpg")
    assert shown(index_bp4dplus(tmp_path)) == {(frame, frame - 1 + base) for frame in coded}
    with pytest.raises(ValueError, match=rf"F001/T1 \(images .*: expected frame 1 to be image {1 - base}; the numbers"):
        index_bp4dplus(tmp_path, first_image=1 - base)


def test_bp4dplus_codes_of_frame_0_count_as_the_images_do(tmp_path):
    write_coding(tmp_path / "AUCoding/AU_OCC/F001_T1.csv", {frame: {} for frame in range(4)})
    for n in range(9):
        write_image(tmp_path / f"F001/T1/{n}.jpg")
    assert shown(index_bp4dplus(tmp_path)) == {(frame, frame) for frame in range(4)}


def test_bp4dplus_first_image_must_be_proved_or_given(tmp_path):
    write_coding(tmp_path / "AUCoding/AU_OCC/F001_T1.csv", {frame: {} for frame in range(5, 9)})
    for n in range(3, 12):
        write_image(tmp_path / f"F001/T1/{n}.jpg")
    with pytest.raises(ValueError, match=r"is ambiguous: got F001/T1 \(images 3 to 11, frames 5 to 8.*--first_image"):
        index_bp4dplus(tmp_path)
    for base in (0, 1):
        assert shown(index_bp4dplus(tmp_path, first_image=base)) == {(frame, frame - 1 + base) for frame in range(5, 9)}
    write_bp4dplus(tmp_path, ("F003",), frames=9, base=0)
    write_bp4dplus(tmp_path, ("M001",), frames=9, base=1)
    expected = r"F003/T1 \(images 0 to 8, .* indicates 0 and M001/T1 \(images 1 to 9, .* indicates 1;"
    with pytest.raises(ValueError, match=expected):
        index_bp4dplus(tmp_path)


def test_bp4dplus_tasks(tmp_path):
    write_bp4dplus(tmp_path, frames=30)
    write_image(tmp_path / "F042/T11/1.jpg")
    index = index_bp4dplus(tmp_path, label="task")
    assert str(tmp_path / "F042/T11") in index.extra
    assert {sample.sequence for sample in index.samples} == {"T1", "T2", "T3", "T7", "T9", "T10"}
    assert [sample.frame for sample in index.samples[:5]] == [6, 10, 14, 18, 22]
    names = {"T1": "happiness", "T2": "surprise", "T3": "sadness", "T7": "fear", "T9": "anger", "T10": "disgust"}
    assert {(s.sequence, s.labels) for s in index.samples} == set(names.items())
    rest = index_bp4dplus(tmp_path, label="task", tasks=["T4", "T5", "T6", "T8"])
    names = {"T4": "startle", "T5": "skeptical", "T6": "embarrassment", "T8": "pain"}
    assert {(s.sequence, s.labels) for s in rest.samples} == set(names.items())
    other = index_bp4dplus(tmp_path, label="task", tasks=["T4"], task_names={"T4": "fright"}, middle=2, every=1)
    assert [(s.frame, s.labels) for s in other.samples[:2]] == [(15, "fright"), (16, "fright")]
    with pytest.raises(ValueError, match=r"task_names: expected names for some of T1, .*; got t4"):
        index_bp4dplus(tmp_path, label="task", task_names={"t4": "fright"})


def test_folds_of_ones_own(tmp_path):
    write_bp4dplus(tmp_path, frames=9)
    folds = tmp_path / "folds.csv"
    folds.write_text("subject,fold\nF001,a\nF003,b\nM001,a\n")
    assert index_bp4dplus(tmp_path, folds=folds).folds["M001"] == "a"
    for text, message in (
        ("subject,fold\nF001,a\nF003,b\n", "no fold for M001"),
        ("subject,fold\nF001,a\nF001,b\n", "line 3"),
        ("person,fold\n", "expected the columns subject,fold"),
    ):
        folds.write_text(text)
        with pytest.raises(ValueError, match=message):
            index_bp4dplus(tmp_path, folds=folds)
