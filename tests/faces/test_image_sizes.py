"""Sizes and coordinates from files: none allocates more memory than its image needs, and boxes without image are reported."""

import csv
import tracemalloc

import cv2
import numpy as np
import pytest

from sma_models.cli import main
from sma_models.data.csv_table import CSVTable
from sma_models.data.images import frame_number, share_inside, square, whole_square
from sma_models.faces.detect import Points
from tests.helpers.database_copies import write_bp4d
from tests.helpers.face_images import drawn, save
from tests.helpers.face_sets import loaded, write_csv, write_image

BOX = ("x", "y", "width", "height")


def boxed(folder, *boxes, size=(60, 100)):
    """A CSV file of one image, 100 wide and 60 high, with a row for each box."""
    write_image(folder / "p.png", (200, 30, 30), size)
    start = {"image": "p.png", "expression": "p", "subject": "a", "split": "train"}
    return write_csv(folder / "faces.csv", [start | dict(zip(BOX, box, strict=True)) for box in boxes])


@pytest.mark.parametrize(
    "box",
    [(200, 10, 40, 40), (-50, 10, 40, 40), (10, 60, 20, 20), (10, -30, 20, 30), (-9950, -9950, 20000, 20000),
     (0, 0, 1e9, 1e9), (0, 0, 1e9, 20), (-1e308, 0, 1e308, 20), (80, 50, 45, 45)],
)  # fmt: skip
def test_a_box_outside_of_its_image_is_named_before_training(tmp_path, box):
    path = boxed(tmp_path, (10, 10, 40, 40), box)
    with pytest.raises(ValueError, match=r"faces\.csv, line 3: the face box .* outside its image of 100 x 60 pixels"):
        loaded(path)
    # The images of a manifest are opened only when needed.
    table = CSVTable(path, check_files=False)
    assert table.image(0, 16).std() > 0
    with pytest.raises(ValueError, match=r"faces\.csv, line 3: the face box"):
        table.image(1, 16)


@pytest.mark.parametrize("box", [(0, 0, 100, 60), (-20, -10, 90, 90), (60, 20, 80, 40), (99, 59, 1, 1)])
def test_a_box_that_exceeds_its_image_a_little_is_cut_out(tmp_path, box):
    assert loaded(boxed(tmp_path, box), selection="last").faces.image(0, 16).shape == (16, 16, 3)


@pytest.mark.parametrize(
    "box", [(0.2, 0.2, 0.5, 0.6), (1, 1, 0, 5), (1, 1, 5, -5), ("nan", 1, 5, 5), ("1e999", 1, 5, 5)]
)
def test_a_box_is_finite_and_in_pixels(tmp_path, box):
    with pytest.raises(ValueError, match=r"line 3: the face box is .*; expected finite numbers of pixels"):
        loaded(boxed(tmp_path, (10, 10, 40, 40), box))


