"""DISFA in its original layouts: image patterns, index bases, intensities, cameras."""

import numpy as np
import pytest

from sma_models.data import DISFA
from sma_models.data.databases.disfa import index_disfa
from tests.helpers.database_copies import (
    loaded,
    write_disfa,
    write_image,
)

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
    index = index_disfa(tmp_path)
    assert len(index.samples) == 72 and not index.missing
    for sample in index.samples:
        assert int(sample.image.stem.rpartition("_")[2]) - base == sample.frame - 1
        assert sample.labels == (sample.frame % 6,) * 8


def test_disfa_base_must_be_proved(tmp_path):
    write_disfa(tmp_path)
    (tmp_path / "SN001/0.png").unlink()
    with pytest.raises(ValueError, match=r"SN001: expected images 0 to 3 or 1 to 4.*got 1 to 3"):
        index_disfa(tmp_path)
    write_image(tmp_path / "SN001/0.png")
    write_image(tmp_path / "SN001/4.png")
    with pytest.raises(ValueError, match="got 0 to 4"):
        index_disfa(tmp_path)


def test_disfa_missing_frame_or_file(tmp_path):
    write_disfa(tmp_path)
    (tmp_path / "SN001/1.png").unlink()
    write_image(tmp_path / "SN033/0.png")
    index = index_disfa(tmp_path)
    assert index.missing == ["SN001 frame 1"] and index.unlabelled == ["SN033"]
    (tmp_path / "ActionUnit_Labels/SN002/SN002_au26.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"SN002_au26\.txt"):
        index_disfa(tmp_path)


@pytest.mark.parametrize("text", ["1,0\n2,6\n", "0,0\n1,0\n", "1,0\n3,0\n", "1,0\n", ""])
def test_disfa_refuses_odd_intensities(tmp_path, text):
    write_disfa(tmp_path, frames=2)
    (tmp_path / "ActionUnit_Labels/SN002/SN002_au12.txt").write_text(text)
    with pytest.raises(ValueError, match=r"SN002_au12\.txt"):
        index_disfa(tmp_path)


def test_disfa_threshold_and_units_by_name(tmp_path):
    write_disfa(tmp_path, level=lambda unit, n: {25: 2, 4: 1}.get(unit, 0) if n % 2 else 5)
    data = loaded(DISFA, index_disfa(tmp_path), tmp_path / "m.csv")
    assert data.faces.regions == tuple(f"AU{unit}" for unit in (1, 2, 4, 6, 9, 12, 25, 26))
    odd = data.faces.frames % 2 == 1
    assert (data.faces.labels[odd] == np.array([0, 0, 0, 0, 0, 0, 1, 0])).all()
    lower = loaded(DISFA, index_disfa(tmp_path), tmp_path / "m.csv", au_threshold=1)
    assert (lower.faces.labels[odd][:, 2] == 1).all()


def test_disfa_cameras(tmp_path):
    for view in ("Left", "Right"):
        write_disfa(tmp_path, pattern="Video_" + view + "Camera/" + view + "Video{subject}_comp/{n}.png")
    assert {sample.sequence[6:] for sample in index_disfa(tmp_path).samples} == {"left"}
    both = index_disfa(tmp_path, camera="both")
    assert len(both.samples) == 48 and both.settings == {"camera": "both"}
    write_image(tmp_path / "SN001/0.png")
    with pytest.raises(ValueError, match="SN001 has two folders of images"):
        index_disfa(tmp_path)


def test_disfa_videos_ask_for_images(tmp_path):
    write_disfa(tmp_path)
    (tmp_path / "SN001").rename(tmp_path / "kept")
    (tmp_path / "Video_LeftCamera").mkdir()
    (tmp_path / "Video_LeftCamera/LeftVideoSN001_comp.avi").write_bytes(b"x")
    assert "sma-net align" in index_disfa(tmp_path).missing[0]
