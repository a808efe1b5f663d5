"""The complete workflow of the database pages: align a copy in its original layout, check it, read a sample."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest

from sma_models.cli import main
from sma_models.data.alignment import EYES
from sma_models.data.databases.bp4dplus import BP4DPlus
from sma_models.data.databases.disfa import DISFA
from sma_models.data.databases.mmi import MMI
from sma_models.faces.detect import Cascade, Face, detect_sideways, largest
from tests.helpers.database_copies import BP4D_UNITS, write_coding, write_disfa, write_mmi
from tests.helpers.face_images import drawn, moved, save, write_video

FRAMES = 4


def faces(subject):
    """A synthetic face that moves to the right."""
    image, _ = drawn(subject)
    return [moved(image, 0, 0.6, (10 * n, 20), (260, 320))[0] for n in range(FRAMES)]


def videos_of_disfa(root):
    write_disfa(root, subjects=(1, 2), frames=FRAMES)
    for number in (1, 2):
        shutil.rmtree(root / f"SN{number:03d}")
        video = root / "Video_LeftCamera" / f"LeftVideoSN{number:03d}_comp.avi"
        video.parent.mkdir(exist_ok=True)
        write_video(video, faces(number))


def videos_of_mmi(root):
    media = {"101": ("S001-001.avi", 0, 4), "102": ("S002-001.avi", 0, 1)}
    write_mmi(root, media, images=0)
    for number, (session, (name, _, _)) in enumerate(media.items()):
        write_video(root / "Sessions" / session / name, faces(number))


def images_of_bp4dplus(root):
    for number, subject in enumerate(("F001", "M001")):
        write_coding(
            root / "AUCoding" / "AU_OCC" / f"{subject}_T1.csv",
            {n: dict.fromkeys(BP4D_UNITS, n % 2) for n in range(1, FRAMES + 1)},
        )
        for n, image in enumerate(faces(number), 1):
            save(root / subject / "T1" / f"{n:05d}.jpg", image)


@pytest.mark.parametrize("turn", [cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_90_CLOCKWISE])
@pytest.mark.parametrize("stills", [False, True])
def test_sessions_of_mmi_that_lie_on_their_side_are_turned(tmp_path, turn, stills):
    root, crops, manifest = tmp_path / "root", tmp_path / "crops", tmp_path / "mmi.csv"
    write_mmi(root, {"101": ("S001-001.avi", 0, 4), "102": ("S002-001.avi", 0, 1)}, images=0)
    upright, lying = faces(0), [cv2.rotate(face, turn) for face in faces(1)]
    write_video(root / "Sessions/101/S001-001.avi", upright)
    for n, face in enumerate(lying if stills else ()):
        save(root / f"Sessions/102/S002-001/{n}.png", face)
    if not stills:
        write_video(root / "Sessions/102/S002-001.avi", lying)
    main(["align", str(root), str(crops), "--workers", "1"])
    main(["data", "check", "--dataset=mmi", "--root", str(root), "--images", str(crops), "--manifest", str(manifest)])
    counts = json.loads(manifest.with_suffix(".json").read_text())["counts"]
    assert counts["frames turned upright"] == 3 and counts["frames without a face"] == 0
    data = MMI(manifest, fold="all")
    data.setup("test")
    for row, session in enumerate(data.faces.sequences):
        face = largest(Cascade()(data.faces.image(row, 256)))
        assert face is not None and np.linalg.norm(face.points - EYES, axis=1).max() < 9, session


def test_images_of_others_are_not_turned(tmp_path):
    save(tmp_path / "in/lying.png", cv2.rotate(drawn(0)[0], cv2.ROTATE_90_CLOCKWISE))
    main(["align", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "1"])
    with (tmp_path / "out/alignment.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["found"], row["turned"]) == ("0", "")


def test_points_are_turned_back_to_the_pixel():
    """A detector that finds one coloured pixel, with another one below it for the right eye."""

    def detector(image):
        (y, x), (v, u) = (np.argwhere(image[..., channel] == 255)[0] for channel in (0, 1))
        points = np.array([[x, y], [u, v]], float)
        return [Face((x, y, u - x + 1, 1), 1.0, points)] if v == y and x < u else []

    for positions in (((9, 4), (2, 4)), ((2, 4), (9, 4))):
        image = np.zeros((20, 11, 3), np.uint8)
        for channel, position in enumerate(positions):
            image[(*position, channel)] = 255
        (face,) = detect_sideways(detector, image)
        assert face.points.tolist() == [list(position[::-1]) for position in positions]
        assert face.box == (4, 2, 1, 8)
    assert detect_sideways(lambda image: [], image) == []


@pytest.mark.parametrize(
    "name, module, write, samples",
    [
        ("disfa", DISFA, videos_of_disfa, 2 * FRAMES),
        ("mmi", MMI, videos_of_mmi, 2 * 3),
        ("bp4dplus", BP4DPlus, images_of_bp4dplus, 2 * FRAMES),
    ],
)
def test_a_copy_is_aligned_checked_and_read(tmp_path, capsys, name, module, write, samples):
    root, crops, manifest = tmp_path / "root", tmp_path / "crops", tmp_path / f"{name}.csv"
    write(root)
    main(["align", str(root), str(crops), "--workers", "1"])
    assert f"{2 * FRAMES} aligned" in capsys.readouterr().out
    main(["data", "check", "--dataset", name, "--root", str(root), "--images", str(crops), "--manifest", str(manifest)])
    with manifest.open() as file:
        assert len(list(csv.DictReader(file))) == samples
    data = module(manifest, fold="all")
    data.setup("test")
    assert data.origin()["alignment"]["template"] == "eyes"
    assert data.faces.detected.all()
    assert data.faces.image(0, 256).shape == (256, 256, 3)