def test_a_box_is_measured_in_the_image_as_it_is_turned(tmp_path):
    """The file is 100 wide and 60 high, and its EXIF data rotate it by 90 degrees."""
    path = boxed(tmp_path, (10, 70, 40, 30))
    data = cv2.imencode(".jpg", np.full((60, 100, 3), 200, np.uint8))[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    (tmp_path / "p.png").rename(tmp_path / "p.jpg")
    (tmp_path / "p.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    path.write_text(path.read_text().replace("p.png", "p.jpg"))
    assert loaded(path, selection="last").faces.image(0, 16).min() > 120


def peak(function):
    """The result of a call, and the peak memory of its arrays in bytes."""
    tracemalloc.start()
    result = function()
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return result, memory


def test_a_square_takes_memory_of_its_image_and_not_of_its_box():
    image = np.full((100, 200, 3), 250, np.uint8)
    whole, memory = peak(lambda: square(image, (-19800.0, -9950.0, 40000.0, 20000.0), 256))
    assert memory < 20e6 and whole.shape == (256, 256, 3)
    # In the crop of 256 pixels, the image covers 1.3 x 0.6 at (127, 128).
    assert (whole != 128).any(2).sum() <= 4 and (whole[126:130, 125:130] != 128).any()
    # The square of a panorama is as high as the panorama is wide.
    strip, memory = peak(lambda: whole_square(np.full((30, 30000, 3), 250, np.uint8), 256))
    assert memory < 20e6
    assert (strip[:126] == 128).all() and (strip[130:] == 128).all() and (strip[126:130].max((0, 2)) > 150).all()


def test_a_square_of_a_large_box_shows_what_one_of_a_small_box_shows():
    image, _ = drawn(0)
    padded = cv2.copyMakeBorder(image, 500, 500, 500, 500, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    through, direct = square(image, (-500.0, -500.0, 1256.0, 1256.0), 64), whole_square(padded, 64)
    assert np.abs(through.astype(int) - direct).max() <= 8


def test_share_inside():
    assert share_inside((0, 0, 10, 10), 10, 10) == 1 and share_inside((-5, 5, 10, 10), 10, 10) == 0.25
    assert share_inside((10, 0, 5, 5), 10, 10) == 0


@pytest.mark.parametrize("size", [0, -5, 7, 4097, 10**6])
def test_image_size_has_limits(tmp_path, size):
    with pytest.raises(ValueError, match=f"image_size must be 8 to 4096 pixels; got {size}"):
        loaded(boxed(tmp_path, (10, 10, 40, 40)), image_size=size)


def points_csv(folder, *rows):
    path = folder / "points.csv"
    path.write_text("\n".join(["image,left_eye_x,left_eye_y,right_eye_x,right_eye_y", *rows]) + "\n")
    return path


@pytest.mark.parametrize("eyes", ["500,20,530,20", "10,-90,40,-90", "-1e9,20,1e9,20", "-100,20,150,20"])
def test_points_of_another_image_stop_align_with_their_line(tmp_path, eyes):
    for n in range(3):
        save(tmp_path / f"in/{n}.png", drawn(n)[0])
    save(tmp_path / "in/1.png", np.full((60, 100, 3), 90, np.uint8))
    arguments = ["align", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "1", "--points"]
    with pytest.raises(ValueError, match=r"points\.csv, line 3: expected eyes in 1\.png, which has 100 x 60 pixels"):
        main([*arguments, str(points_csv(tmp_path, "0.png,94,86,162,86", f"1.png,{eyes}"))])
    # Once the table is corrected, the run resumes.
    main([*arguments, str(points_csv(tmp_path, "0.png,94,86,162,86", "1.png,30,20,60,20"))])
    with (tmp_path / "out/alignment.csv").open() as file:
        assert [row["found"] for row in csv.DictReader(file)] == ["1", "1", "0"]


@pytest.mark.parametrize("eyes", ["10,20,10.0004,20", "10,20,inf,20", "30,20,10,20"])
def test_eyes_that_coincide_are_named(tmp_path, eyes):
    with pytest.raises(ValueError, match=r"points\.csv, line 2: the left eye must be at least a pixel left"):
        Points(points_csv(tmp_path, f"0.png,{eyes}"))


def test_names_that_are_identifiers_are_no_frames(tmp_path):
    assert [frame_number(stem) for stem in ("SN001_0007", "a12b", "photo", "0" * 30 + "5", "9" * 18)] == [
        7, 12, None, 5, 10**18 - 1,
    ]  # fmt: skip
    name = "12345678901234567890123_n"
    assert frame_number(name) is None
    save(tmp_path / f"in/{name}.png", drawn(0)[0])
    main(["align", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "1"])
    assert (tmp_path / f"out/{name}.jpg").is_file()
    path = boxed(tmp_path, (10, 10, 40, 40))
    path.write_text("image,expression,split,frame\np.png,p,train,99999999999999999999\n")
    with pytest.raises(
        ValueError, match=r"faces\.csv, line 2: frame is .99999999999999999999.; expected a whole number"
    ):
        loaded(path)


def test_a_database_names_such_images(tmp_path):
    write_bp4d(tmp_path)
    write_image(tmp_path / "F001/T1/12345678901234567890123.jpg", (9, 9, 9))
    main(["data", "check", "--dataset=bp4d", "--root", str(tmp_path), "--manifest", str(tmp_path / "m.csv")])
    assert "12345678901234567890123.jpg" in (tmp_path / "m.json").read_text()
