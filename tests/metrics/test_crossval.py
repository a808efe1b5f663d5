"""`sma-net crossval` on small copies of the databases."""

import json
import re

import cv2
import numpy as np
import pytest
from lightning.pytorch import Trainer

from sma_models.cli import main
from sma_models.cli.crossval import write_results
from sma_models.report.run_results import read_run
from tests.helpers.face_sets import expression_csv
from tests.helpers.fold_predictions import fold_predictions
from tests.helpers.protocols import checked, small

CONFIGS = {
    "bp4d": "bp4d_p1.yaml",
    "disfa": "disfa_p2.yaml",
    "ckplus": "ckplus_10fold.yaml",
    "mmi": "mmi.yaml",
    "bu3dfe": "bu3dfe.yaml",
    "bp4dplus": "bp4dplus.yaml",
}


@pytest.mark.parametrize("dataset", CONFIGS)
def test_each_database_goes_through_crossval(tmp_path, dataset):
    manifest = checked(tmp_path, dataset)
    folds = {"bp4d": "P1,P2", "disfa": "P1,P2", "bp4dplus": "2,4"}.get(dataset, "0,1")
    out = tmp_path / "out"
    main(["crossval", *small(manifest, CONFIGS[dataset]), "--out", str(out), "--folds", folds, "--seeds", "0"])
    result = json.loads((out / "results.json").read_text())
    text = (out / "results.md").read_text()
    assert (
        result["folds"] == folds.split(",")
        and result["frames"] > 0
        and cv2.imread(str(out / "results.png")) is not None
    )
    assert "epoch chosen by `val`; starts from none; aligned by none" in text
    if dataset in ("bp4d", "disfa"):
        assert len(result["pooled"]["f1"]["mean"]) == len(result["regions"]) == {"bp4d": 12, "disfa": 8}[dataset]
        assert "second-hand" in text and {"bp4d": "64.9", "disfa": "average 62.4"}[dataset] in text
        assert "always positive" in text
    else:
        assert "second-hand" not in text
    if result["kind"] == "expression":
        assert re.search(r"\| macro-F1 \| [01]\.\d{3} \| - \|", text)
        assert np.sum(result["pooled"]["confusion"]["mean"]) == result["frames"]


def test_crossval_resumes_where_it_stopped(tmp_path, monkeypatch):
    manifest, out = checked(tmp_path, "ckplus"), tmp_path / "out"
    arguments = [
        "crossval",
        *small(manifest, "ckplus_10fold.yaml"),
        "--out",
        str(out),
        "--folds",
        "0,1",
        "--seeds",
        "4,5",
    ]
    started = []
    fit = Trainer.fit

    def counted(self, model, datamodule=None, ckpt_path=None, **kwargs):
        started.append((datamodule.fold, datamodule.seed, ckpt_path))
        fit(self, model, datamodule=datamodule, ckpt_path=ckpt_path, **kwargs)
        if len(started) == 3:
            # After the epochs, before the test.
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", counted)
    with pytest.raises(KeyboardInterrupt):
        main(arguments)
    assert started == [("0", 4, None), ("1", 4, None), ("0", 5, None)]
    main(arguments)
    half_done = str(out / "fold_0" / "seed_5" / "checkpoints" / "last.ckpt")
    assert started[3:] == [("0", 5, half_done), ("1", 5, None)]
    first = (out / "results.json").read_text()
    main(arguments)
    assert len(started) == 5 and (out / "results.json").read_text() == first
    result = json.loads(first)
    assert result["seeds"] == [4, 5] and result["pooled"]["accuracy"]["sd_over_seeds"] is not None
    assert re.search(r"accuracy of frames \| [01]\.\d{3} ± 0\.\d{3}", (out / "results.md").read_text())
    with pytest.raises(ValueError, match="created with different settings"):
        main([*arguments, "--data.init_args.batch_size=4"])
    with pytest.raises(SystemExit):
        main([*arguments, "--folds", "0,99"])


