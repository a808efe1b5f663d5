"""`sma-net predict`: rows for images and videos with any content."""

import gc
import json
import resource

import cv2
import numpy as np
import pytest
import torch

from sma_models.cli import main
from sma_models.faces.annotate import Annotator
from sma_models.faces.detect import Cascade, Face
from sma_models.faces.pipeline import DetectedFace, FacePrediction, FrameFaces, PredictionPipeline
from sma_models.faces.predictor import FacePredictor
from sma_models.faces.tracking import Smoother, Tracker, overlap
from tests.helpers.checkpoints import EYES, write_checkpoint
from tests.helpers.face_images import REAL, drawn, moved, save, write_uneven_video, write_video
from tests.helpers.prediction_rows import run


@pytest.fixture
def checkpoint(tmp_path):
    write_checkpoint(tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def two_faces():
    """An image of 300 x 560 with a face of each of two people."""
    image = np.full((300, 560, 3), 128, np.uint8)
    for subject, left in ((0, 10), (1, 290)):
        image[20:276, left : left + 256] = drawn(subject)[0]
    return image


def test_rows_of_a_folder_with_everything_in_it(checkpoint, tmp_path, capsys):
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    face, _ = drawn(0)
    save(source / "one.png", face)
    save(source / "two.png", two_faces())
    save(source / "none.png", np.full((200, 200, 3), 90, np.uint8))
    save(source / "tiny.png", np.full((1, 1, 3), 90, np.uint8))
    save(source / "small.png", cv2.resize(face, (20, 20), interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(source / "grey.png"), cv2.cvtColor(face, cv2.COLOR_RGB2GRAY))
    cv2.imwrite(str(source / "deep16.png"), face[..., ::-1].astype(np.uint16) * 257)
    cv2.imwrite(str(source / "alpha.png"), np.dstack([face[..., ::-1], np.full((256, 256), 200, np.uint8)]))
    image_module = pytest.importorskip("PIL.Image")
    exif = image_module.Exif()
    exif[0x0112] = 6
    image_module.fromarray(np.ascontiguousarray(np.rot90(face))).save(source / "turned.jpg", exif=exif, quality=98)
    (source / "deep/empty.jpg").write_bytes(b"")
    (source / "deep/broken.jpg").write_bytes(b"\xff\xd8\xffbroken")
    (source / "empty.avi").write_bytes(b"")
    (source / "broken.mp4").write_bytes(b"broken")
    (source / "note.txt").write_text("")
    rows = run(checkpoint, source)
    message = capsys.readouterr().err
    rows_of = {}
    for row in rows:
        rows_of.setdefault(row["source"].rsplit("/", 1)[1], []).append(row)
    assert set(rows_of) == {"one.png", "two.png", "none.png", "tiny.png", "small.png", "grey.png", "deep16.png",
                          "alpha.png", "turned.jpg"}  # fmt: skip
    faces = {name: [row["face"] for row in those if row["found"] == "1"] for name, those in rows_of.items()}
    assert faces["two.png"] == ["0", "1"]
    for name in ("one.png", "grey.png", "deep16.png", "alpha.png", "turned.jpg"):
        assert faces[name] == ["0"], name
    for name in ("none.png", "tiny.png", "small.png"):
        assert [(row["found"], row["AU1"], row["face"]) for row in rows_of[name]] == [("0", "", "")], name
    # The same face in every file format.
    for name in ("deep16.png", "alpha.png", "turned.jpg"):
        assert float(rows_of[name][0]["AU1"]) == pytest.approx(float(rows_of["one.png"][0]["AU1"]), abs=0.02)
    for name in ("empty.jpg", "broken.jpg", "empty.avi", "broken.mp4"):
        assert f"{name}: " in message
    assert "9 frames, 7 faces, 3 frames without a detected face, 4 files not read" in message and "frames/s" in message


def test_columns_probabilities_and_decisions(checkpoint, tmp_path):
    save(tmp_path / "face.png", drawn(0)[0])
    (row,) = run(checkpoint, tmp_path / "face.png")
    assert list(row) == ["source", "frame", "time_s", "face", "found", "x", "y", "width", "height", "score",
                         "AU1", "AU1_on", "AU12", "AU12_on"]  # fmt: skip
    # Thresholds of -9 and 9: the first unit is always present, the second never, whatever the probabilities.
    assert (row["AU1_on"], row["AU12_on"]) == ("1", "0")
    network, calibration = write_checkpoint(tmp_path / "again.ckpt")
    predictor = FacePredictor(tmp_path / "again.ckpt", "cpu")
    crop = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    probability, on, attention = predictor([crop])
    canvas = cv2.resize(crop, (73, 73), interpolation=cv2.INTER_AREA)[4:68, 4:68]
    with torch.no_grad():
        logits = network(torch.from_numpy(canvas).permute(2, 0, 1)[None]).logits
    np.testing.assert_allclose(probability, torch.sigmoid(0.5 * logits + 0.25), atol=1e-5)
    assert on.tolist() == (logits >= calibration.threshold).tolist() and attention.shape[:2] == (1, 2)


def test_expressions_and_json_lines(tmp_path):
    write_checkpoint(tmp_path / "fer.ckpt", ("anger", "happiness", "surprise"), "expression")
    save(tmp_path / "face.png", two_faces())
    main(["predict", str(tmp_path / "fer.ckpt"), str(tmp_path / "face.png"), "--out", str(tmp_path / "r.jsonl")])
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [row["face"] for row in rows] == [0, 1]
    for row in rows:
        shares = {name: row[name] for name in ("anger", "happiness", "surprise")}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
        assert row["expression"] == max(shares, key=shares.get)


@pytest.mark.parametrize("offset", [25.0, -25.0])
def test_rows_of_a_confident_network_keep_their_order(checkpoint, tmp_path, offset):
    """float32 has no number between 0.99999994 and 1: a ranking of the rows would have ties."""
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["calibration.offset"].fill_(offset)
    torch.save(content, checkpoint)
    crops = [drawn(subject)[0] for subject in range(4)]
    for subject, crop in enumerate(crops):
        save(tmp_path / "crops" / f"{subject}.png", crop)
    predictor = FacePredictor(checkpoint, "cpu")
    logits = 0.5 * predictor.output(crops).logits.double().numpy() + offset
    rows = run(checkpoint, tmp_path / "crops", "--crops", "--smoothing", "1")
    for column in ("AU1", "AU1_smooth"):
        message = np.array([float(row[column]) for row in rows])
        assert np.log(message / (1 - message)) == pytest.approx(logits[:, 0], abs=1e-3)


def test_of_equal_probabilities_one_is_shown(checkpoint, tmp_path):
    """If no unit is predicted present, only the attention of the most probable region is drawn."""
    predictor = FacePredictor(checkpoint, "cpu")
    attention = np.zeros((2, 8, 8), np.float32)
    attention[0, 0, 0] = attention[1, 7, 7] = 1
    seen = DetectedFace(Face((0.0, 0.0, 256.0, 256.0), 1.0, np.empty((0, 2))), np.zeros((256, 256, 3), np.uint8), None)
    face = FacePrediction(seen, 0, np.array([1.0, 1.0]), np.array([False, False]), attention)
    Annotator(tmp_path, predictor)(FrameFaces("a.png", 0, 0.0, True, None, seen.crop, [seen]), [face])
    drawn_on = cv2.imread(str(tmp_path / "a.png")).astype(int).sum(2)
    assert drawn_on[20:60, 20:60].max() > 100 and drawn_on[180:220, 180:220].max() == 0


def test_a_video_keeps_its_faces_apart(checkpoint, tmp_path):
    """Two faces; the second disappears for half a second and keeps its number, then for two seconds and gets a new one."""
    both, left = two_faces(), two_faces()
    left[:, 280:] = 128
    frames = [both] * 4 + [left] * 2 + [both] * 2 + [left] * 8 + [both] * 2
    write_video(tmp_path / "clip.avi", frames, fps=4)
    rows = run(checkpoint, tmp_path / "clip.avi", "--smoothing", "0.5", "--save-annotated", tmp_path / "drawn")
    by_frame = [[row["face"] for row in rows if row["frame"] == str(n)] for n in range(len(frames))]
    assert [len(faces) for faces in by_frame] == [2] * 4 + [1] * 2 + [2] * 2 + [1] * 8 + [2] * 2
    left_one, right_one = ([row for row in rows if (float(row["x"]) > 200) == right] for right in (False, True))
    (stays,) = {row["face"] for row in left_one}
    (comes,) = {row["face"] for row in right_one if int(row["frame"]) < 8}
    assert {stays, comes} == {"0", "1"} and {row["face"] for row in right_one if int(row["frame"]) > 8} == {"2"}
    assert [float(row["time_s"]) for row in left_one] == [n / 4 for n in range(len(frames))]
    # Smoothed values start at the raw ones and vary less; raw values are the same as without smoothing.
    raw, smooth = ([float(row[name]) for row in right_one[:6]] for name in ("AU12", "AU12_smooth"))
    assert smooth[0] == raw[0] and np.ptp(smooth) <= np.ptp(raw)
    video = cv2.VideoCapture(str(tmp_path / "drawn/clip.avi"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == len(frames) and video.get(cv2.CAP_PROP_FPS) == 4
    shown = video.read()[1][..., ::-1].astype(int)
    # The faces were drawn on, and nothing far from them.
    assert np.abs(shown - both)[20:276, 10:266].mean() > 3 and np.abs(shown - both)[:10].mean() < 8


def test_numbers_start_anew_in_every_source(checkpoint, tmp_path):
    """The right one of two faces is the first face of the next image and video, where it is alone."""
    right = two_faces()
    right[:, :280] = 128
    save(tmp_path / "1.png", two_faces())
    save(tmp_path / "2.png", right)
    write_video(tmp_path / "3.avi", [right] * 2)
    rows = run(checkpoint, *(tmp_path / name for name in ("1.png", "2.png", "3.avi")), "--smoothing", "1")
    assert [row["face"] for row in rows] == ["0", "1", "0", "0", "0"]
    # Smoothing does not continue from the previous image either.
    assert [row["AU1"] == row["AU1_smooth"] for row in rows[:4]] == [True] * 4


def test_times_are_the_containers(checkpoint, tmp_path):
    """Frames need not be evenly spaced. Tracking and smoothing use the times, too."""
    times = [0, 0.04, 0.5, 1.5, 1.6, 2.7]
    write_uneven_video(tmp_path / "uneven.mkv", [drawn(0)[0]] * 6, times)
    rows = run(checkpoint, tmp_path / "uneven.mkv", "--smoothing", "0.2")
    assert [float(row["time_s"]) for row in rows] == times
    assert [row["frame"] for row in rows] == [str(n) for n in range(6)]
    # The face is absent for one second, which does not lose it, and then for longer.
    assert [row["face"] for row in rows] == ["0"] * 5 + ["1"]


def test_annotated_images(checkpoint, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "face.png", drawn(0)[0])
    run(checkpoint, tmp_path / "a", tmp_path / "b", "--save-annotated", tmp_path / "drawn")
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"face.png", "face_1.png"}


def test_crops_are_taken_whole(checkpoint, tmp_path):
    crops = tmp_path / "crops"
    crops.mkdir()
    save(crops / "grey.png", np.full((256, 256, 3), 128, np.uint8))
    (row,) = run(checkpoint, crops, "--crops")
    assert (row["found"], row["score"], row["width"]) == ("1", "", "256.0") and row["AU1"]
    (crops / "alignment.json").write_text(json.dumps({**EYES, "template": "eyes_nose"}))
    with pytest.raises(ValueError, match="was trained on faces aligned by"):
        run(checkpoint, crops, "--crops")


def test_crops_that_are_no_squares_keep_their_proportions(checkpoint):
    """As in training, they are padded with grey."""
    predictor = FacePredictor(checkpoint, "cpu")
    crop = drawn(0)[0][:, 64:192]
    filled = cv2.copyMakeBorder(crop, 0, 0, 64, 64, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    for one, other in zip(predictor([crop]), predictor([filled]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_of_unaligned_images_wants_crops(tmp_path):
    write_checkpoint(tmp_path / "model.ckpt", alignment=None)
    save(tmp_path / "face.png", drawn(0)[0])
    with pytest.raises(ValueError, match="--crops"):
        run(tmp_path / "model.ckpt", tmp_path / "face.png")
    assert len(run(tmp_path / "model.ckpt", tmp_path / "face.png", "--crops")) == 1


def test_wrong_arguments(checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file or folder"):
        run(checkpoint, tmp_path / "nothing.png")
    with pytest.raises(ValueError, match=r"\.csv or \.jsonl"):
        main(["predict", str(checkpoint), str(tmp_path), "--out", str(tmp_path / "x.txt")])
    with pytest.raises(SystemExit):
        main(["predict", str(checkpoint), str(tmp_path), "--smoothing", "0"])


def test_a_long_video_is_streamed(checkpoint, tmp_path):
    """Frames of 400 kB: all of them would take 240 MB."""
    write_video(tmp_path / "long.avi", [np.full((300, 450, 3), 90, np.uint8)] * 600)
    predictor = PredictionPipeline(FacePredictor(checkpoint, "cpu"), lambda image: [], workers=2, batch=8)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in predictor.rows([tmp_path / "long.avi"])) == 600
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


def test_tracker():
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 10, 10)) == 0
    track = Tracker()
    assert track([(0, 0, 10, 10), (100, 0, 10, 10)], 0.0) == [0, 1]
    # Order of detection does not matter; the best overlap wins.
    assert track([(101, 0, 10, 10), (1, 0, 10, 10), (3, 0, 10, 10)], 0.1) == [1, 0, 2]
    assert track([], 0.5) == [] and track([(0, 0, 10, 10)], 1.1) == [0]
    assert track([(101, 0, 10, 10)], 1.2) == [3]
    # A face may be absent for at most a second, whatever the rounding of its start.
    for start in np.arange(1, 9, 0.1):
        track = Tracker()
        assert track([(0, 0, 10, 10)], start) == track([(0, 0, 10, 10)], start + 1.0) == [0]
        assert track([(0, 0, 10, 10)], start + 2.01) == [1]


def test_smoother_follows_time_not_frames():
    fine, coarse = Smoother(0.5), Smoother(0.5)
    for smoother, steps in ((fine, 8), (coarse, 2)):
        smoother(0, [0.0], 0.0)
        values = [smoother(0, [1.0], (n + 1) / steps)[0] for n in range(steps)]
    assert values[-1] == pytest.approx(1 - np.exp(-2)) and fine(0, [1.0], 1.0)[0] == pytest.approx(values[-1])
    assert fine(1, [0.3], 1.0) == [0.3] and fine(0, [0.2], 5.0) == [0.2]


@pytest.mark.skipif(not REAL.is_dir(), reason="the real photographs are not here")
def test_real_photographs_and_a_video_of_them(checkpoint, tmp_path):
    photographs = sorted((REAL / "images").iterdir())[:12]
    rows = run(checkpoint, *photographs)
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in photographs]
    # Every photograph has one row per detected face, or one row for "no face".
    detect = Cascade()
    for path, image in zip(photographs, images, strict=True):
        faces = len(detect(image))
        message = [row["found"] for row in rows if row["source"] == str(path)]
        assert message == ["1"] * faces or (faces == 0 and message == ["0"])
    # Two of them are profiles, for which the cascade was not trained; it must find most of the others.
    assert sum(row["found"] == "1" for row in rows) > 5
    write_video(tmp_path / "all.avi", [image for image in images for _ in range(2)], fps=10)
    video = run(checkpoint, tmp_path / "all.avi")
    assert len({row["frame"] for row in video}) == 24
    # Predictions for a photograph and for its compressed frames agree.
    firsts = {int(row["frame"]) // 2: float(row["AU1"]) for row in video if row["found"] == "1"}
    for number, path in enumerate(photographs):
        still = [float(row["AU1"]) for row in rows if row["source"] == str(path) and row["found"] == "1"]
        if len(still) == 1 and number in firsts:
            assert firsts[number] == pytest.approx(still[0], abs=0.15)


def test_a_moving_face_keeps_its_number(checkpoint, tmp_path):
    image, _ = drawn(2)
    frames = [moved(image, 0, 0.6, (shift, 20), (260, 320))[0] for shift in range(0, 90, 15)]
    write_video(tmp_path / "move.avi", frames, fps=10)
    assert [row["face"] for row in run(checkpoint, tmp_path / "move.avi")] == ["0"] * 6
