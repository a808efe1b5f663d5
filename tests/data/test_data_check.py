"""`sma-net data check`: its report, and the manifest that training reads."""

import builtins
import csv
import io
import json
import os
import re

import cv2
import numpy as np
import pytest

from sma_models.cli import main
from sma_models.cli.data_check import report
from sma_models.data import BP4D, BP4DPlus, CKPlus
from sma_models.data.databases.bp4d import FOLDS
from sma_models.data.manifest import DatabaseIndex, Sample, write_manifest
from tests.helpers.database_copies import (
    BP4D_UNITS,
    write_bp4d,
    write_bp4dplus,
    write_bu3dfe,
    write_ckplus,
    write_disfa,
    write_image,
    write_mmi,
)

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
    if dataset in ("bp4d", "disfa"):
        row = next(line for line in printed.splitlines() if "mean F1 of calling" in line)
        assert [cell.strip() for cell in row.split("│")[2:4]] == ["0.667", {"bp4d": "0.48", "disfa": "0.187"}[dataset]]
    if dataset == "ckplus":
        assert re.search(r"sequences without a label\s*│ 0\s*│ 266", printed)


def test_what_a_copy_lacks_altogether_has_a_row(tmp_path, capsys):
    report(DatabaseIndex("bu3dfe", tmp_path, {}, expected={"subjects": 100, "fear": 200}), tmp_path / "m.csv")
    assert re.search(r"fear\s*│ 0\s*│ 200", capsys.readouterr().out)


def test_broken_images_are_named_and_left_out(tmp_path, capsys):
    write_bp4d(tmp_path)
    (tmp_path / "F001/T1/0020.jpg").write_bytes(b"broken")
    (tmp_path / "F001/T1/0021.jpg").write_bytes(b"")
    main(["data", "check", "--dataset=bp4d", "--root", str(tmp_path), "--manifest", str(tmp_path / "m.csv")])
    assert "2 cannot be read as images" in capsys.readouterr().out
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
    index = ["data", "check", "--dataset", "ckplus", "--root", str(root), "--images", str(crops)]
    main([*index, "--manifest", str(tmp_path / "m.csv")])
    data = CKPlus(tmp_path / "m.csv")
    data.setup("fit")
    assert data.origin()["alignment"] == {"template": "eyes", "detector": "cascade", "size": 256}
    # These images contain no face.
    assert not data.faces.detected.any()
    assert json.loads((tmp_path / "m.json").read_text())["counts"]["frames without a face"] == len(data.faces) == 9
    assert data.faces.image(0, 256).shape == (256, 256, 3)


def test_a_manifest_of_the_whole_database_starts_without_looking_for_its_images(tmp_path, monkeypatch):
    """All 146,847 rows of BP4D, with only the first image present: checking each would take minutes on a network drive."""
    parts = {subject: part for part, subjects in FOLDS.items() for subject in subjects.split()}
    people = sorted(parts)
    samples = [
        Sample(tmp_path / people[n % 41] / f"T{n // 41 % 8 + 1}" / f"{n // 328:04d}.jpg", people[n % 41],
               f"T{n // 41 % 8 + 1}", n // 328, (n // 41 % 2,) * 12)
        for n in range(146847)
    ]  # fmt: skip
    write_image(samples[0].image)
    write_manifest(DatabaseIndex("bp4d", tmp_path, {}, BP4D_UNITS, samples, parts), tmp_path / "m.csv")
    looks = []
    for module, name in ((os, "stat"), (os, "lstat"), (io, "open"), (builtins, "open")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, **k: (looks.append(a[0]), real(*a, **k))[1])
    data = BP4D(tmp_path / "m.csv", "P1")
    data.setup("fit")
    monkeypatch.undo()
    # The manifest and its metadata, each found and opened, and the first image.
    assert 0 < len(looks) < 20
    assert sum(map(len, data.splits)) == 146847 and np.unique(data.faces.subjects).size == 41
    assert data.faces.image(0, 32).shape == (32, 32, 3)
    with pytest.raises(ValueError, match=r"m\.csv, line 3: cannot read .*0000\.jpg: cannot be read: No such file"):
        data.faces.image(1, 32)
    with pytest.raises(FileNotFoundError, match=r"m\.csv, line 2: there is no file .*elsewhere"):
        BP4D(tmp_path / "m.csv", "P1", root=tmp_path / "elsewhere").setup("fit")
