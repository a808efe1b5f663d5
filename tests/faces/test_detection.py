"""Face detection and alignment: synthetic faces with known eyes, moved by known transforms, and real photographs."""

import cv2
import numpy as np
import pytest

from sma_models.data.alignment import EYES, TEMPLATES, center_crop, check_same_alignment, similarity, warp
from sma_models.data.images import read_image
from sma_models.faces.detect import Cascade, Points, YuNet, largest
from sma_models.faces.sources import files_below
from tests.helpers.face_images import REAL, drawn, moved


def apply(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


MOVES = [(0, 1.0, (0, 0)), (7, 0.8, (60, 90)), (-8, 1.4, (70, 60)), (3, 0.55, (120, 40))]


@pytest.mark.parametrize(("degrees", "scale", "shift"), MOVES)
def test_known_transforms_are_undone(degrees, scale, shift):
    worst = 0.0
    for subject in range(4):
        image, eyes = drawn(subject)
        photo, matrix = moved(image, degrees, scale, shift)
        face = largest(Cascade()(photo))
        assert face is not None
        aligned = apply(similarity(face.points, "eyes"), apply(matrix, eyes))
        worst = max(worst, np.linalg.norm(aligned - EYES, axis=1).max())
    # A tenth of the distance between the eyes, the usual tolerance.
    assert worst < 6.8


def test_templates_are_the_protocols():
    assert TEMPLATES == {"eyes": ((94, 86), (162, 86)), "eyes_nose": ((94, 86), (162, 86), (128, 125))}
    assert warp(np.zeros((9, 9, 3), np.uint8), center_crop(9, 9)).shape == (256, 256, 3)


@pytest.mark.parametrize("template", TEMPLATES)
def test_similarity_is_exact(template):
    angle, scale = 0.3, 1.7
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array(TEMPLATES[template]) @ turn.T + (20, -5)
    back = similarity(points, template)
    np.testing.assert_allclose(apply(back, points), TEMPLATES[template], atol=1e-9)
    np.testing.assert_allclose(np.hypot(back[0, 0], back[1, 0]), 1 / scale)


def test_similarity_takes_no_mirror_and_least_squares():
    eyes = np.array(EYES)
    assert np.linalg.det(similarity(eyes[::-1], "eyes")[:, :2]) > 0
    shifted = np.array([*EYES, (128.0, 131.0)])
    back = apply(similarity(shifted, "eyes_nose"), shifted)
    error = back - TEMPLATES["eyes_nose"]
    np.testing.assert_allclose(error.sum(0), 0, atol=1e-9)
    assert 0.1 < np.abs(error).max() < 6
    with pytest.raises(ValueError, match="needs 3 points"):
        similarity(eyes, "eyes_nose")
    with pytest.raises(ValueError, match="must differ"):
        similarity(np.ones((2, 2)), "eyes")


@pytest.mark.parametrize("scale", [3.0, 1.0, 0.2])
def test_crops_lie_where_the_transform_says(scale):
    """Blobs at the template's points, in images larger and smaller than the crop."""
    # Far enough inside the image that the crop shows no border.
    eyes = np.array(EYES) * scale + np.array([31.3, 40.7]) * scale
    image = np.zeros((round(330 * scale), round(330 * scale), 3), np.uint8)
    yy, xx = np.mgrid[: image.shape[0], : image.shape[1]]
    for x, y in eyes:
        blob = 255 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * (8 * scale) ** 2))
        image = np.maximum(image, blob[..., None].astype(np.uint8))
    crop = warp(image, similarity(eyes, "eyes"))[..., 0].astype(float)
    rows, columns = np.mgrid[:256, :256]
    for (x, y), side in zip(EYES, (slice(None, 128), slice(128, None)), strict=True):
        weight = crop[:, side] * (crop[:, side] > 30)
        centre = np.array([(weight * columns[:, side]).sum(), (weight * rows[:, side]).sum()]) / weight.sum()
        np.testing.assert_allclose(centre, (x, y), atol=0.25)


def test_shrinking_averages():
    """Every pixel contributes, even if no pixel of the crop falls on it: no moiré."""
    image = np.zeros((1024, 1024, 3), np.uint8)
    image[:, ::4] = 255
    crop = warp(image, center_crop(1024, 1024))
    assert np.abs(crop.astype(int) - 64).max() <= 2


def test_border_is_grey_and_centre_crop_is_centred():
    image = np.full((100, 200, 3), 10, np.uint8)
    image[50, 100] = image[49, 99] = 250
    crop = warp(image, center_crop(100, 200))
    spot = np.argwhere(crop[..., 0] > 60).mean(0)
    np.testing.assert_allclose(spot, (127.5, 127.5), atol=0.3)
    assert (warp(image, np.array([[1.0, 0, 80], [0, 1, 80]]))[:70, :70] == 128).all()