def own_faces(folder, **columns):
    """Settings for faces of six people with two expressions each, and further columns of six cells."""
    settings = small_csv(expression_csv(folder, subjects=6, each=1))
    rows = (folder / "faces.csv").read_text().splitlines()
    for name, cells in columns.items():
        rows = [f"{row},{name if n == 0 else cells[(n - 1) // 3]}" for n, row in enumerate(rows)]
    (folder / "faces.csv").write_text("\n".join(rows) + "\n")
    return settings


def small_csv(path):
    arguments = small(path, "csv_fer.yaml")
    arguments[arguments.index("--data.init_args.manifest")] = "--data.csv"
    return arguments


def test_a_split_is_trained_and_tested_once(tmp_path):
    """Five folds would each test the same faces, and pool them five times."""
    settings = own_faces(tmp_path, split=["train", "train", "train", "val", "test", "test"])
    out = tmp_path / "out"
    main(["crossval", *settings, "--out", str(out), "--seeds", "0,1"])
    result = json.loads((out / "results.json").read_text())
    assert (result["folds"], result["frames"], result["seeds"]) == (["split"], 6, [0, 1])
    assert sorted(path.name for path in out.glob("fold_*")) == ["fold_split"]
    text = (out / "results.md").read_text()
    assert text.startswith("# faces.csv, its own split tested\n")
    assert "6 frames scored" in text


def test_folds_of_any_name_have_folders_of_their_own(tmp_path):
    settings = own_faces(tmp_path, fold=["a/b", "a/b", "../c", "../c", "1e3", "1e3"])
    out = tmp_path / "out"
    main(["crossval", *settings, "--out", str(out), "--seeds", "0"])
    assert sorted(path.name for path in out.glob("fold_*")) == ["fold_..%2Fc", "fold_1e3", "fold_a%2Fb"]
    assert json.loads((out / "results.json").read_text())["frames"] == 18


@pytest.mark.parametrize("old, new", [("s00,anger", "s00,neutral"), ("frame,fold", "frame,folder"), ("s5_", "./s5_")])
def test_a_folder_of_results_belongs_to_the_faces_that_it_was_created_with(tmp_path, old, new):
    """Folds of the old and of the new file would be pooled: some faces twice, and some never."""
    settings = own_faces(tmp_path, fold=list("ababab"))
    arguments = ["crossval", *settings, "--out", str(tmp_path / "out"), "--seeds", "0"]
    main([*arguments, "--folds", "a"])
    path = tmp_path / "faces.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match="created with different settings or faces"):
        main([*arguments, *(["--folds", "0"] if "folder" in new else [])])


@pytest.mark.parametrize(
    "words", [("--seeds", "0,0"), ("--seeds", "0,00"), ("--seeds", "-1"), ("--seeds", ""), ("--folds", "1,1")]
)
def test_nothing_is_counted_twice(tmp_path, capsys, words):
    with pytest.raises(SystemExit):
        main(["crossval", *own_faces(tmp_path), "--out", str(tmp_path / "out"), *words])
    assert words[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


FACTS = {"protocol": "faces.csv", "folds": ["0"], "seeds": [0], "selection": "val", "starts_from": "none",
         "alignment": "none", "people": None}  # fmt: skip


@pytest.mark.parametrize("kind", ["au", "expression"])
def test_what_is_undefined_is_a_dash_wherever_it_is_reported(tmp_path, kind):
    """Photographs without subjects: no sequences, and no people to resample."""
    labels = np.array([[1], [0]], np.int8) if kind == "au" else [0, 1]
    logits, regions = ([[1], [-1]], ["AU1"]) if kind == "au" else ([[1, 0], [0, 1]], ["anger", "fear"])
    write_results(tmp_path, {**FACTS, "kind": kind, "regions": regions}, [[fold_predictions(logits, labels, ["", ""])]])
    text, stored = (tmp_path / "results.md").read_text(), json.loads((tmp_path / "results.json").read_text())
    assert "95 % interval -.\n" in text and "nan" not in text
    assert all(ends == [None, None] for ends in stored["interval"].values())
    beside = [beside for _, _, beside in read_run(tmp_path).headline]
    assert all(text_beside.endswith("; 95 % interval -") for text_beside in beside) and beside
    if kind == "expression":
        assert "| accuracy of sequences | - | - |" in text
        assert stored["pooled"]["sequence_accuracy"]["mean"] is None
