"""`sma-net align`: crops of folders and videos, transforms borrowed for frames without a face, and resumed runs."""

import csv

import cv2
import numpy as np
import pytest

from sma_models.cli import main
from sma_models.data.alignment import EYES, center_crop, similarity
from sma_models.data.alignment_table import FrameTransforms
from sma_models.faces.detect import Cascade, largest
from sma_models.faces.sources import Video
from tests.helpers.database_copies import hide
from tests.helpers.face_images import drawn, moved, write_video


def row(frame, detected, sequence="s", x=10.0):
    points = f"{x} 20 {x + 30} 20" if detected else "64x48"
    return {"frame": str(frame), "found": str(int(detected)), "sequence": sequence, "points": points, "problem": ""}


def transforms_of(rows):
    transforms = FrameTransforms(rows, "eyes")
    return [transforms.of(row) for row in rows]


def test_frames_without_a_face_borrow_the_nearest_within_reach():
    rows = [row(0, True, x=1), row(5, False), row(9, True, x=2), row(24, False), row(25, False),
            row(6, False, "other"), row(4, False), row(-1, False)]  # fmt: skip
    shift = [transform[0, 2] for transform in transforms_of(rows)]
    centre = center_crop(48, 64)[0, 2]
    assert shift[1] == shift[2] == shift[3] and shift[6] == shift[0] != shift[2]
    assert shift[4] == shift[5] == shift[7] == centre
    assert transforms_of([{**row(1, False), "problem": "unreadable"}]) == [None]
    # Of two equally near frames, the earlier one, whatever their order in the file.
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0)):
        three = [row(0, True, x=1), row(2, True, x=2), row(1, False)]
        even = dict(zip(order, transforms_of([three[index] for index in order]), strict=True))
        assert (even[2] == even[0]).all() and (even[2] != even[1]).any()


def test_rows_lend_whatever_their_order():
    known = [row(number, True, x=number) for number in range(0, 200, 20)]
    wanted = [row(number, False) for number in range(196)]
    expected = [transform[0, 2] for transform in transforms_of([*known, *wanted])[10:]]
    assert len(set(expected)) == 10
    mixed = [known[index] for index in np.random.default_rng(0).permutation(10)]
    assert [transform[0, 2] for transform in transforms_of([*mixed, *wanted])[10:]] == expected


@pytest.fixture
def folder(tmp_path):
    """Five frames of one synthetic face, the third without a face; an empty file, a broken file and a text file."""
    source = tmp_path / "in" / "person"
    source.mkdir(parents=True)
    image, _ = drawn(0)
    for number in range(8, 13):
        photo = moved(image, 2, 0.8, (50, 60))[0] if number != 10 else np.full((400, 480, 3), 128, np.uint8)
        cv2.imwrite(str(source / f"{number}.png"), photo[..., ::-1])
    (source / "13.png").write_bytes(b"")
    (source / "14.png").write_bytes(b"no image")
    (source / "note.txt").write_text("")
    return tmp_path


def report(folder):
    with (folder / "alignment.csv").open() as file:
        return {row["source"]: row for row in csv.DictReader(file)}


