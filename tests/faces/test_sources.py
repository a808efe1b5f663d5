"""Images, videos and cameras as sources of `sma-net predict`, intact and broken: missing parts are reported."""

import io
import re
import zlib

import cv2
import numpy as np
import pytest

from sma_models.data.images import read_image
from sma_models.faces.sources import files_below
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.face_images import drawn, save, write_uneven_video, write_video
from tests.helpers.prediction_rows import run


@pytest.fixture
def checkpoint(tmp_path):
    write_checkpoint(tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def test_a_video_that_is_cut_off_is_named(checkpoint, tmp_path, capsys):
    write_video(tmp_path / "whole.avi", [np.full((48, 64, 3), 90, np.uint8)] * 50)
    data = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "half.avi").write_bytes(data[: len(data) // 2])
    rows = run(checkpoint, tmp_path / "half.avi", tmp_path / "whole.avi")
    message = capsys.readouterr().err
    assert re.search(r"half.avi: only \d+ of 50 frames could be read", message) and "whole.avi" not in message
    count = {name: sum(row["source"].endswith(name) for row in rows) for name in ("half.avi", "whole.avi")}
    assert 0 < count["half.avi"] < 40 and count["whole.avi"] == 50


def noise(count):
    """Images that compress badly, so that a truncated or damaged file lacks some of them."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(count)]


CODECS = {"avi": "MJPG", "mp4": "mp4v", "mkv": "MJPG", "webm": "VP80", "wmv": "WMV2"}


@pytest.mark.parametrize("suffix", CODECS)
def test_a_short_video_that_lacks_frames_is_named(checkpoint, tmp_path, capsys, suffix):
    """One second of 25 frames, intact, truncated and damaged, in containers that store the number of frames or the duration."""
    whole = tmp_path / f"whole.{suffix}"
    write_video(whole, noise(25), fps=25, codec=CODECS[suffix])
    data = whole.read_bytes()
    # The index of an MP4 file is at its end: a truncated file cannot be opened at all.
    broken = {f"cut.{suffix}": data[: len(data) * 55 // 100]} if suffix != "mp4" else {}
    start, stop = len(data) * 4 // 10, len(data) * 7 // 10
    broken[f"damaged.{suffix}"] = data[:start] + bytes(stop - start) + data[stop:]
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    rows = run(checkpoint, *(tmp_path / name for name in ("whole." + suffix, *broken)))
    message = capsys.readouterr().err
    assert "whole" not in message.replace("not whole", "")
    for name in broken:
        count = sum(row["source"].endswith(name) for row in rows)
        # The duration of a truncated WMV file is unknown.
        if (suffix, name) != ("wmv", "cut.wmv"):
            assert f"{name}: only {count} of 25 frames could be read" in message and 0 < count < 23


def test_the_last_frame_is_missed_where_frames_are_counted(checkpoint, tmp_path, capsys):
    write_video(tmp_path / "clip.avi", noise(12), fps=25)
    data = (tmp_path / "clip.avi").read_bytes()
    last = [match.start() for match in re.finditer(rb"00dc", data[: data.index(b"idx1")])][-1]
    (tmp_path / "clip.avi").write_bytes(data[:last])
    run(checkpoint, tmp_path / "clip.avi")
    assert "clip.avi: only 11 of 12 frames could be read" in capsys.readouterr().err


def test_of_an_uneven_video_only_seconds_are_missed(checkpoint, tmp_path, capsys):
    """The expected number of frames is unknown, since the rate is a guess. The last frame lasts as long as the others."""
    times = [0, 0.04, 0.5, 1.5, 1.6, 2.7]
    write_uneven_video(tmp_path / "whole.mkv", noise(6), times)
    whole = (tmp_path / "whole.mkv").read_bytes()
    run(checkpoint, tmp_path / "whole.mkv")
    assert "0 files not read" in capsys.readouterr().err
    starts = [match.start() for match in re.finditer(bytes.fromhex("1f43b675"), whole)]
    (tmp_path / "cut.mkv").write_bytes(whole[: starts[3]])
    run(checkpoint, tmp_path / "cut.mkv")
    assert "cut.mkv: ends after 0.5 of 2.7 seconds" in capsys.readouterr().err


def test_relative_names_with_a_colon_are_files(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, codec in (("take:1.mp4", "mp4v"), ("http:2.mkv", "MJPG")):
        write_video(tmp_path / name, [drawn(0)[0]] * 2, codec=codec)
    rows = run(checkpoint, "take:1.mp4", "http:2.mkv", "--save-annotated", "drawn:1")
    assert [row["source"] for row in rows] == ["take:1.mp4"] * 2 + ["http:2.mkv"] * 2
    assert cv2.VideoCapture(str(tmp_path / "drawn:1" / "take:1.avi")).get(cv2.CAP_PROP_FRAME_COUNT) == 2


def test_a_source_that_gives_nothing_is_an_error(checkpoint, tmp_path):
    save(tmp_path / "some" / "face.png", drawn(0)[0])
    (tmp_path / "some" / "broken.png").write_bytes(b"broken")
    for name in ("broken.avi", "note.txt"):
        (tmp_path / name).write_bytes(b"broken")
    (tmp_path / "bare").mkdir()
    # A folder with one readable file is not empty.
    empty = [tmp_path / name for name in ("broken.avi", "bare", "note.txt")]
    rows = run(checkpoint, empty[0], tmp_path / "some", *empty[1:], empty=empty)
    assert [row["found"] for row in rows] == ["1"]


def test_superscripts_are_no_numbers(checkpoint, tmp_path):
    """They are digits according to `str.isdigit`, but not to `int`."""
    for name in ("10", "9", "3²4", "²", "٣"):
        save(tmp_path / "in" / f"{name}.png", np.full((40, 40, 3), 90, np.uint8))
    rows = run(checkpoint, tmp_path / "in")
    assert [row["source"].rsplit("/", 1)[1].removesuffix(".png") for row in rows] == ["3²4", "9", "10", "²", "٣"]
    with pytest.raises(FileNotFoundError, match="there is no file or folder ²"):
        run(checkpoint, "²")


def test_every_valid_jpeg_is_read(tmp_path):
    """With fill bytes before its markers, restarts in its data, several scans."""
    face = drawn(0)[0][..., ::-1]

    def encoded(*options):
        return cv2.imencode(".jpg", face, options)[1].tobytes()

    plain = encoded()
    data = plain.index(b"\xff\xda")
    filled = plain[:2] + b"\xff" + plain[2:data] + b"\xff\xff" + plain[data:-2] + b"\xff\xff\xff" + plain[-2:]
    versions = {"filled": filled, "restarts": encoded(cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
                "scans": encoded(cv2.IMWRITE_JPEG_PROGRESSIVE, 1)}  # fmt: skip
    for name, content in versions.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
        assert np.abs(read_image(tmp_path / f"{name}.jpg").astype(int)[..., ::-1] - face).mean() < 5
        (tmp_path / f"{name}.jpg").write_bytes(content[:-2])
        with pytest.raises(ValueError, match="the JPEG is cut off"):
            read_image(tmp_path / f"{name}.jpg")
    # A comment between two scans may contain an end marker.
    scans = versions["scans"]
    second = scans.index(b"\xff\xc4", scans.index(b"\xff\xda"))
    (tmp_path / "cut.jpg").write_bytes(scans[:second] + b"\xff\xfe\x00\x06a\xff\xd9b" + scans[second:-40])
    with pytest.raises(ValueError, match="the JPEG is cut off"):
        read_image(tmp_path / "cut.jpg")


def test_a_jpeg_that_is_cut_off_is_named(checkpoint, tmp_path, capsys):
    """The decoder would pad it with grey, and predictions would be made for half a face."""
    image_module = pytest.importorskip("PIL.Image")
    small = io.BytesIO()
    image_module.fromarray(drawn(0)[0]).resize((32, 32)).save(small, "jpeg")
    # A thumbnail with an end marker precedes the data, as in files from cameras.
    image_module.fromarray(drawn(0)[0]).save(tmp_path / "whole.jpg", exif=b"Exif\0\0" + small.getvalue())
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "trailed.jpg").write_bytes(data + b"what some cameras add")
    rows = run(
        checkpoint, *(tmp_path / f"{name}.jpg" for name in ("half", "whole", "trailed")), empty=[tmp_path / "half.jpg"]
    )
    assert [row["found"] for row in rows] == ["1", "1"]
    assert "half.jpg: the JPEG is cut off" in capsys.readouterr().err


def test_an_image_that_claims_to_be_huge_is_named(checkpoint, tmp_path, capsys):
    """A header of 60,000 by 60,000 pixels: more than the decoder accepts."""
    good = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    header = b"IHDR" + (60000).to_bytes(4, "big") * 2 + good[24:29]
    (tmp_path / "huge.png").write_bytes(good[:12] + header + zlib.crc32(header).to_bytes(4, "big") + good[33:])
    save(tmp_path / "face.png", drawn(0)[0])
    rows = run(checkpoint, tmp_path / "huge.png", tmp_path / "face.png", empty=[tmp_path / "huge.png"])
    assert [row["found"] for row in rows] == ["1"] and "huge.png: cannot be decoded" in capsys.readouterr().err


def test_a_camera_that_is_not_there_is_named(checkpoint, capfd):
    assert run(checkpoint, "97", empty=["camera 97"]) == []
    assert "camera 97: cannot be opened as a camera" in capfd.readouterr().err


def test_links_to_folders_are_followed_once(tmp_path):
    for name in ("photos/1.jpg", "photos/sub/2.jpg", "disk/3.jpg", "disk/deep/4.jpg", "disk/.hidden/5.jpg"):
        save(tmp_path / name, np.full((9, 9, 3), 90, np.uint8))
    (tmp_path / "photos/disk").symlink_to(tmp_path / "disk")
    (tmp_path / "photos/sub/circle").symlink_to(tmp_path / "photos")
    (tmp_path / "disk/deep/circle").symlink_to(tmp_path / "disk")
    (tmp_path / "photos/folder.jpg").mkdir()
    images = files_below(tmp_path / "photos").images
    names = [path.relative_to(tmp_path / "photos").as_posix() for path in images]
    assert names == ["1.jpg", "disk/3.jpg", "disk/deep/4.jpg", "sub/2.jpg"]


def test_a_link_to_nothing_is_an_image_that_cannot_be_read(checkpoint, tmp_path, capsys):
    save(tmp_path / "photos/1.jpg", np.full((9, 9, 3), 90, np.uint8))
    (tmp_path / "photos/2.jpg").symlink_to(tmp_path / "gone.jpg")
    run(checkpoint, tmp_path / "photos")
    assert re.search(r"2\.jpg: cannot be read: No such file", capsys.readouterr().err)


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    save(tmp_path / "photos/1.jpg", np.full((9, 9, 3), 90, np.uint8))

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(PermissionError, match="photos"):
        files_below(tmp_path / "photos")
