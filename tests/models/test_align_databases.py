"""The way that the pages of the databases describe, whole: align a copy in its true layout, check it, read a sample."""

import csv
import shutil

import pytest

from sma_models.cli import main
from sma_models.data.bp4dplus import BP4DPlus
from sma_models.data.disfa import DISFA
from sma_models.data.mmi import MMI
from tests.models.databases import BP4D_UNITS, write_coding, write_disfa, write_mmi
from tests.models.pictures import drawn, moved, save, write_video

FRAMES = 4


def faces(subject):
    """A drawn face that moves to the right."""
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
    write_mmi(root, media, pictures=0)
    for number, (session, (name, _, _)) in enumerate(media.items()):
        write_video(root / "Sessions" / session / name, faces(number))


def pictures_of_bp4dplus(root):
    for number, subject in enumerate(("F001", "M001")):
        write_coding(
            root / "AUCoding" / "AU_OCC" / f"{subject}_T1.csv",
            {n: dict.fromkeys(BP4D_UNITS, n % 2) for n in range(1, FRAMES + 1)},
        )
        for n, picture in enumerate(faces(number), 1):
            save(root / subject / "T1" / f"{n:05d}.jpg", picture)


@pytest.mark.parametrize(
    "name, module, write, samples",
    [
        ("disfa", DISFA, videos_of_disfa, 2 * FRAMES),
        ("mmi", MMI, videos_of_mmi, 2 * 3),
        ("bp4dplus", BP4DPlus, pictures_of_bp4dplus, 2 * FRAMES),
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
    assert data.faces.found.all()
    assert data.faces.picture(0, 256).shape == (256, 256, 3)