def test_a_photograph_is_named_without_a_frame(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/0007.png"), np.full((64, 64, 3), 120, np.uint8))
    main(["align", str(tmp_path / "in"), str(tmp_path / "out"), "--independent-images"])
    assert "0007.png: no face detected" in capsys.readouterr().out


def test_align_command(folder, capsys):
    main(["align", str(folder / "in"), str(folder / "out"), "--workers", "2"])
    printed = capsys.readouterr().out
    assert "4 aligned, 1 no face, 2 unreadable" in printed
    assert "person/13.png frame 13: the file is empty" in printed and "person/14.png" in printed
    rows = report(folder / "out")
    assert [rows[f"person/{n}.png"]["found"] for n in range(8, 15)] == list("1101100")
    crops = {path.name: cv2.imread(str(path)) for path in (folder / "out/person").iterdir()}
    assert set(crops) == {f"{n}.jpg" for n in range(8, 13)}
    assert all(crop.shape == (256, 256, 3) for crop in crops.values())
    face = largest(Cascade()(crops["8.jpg"][..., ::-1].copy()))
    assert np.linalg.norm(face.points - EYES, axis=1).max() < 6.8
    # The frame without a face is all grey, cropped by a neighbour's transform.
    assert np.ptp(crops["10.jpg"]) <= 2


def interrupt_detection(monkeypatch, call):
    """Records the calls of the cascade; the call with this number raises KeyboardInterrupt."""
    calls = []
    detect = Cascade.__call__

    def counted(self, image):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return detect(self, image)

    monkeypatch.setattr(Cascade, "__call__", counted)
    return calls


def test_align_goes_on_where_it_stopped(folder, monkeypatch):
    arguments = ["align", str(folder / "in"), str(folder / "out"), "--workers", "1"]
    calls = interrupt_detection(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    # A row that was only partly written at the interruption.
    done = report(folder / "out")
    with (folder / "out/alignment.csv").open("a") as file:
        file.write("person/1")
    calls[:] = [1] * 10
    main(arguments)
    assert len(done) + len(calls) - 10 == 5
    assert len(report(folder / "out")) == 7 and (folder / "out/person/12.jpg").is_file()
    modified = (folder / "out/person/8.jpg").stat().st_mtime_ns
    (folder / "out/person/9.jpg").unlink()
    main(arguments)
    assert (folder / "out/person/8.jpg").stat().st_mtime_ns == modified and (folder / "out/person/9.jpg").is_file()
    (folder / "points.csv").write_text("image,left_eye_x,left_eye_y,right_eye_x,right_eye_y\n")
    with pytest.raises(ValueError, match="was created with"):
        main([*arguments, "--points", str(folder / "points.csv")])


def test_hidden_files_are_not_aligned(folder):
    """As created by macOS on disks of other systems."""
    hide(folder / "in")
    main(["align", str(folder / "in"), str(folder / "out"), "--workers", "1"])
    assert set(report(folder / "out")) == {f"person/{n}.png" for n in range(8, 15)}


def test_unrelated_images_borrow_nothing(folder):
    main(["align", str(folder / "in"), str(folder / "out"), "--independent-images"])
    image = cv2.imread(str(folder / "in/person/10.png"))
    crop = cv2.imread(str(folder / "out/person/10.jpg"))
    assert crop.shape == (256, 256, 3) and abs(int(crop[0, 0, 0]) - int(image[0, 0, 0])) < 3
    assert report(folder / "out")["person/10.png"]["found"] == "0"


def test_align_refuses_what_would_collide(folder):
    cv2.imwrite(str(folder / "in/person/8.jpg"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match=r"8\.jpg and .*8\.png would both become"):
        main(["align", str(folder / "in"), str(folder / "out")])
    for out in ("in", "in/crops"):
        with pytest.raises(ValueError, match="outside the image folder"):
            main(["align", str(folder / "in"), str(folder / out)])


def test_a_template_of_three_points_wants_a_detector_of_three(folder):
    with pytest.raises(ValueError, match=r"'eyes_nose' needs 3 points per face; cascade gives 2"):
        main(["align", str(folder / "in"), str(folder / "out"), "--template", "eyes_nose"])
    assert not (folder / "out").exists()


def test_crops_are_stored_at_quality_95(folder):
    main(["align", str(folder / "in"), str(folder / "out")])
    stored = (folder / "out/person/8.jpg").read_bytes()
    crop = cv2.imread(str(folder / "out/person/8.jpg"))
    # Encoded again at quality 95 it has the same size, unlike at 90 or 100.
    sizes = {q: len(cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, q])[1]) for q in (90, 95, 100)}
    assert min(sizes, key=lambda quality: abs(sizes[quality] - len(stored))) == 95


def test_images_that_are_added_later_are_lent_to(folder):
    """Rows are in order of processing; the neighbour that a frame borrows from depends on its number."""
    person = folder / "in/person"
    late = {name: (person / name).read_bytes() for name in ("9.png", "8.png")}
    for name in late:
        (person / name).unlink()
    arguments = ["align", str(folder / "in"), str(folder / "out")]
    main(arguments)
    (folder / "out/person/10.jpg").unlink()
    for name, data in late.items():
        (person / name).write_bytes(data)
    main(arguments)
    assert [row["source"] for row in csv.DictReader((folder / "out/alignment.csv").open())][-2:] == [
        "person/8.png",
        "person/9.png",
    ]
    # Its nearest frames are 9 and 11: it borrows from 9, although that was added later.
    image = cv2.imread(str(person / "9.png"), cv2.IMREAD_COLOR_RGB)
    face = largest(Cascade()(image))
    transforms = FrameTransforms(csv.DictReader((folder / "out/alignment.csv").open()), "eyes")
    borrowed = transforms.of(report(folder / "out")["person/10.png"])
    np.testing.assert_allclose(borrowed, similarity(face.points, "eyes"), atol=0.01)


def test_align_a_video(tmp_path):
    image, _ = drawn(1)
    photos = [moved(image, 0, 0.6, (shift, 20), (260, 320))[0] for shift in range(0, 30, 10)]
    write_video(tmp_path / "LeftVideoSN001_comp.avi", photos)
    main(["align", str(tmp_path / "LeftVideoSN001_comp.avi"), str(tmp_path / "out")])
    crops = sorted((tmp_path / "out/LeftVideoSN001_comp").iterdir())
    assert [path.name for path in crops] == [f"{n:05d}.jpg" for n in range(3)]
    a, b = (cv2.imread(str(path)).astype(int)[60:200, 60:200] for path in crops[::2])
    # The face moved by 20 pixels in the video, and not in the crops.
    assert np.abs(a - b).mean() < 12
    assert [frame.time for frame in Video(tmp_path / "LeftVideoSN001_comp.avi")] == pytest.approx([0, 0.1, 0.2])


def test_a_video_goes_on_where_it_stopped(tmp_path, monkeypatch):
    """A second video and an unreadable one follow; no frame is processed twice."""
    image, _ = drawn(1)
    photos = [moved(image, 0, 0.6, (shift, 20), (260, 320))[0] for shift in range(0, 50, 10)]
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.avi", photos)
    write_video(tmp_path / "in/b.avi", photos[:2])
    (tmp_path / "in/c.avi").write_bytes(b"broken")
    arguments = ["align", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "1"]
    calls = interrupt_detection(monkeypatch, 4)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    with (tmp_path / "out/alignment.csv").open() as file:
        done = list(csv.DictReader(file))
    assert 0 < len(done) < 5
    calls[:] = [1] * 10
    main(arguments)
    assert len(calls) - 10 == 7 - len(done)
    with (tmp_path / "out/alignment.csv").open() as file:
        rows = [(row["source"], row["frame"]) for row in csv.DictReader(file)]
    assert rows == [*(("a.avi", str(n)) for n in range(5)), ("b.avi", "0"), ("b.avi", "1"), ("c.avi", "")]
    crops = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.jpg"))
    assert crops == [*(f"a/{n:05d}.jpg" for n in range(5)), "b/00000.jpg", "b/00001.jpg"]
    content = (tmp_path / "out/a/00002.jpg").read_bytes()
    (tmp_path / "out/a/00002.jpg").unlink()
    main(arguments)
    assert (tmp_path / "out/a/00002.jpg").read_bytes() == content and len(calls) - 10 == 7 - len(done)


def test_a_source_without_a_frame_fails(tmp_path):
    """The exit status is that of `sma-net predict`."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.jpg").write_text("none")
    with pytest.raises(ValueError, match=r"^nothing could be read from .*photos$"):
        main(["align", str(tmp_path / "photos"), str(tmp_path / "crops")])