def test_large_images_are_shrunk_and_points_brought_back():
    """In an image three times as large, the same face at three times the coordinates."""
    image, eyes = drawn(0)
    photo, matrix = moved(image, 0, 0.8, (60, 90))
    large = cv2.resize(photo, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    (face,) = Cascade()(large)
    distance = 3 * 0.8 * np.linalg.norm(eyes[1] - eyes[0])
    expected = (apply(matrix, eyes) + 0.5) * 3 - 0.5
    assert np.linalg.norm(face.points - expected, axis=1).max() < 0.1 * distance
    x, y, width, height = face.box
    assert x < expected[0, 0] < expected[1, 0] < x + width and y < expected[0, 1] < y + height


def test_the_largest_face_is_taken():
    image = np.full((300, 560, 3), 128, np.uint8)
    image[20:276, 10:266] = drawn(0)[0]
    image[40:196, 290:446] = cv2.resize(drawn(1)[0], (156, 156), interpolation=cv2.INTER_AREA)
    faces = Cascade()(image)
    assert len(faces) == 2 and largest(faces).box[0] < 200
    assert largest(faces[::-1]) == largest(faces) and largest([]) is None


def test_nothing_is_found_where_no_face_is():
    rng = np.random.default_rng(0)
    assert Cascade()(rng.integers(0, 255, (200, 200, 3)).astype(np.uint8)) == []
    assert Cascade()(np.zeros((5, 4, 3), np.uint8)) == []


def test_yunet_needs_its_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="no YuNet model"):
        YuNet(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"bad\.onnx is not a YuNet model"):
        YuNet(tmp_path / "bad.onnx")


def test_points_of_ones_own(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("image,left_eye_x,left_eye_y,right_eye_x,right_eye_y\na.png,10,20,30,20\n")
    table = Points(path)
    assert table.of("a.png", 64, 48)[0].points.tolist() == [[10, 20], [30, 20]] and table.of("b.png", 64, 48) == []
    path.write_text("image,left_eye_x,left_eye_y,right_eye_x,right_eye_y\na.png,30,20,10,20\n")
    with pytest.raises(ValueError, match="line 2: the left eye must be at least a pixel left"):
        Points(path)
    path.write_text("image,left_eye_x\n")
    with pytest.raises(ValueError, match="expected the columns"):
        Points(path)


def test_numbers_in_names_sort_as_numbers(tmp_path):
    for name in ("10.png", "9.png", "a.mp4", "b.txt"):
        (tmp_path / name).write_bytes(b"")
    files = files_below(tmp_path)
    assert [path.name for path in files.images] == ["9.png", "10.png"]
    assert (len(files.videos), len(files.others)) == (1, 1)


def test_every_kind_of_image_becomes_rgb(tmp_path):
    grey = np.tile(np.arange(0, 200, 10, dtype=np.uint8), (12, 1))
    colour = np.dstack([grey, grey // 2, grey // 4])  # BGR
    alpha = np.dstack([colour, np.full_like(grey, 100)])
    for name, image in (("grey", grey), ("colour", colour), ("alpha", alpha), ("deep", colour.astype(np.uint16) * 257)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        read = read_image(tmp_path / f"{name}.png")
        expected = np.dstack([grey] * 3) if name == "grey" else colour[..., ::-1]
        assert read.dtype == np.uint8 and np.abs(read.astype(int) - expected).max() <= 1, name
    image_module = pytest.importorskip("PIL.Image")
    image = image_module.fromarray(np.ascontiguousarray(colour[..., ::-1]))
    exif = image.getexif()
    exif[0x0112] = 6  # displayed rotated by 90 degrees clockwise
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert read_image(tmp_path / "turned.jpg").shape == (20, 12, 3)


def test_alignments_are_compared_by_template_and_size():
    eyes = {"template": "eyes", "size": 256, "detector": "cascade"}
    check_same_alignment(eyes, {**eyes, "detector": "points p.csv"})
    check_same_alignment(None, None)
    for other in (None, {**eyes, "template": "eyes_nose"}, {**eyes, "size": 128}):
        with pytest.raises(ValueError, match="was trained on faces aligned by"):
            check_same_alignment(eyes, other)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real photographs are not here")
def test_real_photographs(tmp_path):
    detect = Cascade()
    photographs = sorted((REAL / "images").iterdir())[:40]
    faces = [(read_image(path), largest(detect(read_image(path)))) for path in photographs]
    detected = [(image, face) for image, face in faces if face is not None]
    assert len(detected) >= 26
    for image, face in detected:
        (left, right), width = face.points, image.shape[1]
        # In these photographs the face fills the frame.
        assert 0.15 * width < left[0] < 0.5 * width < right[0] + 0.1 * width and np.abs(left - right)[1] < 0.15 * width
        crop = warp(image, similarity(face.points, "eyes"))
        again = largest(detect(crop))
        if again is not None:
            assert np.linalg.norm(again.points - EYES, axis=1).mean() < 12
