"""`sma-net data check`: what it reports, and the manifest that training reads."""

import csv
import json
import time

import cv2
import numpy as np
import pytest

from sma_models.cli import main
from sma_models.data import BP4D, BP4DPlus, CKPlus
from sma_models.data.listing import Listing, Sample, write_manifest
from sma_models.faces.alignment import Alignment
from tests.models.databases import write_bp4d, write_bp4dplus, write_bu3dfe, write_ckplus, write_disfa, write_mmi

WRITERS = {
    "bp4d": write_bp4d,
    "disfa": write_disfa,
    "ckplus": lambda root: write_ckplus(root, {(5, 1): 5, (6, 1): 1, (7, 1): 3}),
    "mmi": lambda root: write_mmi(root, {"101": ("S001-001.avi", 0, 4), "102": ("S002-001.avi", 0, 3)}),
    "bu3dfe": write_bu3dfe,
    "bp4dplus": lambda root: write_bp4dplus(root, frames=9),
}


@pytest.mark.parametrize("dataset", WRITERS)
def test_each_database_is_checked(tmp_path, dataset, capsys):
    WRITERS[dataset](tmp_path / "root")
    manifest, preview = tmp_path / "m.csv", tmp_path / "preview.png"
    main(["data", "check", "--dataset", dataset, "--root", str(tmp_path / "root"),
          "--manifest", str(manifest), "--preview", str(preview)])  # fmt: skip
    printed = capsys.readouterr().out
    facts = json.loads(manifest.with_suffix(".json").read_text())
    with manifest.open() as file:
        rows = list(csv.DictReader(file))
    assert facts["dataset"] == dataset and facts["counts"]["frames"] == len(rows) > 0
    assert {"image", "subject", "sequence", "frame", "fold", "found"} < set(rows[0])
    assert cv2.imread(str(preview)) is not None
    if dataset != "mmi":
        assert "warning: subjects: expected" in printed


def test_broken_pictures_are_named_and_left_out(tmp_path, capsys):
    write_bp4d(tmp_path)
    (tmp_path / "F001/T1/0020.jpg").write_bytes(b"broken")
    (tmp_path / "F001/T1/0021.jpg").write_bytes(b"")
    main(["data", "check", "--dataset=bp4d", "--root", str(tmp_path), "--manifest", str(tmp_path / "m.csv")])
    assert "2 cannot be read as pictures" in capsys.readouterr().out
    text = (tmp_path / "m.csv").read_text()
    assert "F001/T1/0020.jpg" not in text and "F001/T1/0022.jpg" in text


def test_settings_of_a_database(tmp_path):
    write_bp4dplus(tmp_path, frames=9)
    (tmp_path / "settings.yaml").write_text("label: task\ntasks: [T4, T5]\nevery: 2\n")
    main(["data", "check", "--dataset", "bp4dplus", "--config", str(tmp_path / "settings.yaml"),
          "--root", str(tmp_path), "--manifest", str(tmp_path / "m.csv")])  # fmt: skip
    data = BP4DPlus(tmp_path / "m.csv")
    data.setup("fit")
    assert data.faces.regions == ("skeptical", "startle") and len(data.faces) == 3 * 2 * 5
    assert "'tasks': {'T4': 'startle', 'T5': 'skeptical'}" in data.protocol


def test_unknown_database(capsys):
    with pytest.raises(SystemExit):
        main(["data", "check", "--dataset", "jaffe", "--root", "x"])
    assert "jaffe" in capsys.readouterr().err


def test_crops_bring_their_alignment(tmp_path):
    root, crops = tmp_path / "root", tmp_path / "crops"
    write_ckplus(root, {(5, 1): 5, (6, 1): 1, (7, 1): 3})
    main(["align", str(root), str(crops), "--workers", "1"])
    listing = ["data", "check", "--dataset", "ckplus", "--root", str(root), "--images", str(crops)]
    main([*listing, "--manifest", str(tmp_path / "m.csv")])
    data = CKPlus(tmp_path / "m.csv")
    data.setup("fit")
    assert data.origin()["alignment"] == {"template": "eyes", "detector": "cascade", "size": 256}
    # There is no face in these pictures.
    assert not data.faces.found.any()
    assert data.faces.picture(0, 256).shape == (256, 256, 3)


def test_a_manifest_starts_fast(tmp_path):
    """146,000 frames in seconds; a thousandth of a second each would be minutes."""
    write_bp4d(tmp_path, subjects=("F001",))
    picture = tmp_path / "F001/T1/0020.jpg"
    subjects = [f"{sex}{n:03d}" for sex, count in (("F", 23), ("M", 18)) for n in range(1, count + 1)]
    samples = [Sample(picture, subjects[n % 41], "T1", n, (n % 2,) * 12) for n in range(20000)]
    folds = {subject: f"P{place % 3}" for place, subject in enumerate(subjects)}
    listing = Listing("bp4d", tmp_path, {}, (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24), samples, folds)
    write_manifest(listing, tmp_path / "m.csv")
    start = time.process_time()
    data = BP4D(tmp_path / "m.csv", "P1")
    data.setup("fit")
    assert time.process_time() - start < 20000 / 146847 * 25
    assert sum(map(len, data.parts)) == 20000 and np.unique(data.faces.subjects).size == 41
    assert Alignment.of_folder(tmp_path) is None
