"""`sma-net crossval` and tests on other databases, on small copies; and the pooled measures by hand."""

import json
import logging
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from lightning.pytorch import Trainer

from sma_models.cli import main
from sma_models.cli.crossval import write_results
from sma_models.cli.lightning import run
from sma_models.data.face_table import UNKNOWN
from sma_models.metrics.aggregate import aggregate_aus, aggregate_expressions, au_fold, expression_fold, summarise
from sma_models.metrics.predictions import Predictions
from sma_models.models.checkpoint import ENTRY, read_checkpoint
from sma_models.report.run_results import read_run
from tests.helpers.checkpoints import SMALL, write_checkpoint
from tests.helpers.database_copies import write_bp4d, write_bp4dplus, write_bu3dfe, write_ckplus, write_disfa, write_mmi
from tests.helpers.face_sets import expression_csv

CONFIGS = {
    "bp4d": "bp4d_p1.yaml",
    "disfa": "disfa_p2.yaml",
    "ckplus": "ckplus_10fold.yaml",
    "mmi": "mmi.yaml",
    "bu3dfe": "bu3dfe.yaml",
    "bp4dplus": "bp4dplus.yaml",
}
WRITERS = {
    "bp4d": write_bp4d,
    "disfa": write_disfa,
    "ckplus": lambda root: write_ckplus(root, {(n, 1): (1, 5, 7)[n % 3] for n in range(1, 7)}),
    "mmi": lambda root: write_mmi(root, {str(n): (f"S{n:03d}-1.avi", 0, 1 + n % 2) for n in range(1, 5)}),
    "bu3dfe": lambda root: write_bu3dfe(root, ("F0001", "F0002", "M0001")),
    "bp4dplus": lambda root: write_bp4dplus(root, frames=9),
}


def small(manifest, config):
    """Arguments that make a shipped protocol tiny."""
    return ["--config", config, "--data.init_args.manifest", str(manifest), "--data.init_args.num_workers=0",
            "--data.init_args.batch_size=8", "--model.init_args.backbone_weights=none",
            *(f"--model.init_args.network.{name}={value}" for name, value in SMALL.items()),
            "--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
            "--trainer.enable_model_summary=false"]  # fmt: skip


def checked(tmp_path, dataset):
    WRITERS[dataset](tmp_path / dataset)
    manifest = tmp_path / f"{dataset}.csv"
    main(["data", "check", "--dataset", dataset, "--root", str(tmp_path / dataset), "--manifest", str(manifest)])
    return manifest


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


def test_crossval_goes_on_where_it_stopped(tmp_path, monkeypatch):
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
            # After its epochs, before its test.
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
    """The settings of six people's faces, of which each shows two expressions, with some more columns, six cells each."""
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
    """Five invented folds would each test the same faces, and pool them five times."""
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
def test_a_folder_of_results_belongs_to_the_faces_that_it_was_begun_with(tmp_path, old, new):
    """Folds of the file as it was and as it is now would be pooled: some faces twice, and some never."""
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


def answers(logits, labels, subjects, threshold=0.0, sequences=None, found=True):
    logits = np.asarray(logits, np.float32)
    return Predictions(logits, np.asarray(labels), np.full(logits.shape[1], threshold, np.float32), np.array(subjects),
                   np.array(sequences or subjects), np.full(len(logits), found))  # fmt: skip


def test_pooled_units_use_each_folds_thresholds():
    one = answers([[3], [1], [-1], [-2]], np.array([[1], [0], [0], [UNKNOWN]], np.int8), list("aabb"), threshold=2)
    two = answers([[-3], [-5], [-1]], np.array([[1], [0], [1]], np.int8), list("ccd"), threshold=-4)
    assert au_fold(one)["f1"] == au_fold(two)["f1"] == 1
    pooled = aggregate_aus([one, two])
    assert pooled["f1"] == 1 and pooled["accuracy"] == 1
    # At one half: one right, one false, two missed of three.
    assert pooled["f1_half"] == pytest.approx(2 / (3 + 2))
    assert pooled["rate"] == pytest.approx(0.5) and pooled["constant"] == pytest.approx(2 * 0.5 / 1.5)
    assert pooled["auc"] == pytest.approx((3 + 1 + 1.5) / 9)  # -1 ties with a negative


def test_pooled_is_not_the_mean_of_folds():
    one = answers([[1], [1]], np.array([[1], [1]], np.int8), list("ab"))
    two = answers([[1], [-1], [-1]], np.array([[1], [0], [1]], np.int8), list("cde"))
    result = summarise([[one, two]], "au")
    # In the first fold nothing is negative: F1 is undefined there, and is left out.
    assert result["mean_of_folds"]["f1"]["mean"] == pytest.approx(2 / 3)
    assert result["pooled"]["f1"]["mean"] == pytest.approx(2 * 3 / (4 + 3))
    assert np.isnan(result["pooled"]["f1"]["sd_over_seeds"]) and np.isnan(
        result["mean_of_folds"]["f1"]["sd_over_folds"]
    )
    low, high = result["interval"]["f1"]
    # Of five subjects drawn from five, F1 is below 0.4 with probability 0.015, and at most 0.4 with 0.034.
    assert low == pytest.approx(0.4) and high == 1


def test_deviations_over_folds_and_over_seeds():
    """Accuracies by fold (columns) and seed (rows): 1 and 1/2, 1/2 and 0."""
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    folds = [[[right, right], [right, wrong]], [[right, wrong], [wrong, wrong]]]
    runs = [[answers(logits, [0, 0], [f"{fold}a", f"{fold}b"]) for fold, logits in enumerate(seed)] for seed in folds]
    result = summarise(runs, "expression")
    assert set(result["mean_of_folds"]) == {"accuracy", "sequence_accuracy", "majority_accuracy"}
    of_folds = result["mean_of_folds"]["accuracy"]
    assert of_folds["mean"] == pytest.approx(0.5)
    # Means over seeds are 3/4 and 1/4, means over folds too; the sample deviation of two is their distance by √2.
    assert of_folds["sd_over_folds"] == pytest.approx(0.5 / 2**0.5)
    assert of_folds["sd_over_seeds"] == pytest.approx(0.5 / 2**0.5)
    assert result["pooled"]["accuracy"]["sd_over_seeds"] == pytest.approx(0.5 / 2**0.5)
    folds[1] = [[right, right], [right, wrong]]
    runs = [[answers(logits, [0, 0], [f"{fold}a", f"{fold}b"]) for fold, logits in enumerate(seed)] for seed in folds]
    of_folds = summarise(runs, "expression")["mean_of_folds"]["accuracy"]
    assert of_folds["sd_over_folds"] == pytest.approx(0.5 / 2**0.5) and of_folds["sd_over_seeds"] == 0


def test_intervals_resample_people_not_frames():
    """A hundred frames of each of two people, one always right, one never: frames alone would say 0.5 ± 0.07."""
    logits, labels, people = [[1.0, 0.0]] * 200, [0] * 100 + [1] * 100, ["a"] * 100 + ["b"] * 100
    result = summarise([[answers(logits, labels, people)]], "expression")
    assert result["interval"]["accuracy"] == [0, 1]
    # Whoever is drawn, each of two people is right half of the time.
    even = summarise([[answers(logits, labels, ["a", "b"] * 100)]], "expression")
    assert even["interval"]["accuracy"] == [0.5, 0.5]
    units = np.array([[1], [0]] * 100, np.int8)
    both = summarise([[answers([[1]] * 200, units, ["a"] * 100 + ["b"] * 100)]], "au")
    assert both["interval"]["f1"] == pytest.approx([2 / 3, 2 / 3])


def test_frames_without_a_face_are_scored_and_told():
    seen = answers([[1], [-1], [-1]], np.array([[1], [0], [0]], np.int8), list("abc"))
    blind = answers([[-1], [1]], np.array([[1], [0]], np.int8), list("de"), found=False)
    result = summarise([[seen, blind]], "au")
    assert (result["frames"], result["without_a_face"]) == (5, 2)
    assert result["pooled"]["f1"]["mean"] == pytest.approx(0.5) and result["pooled_with_a_face"]["f1"]["mean"] == 1
    assert "pooled_with_a_face" not in summarise([[seen]], "au")
    mixed = answers([[1], [-1], [-1], [1]], np.array([[1], [0], [1], [0]], np.int8), list("abcd"))
    mixed.found[2:] = False
    result = summarise([[mixed]], "au")
    assert result["pooled"]["f1"]["mean"] == pytest.approx(0.5) and result["pooled_with_a_face"]["f1"]["mean"] == 1


def test_sequences_are_called_by_mean_probability():
    # Two of three frames say class 1 a little, one says class 0 loudly: the sequence is class 0.
    logits = [[0, 0.1], [0, 0.1], [5, 0], [0, 4]]
    one = answers(logits, [0, 0, 0, 1], list("aaab"), sequences=["s", "s", "s", "s"])
    assert expression_fold(one)["accuracy"] == 0.5 and expression_fold(one)["sequence_accuracy"] == 1
    # By probability two sure frames outvote a third one, however loud; by logit they would not.
    loud = answers([[0, 3], [0, 3], [99, 0]], [1, 1, 1], list("aaa"), sequences=list("sss"))
    assert expression_fold(loud)["sequence_accuracy"] == 1
    # A confident network's probabilities round to 1 in float64: frames that disagree still do not tie.
    sure = answers([[40, 0], [0, 45]], [1, 1], list("aa"), sequences=list("ss"))
    assert expression_fold(sure)["sequence_accuracy"] == 1
    sure = answers([[400, 0, 1], [0, 450, 0], [0, 0, 500], [1, 0, 0]], [2] * 4, list("aaab"), sequences=list("ssss"))
    assert expression_fold(sure)["sequence_accuracy"] == 0.5
    # Sequences have the same names for everybody.
    alike = answers([[0, 1], [3, 0]], [0, 0], list("ab"), sequences=["001", "001"])
    assert expression_fold(alike)["sequence_accuracy"] == 0.5
    two = answers([[0, 1], [1, 0]], [0, 0], list("cd"))
    pooled = aggregate_expressions([one, two])
    assert pooled["accuracy"] == pytest.approx(3 / 6) and pooled["sequence_accuracy"] == pytest.approx(3 / 4)
    assert pooled["confusion"].tolist() == [[2, 3], [0, 1]]
    assert pooled["macro_f1"] == pytest.approx((2 * 2 / 7 + 2 * 1 / 5) / 2)


def test_frames_outside_of_sequences_are_in_none():
    logits, labels = [[1, 0], [1, 0], [0, 1], [0, 1]], [0, 0, 0, 0]
    some = answers(logits, labels, list("aaaa"), sequences=["s", "s", "", ""])
    assert expression_fold(some)["sequence_accuracy"] == 1
    none = answers(logits, labels, list("aaaa"), sequences=[""] * 4)
    assert expression_fold(none)["accuracy"] == 0.5 and np.isnan(expression_fold(none)["sequence_accuracy"])


@pytest.mark.parametrize("subjects", [[""] * 4, ["p1"] * 4], ids=["nobody named", "one person"])
def test_one_person_has_no_interval(subjects):
    """Whoever is drawn from one person is the same: that is no interval of width 0."""
    faces = answers([[1, 0], [1, 0], [0, 1], [0, 1]], [0, 0, 0, 1], subjects)
    interval = summarise([[faces]], "expression")["interval"]
    assert np.isnan([*interval["accuracy"], *interval["macro_f1"]]).all()
    units = answers([[1], [-1]], np.array([[1], [0]], np.int8), subjects[:2])
    assert np.isnan(summarise([[units]], "au")["interval"]["f1"]).all()


FACTS = {"protocol": "faces.csv", "folds": ["0"], "seeds": [0], "selection": "val", "starts_from": "none",
         "alignment": "none", "people": None}  # fmt: skip


@pytest.mark.parametrize("kind", ["au", "expression"])
def test_what_is_undefined_is_a_dash_wherever_it_is_told(tmp_path, kind):
    """Photographs of nobody in particular: no sequences, no people to resample."""
    labels = np.array([[1], [0]], np.int8) if kind == "au" else [0, 1]
    logits, regions = ([[1], [-1]], ["AU1"]) if kind == "au" else ([[1, 0], [0, 1]], ["anger", "fear"])
    write_results(tmp_path, {**FACTS, "kind": kind, "regions": regions}, [[answers(logits, labels, ["", ""])]])
    text, stored = (tmp_path / "results.md").read_text(), json.loads((tmp_path / "results.json").read_text())
    assert "95 % interval -.\n" in text and "nan" not in text
    assert all(ends == [None, None] for ends in stored["interval"].values())
    beside = [beside for _, _, beside in read_run(tmp_path).headline]
    assert all(told.endswith("; 95 % interval -") for told in beside) and beside
    if kind == "expression":
        assert "| accuracy of sequences | - | - |" in text
        assert stored["pooled"]["sequence_accuracy"]["mean"] is None


def test_a_checkpoint_on_another_database(tmp_path, caplog):
    # Lightning's logger writes to the stream that was there when it was made: it is read through a handler instead.
    logging.getLogger("lightning.pytorch").addHandler(caplog.handler)
    # Every action unit shows in other frames.
    write_disfa(tmp_path / "disfa", frames=27, level=lambda unit, n: 3 * (n == unit))
    disfa = tmp_path / "disfa.csv"
    main(["data", "check", "--dataset", "disfa", "--root", str(tmp_path / "disfa"), "--manifest", str(disfa)])
    write_checkpoint(tmp_path / "bp4d.ckpt", ("AU1", "AU12", "AU14"), alignment=None, people="bp4d")
    arguments = ["test", *small(disfa, "disfa_p1.yaml"), "--data.init_args.fold=all",
                 f"--trainer.logger.init_args.save_dir={tmp_path}"]  # fmt: skip
    cli = run([*arguments, "--ckpt_path", str(tmp_path / "bp4d.ckpt")])
    told = caplog.text
    assert "scored: AU1, AU12\n" in told and "of the checkpoint only: AU14" in told
    assert "of these data only: AU2, AU4, AU6, AU9, AU25, AU26" in told
    scores = cli.model.scores
    assert np.isfinite(scores.auc[:2]).all() and np.isnan(scores.f1[2])
    labels = cli.datamodule.faces.labels
    frames = cli.datamodule.faces.frames
    assert (labels[:, 2] == UNKNOWN).all()
    assert (labels[:, 0] == (frames == 1)).all() and (labels[:, 1] == (frames == 12)).all()
    write_checkpoint(tmp_path / "none.ckpt", ("AU14", "AU23"), alignment=None)
    with pytest.raises(ValueError, match="none in common"):
        run([*arguments, "--ckpt_path", str(tmp_path / "none.ckpt")])


def test_people_that_were_trained_on_are_not_tested(tmp_path):
    """DISFA+ has nine of DISFA's people, under the same names."""
    checked(tmp_path, "disfa")
    for people, name, refused in (
        ("disfa", "SN001", True),
        ("DI-SFA", "sn001", True),
        (None, "SN001", True),
        ("", "SN001", True),
        ("bp4d", "SN001", False),
        ("DISFA+", "SN001", True),
    ):
        write_checkpoint(tmp_path / "model.ckpt", ("AU1",), alignment=None, people=people, subjects=(name, "SN030"))
        (tmp_path / "plus.csv").write_text(
            "image,subject,split,AU1\ndisfa/SN001/0.png,SN001,test,1\ndisfa/SN002/1.png,SN002,test,0\n"
            "disfa/SN003/0.png,SN003,train,1\ndisfa/SN004/0.png,SN004,train,1\n"
        )
        arguments = ["test", "--model=ActionUnitTask", "--data=CSVFaces", f"--data.csv={tmp_path / 'plus.csv'}",
                     "--data.people=disfa", "--data.num_workers=0", "--trainer.accelerator=cpu",
                     "--trainer.logger=false", f"--trainer.default_root_dir={tmp_path}",
                     f"--ckpt_path={tmp_path / 'model.ckpt'}"]  # fmt: skip
        if refused:
            with pytest.raises(ValueError, match="trained on 1 of the subjects that would be tested: SN001"):
                run(arguments)
        else:
            run(arguments)


def test_checkpoints_know_whom_they_saw(tmp_path):
    """The other folds of the same database hold people that a checkpoint was trained on."""
    manifest = checked(tmp_path, "bp4d")
    fit = run(["fit", *small(manifest, "bp4d_p1.yaml"), f"--trainer.logger.init_args.save_dir={tmp_path}"])
    path = fit.trainer.checkpoint_callback.best_model_path
    seen = {"people": "bp4d", "subjects": ["F003", "F004", "F005", "F006"], "alignment": None, "selection": "val"}
    assert read_checkpoint(path)[ENTRY]["data"] == seen
    again = [
        "test",
        *small(manifest, "bp4d_p1.yaml"),
        f"--trainer.logger.init_args.save_dir={tmp_path}",
        "--ckpt_path",
        path,
    ]
    again.append("--data.init_args.selection=last")
    tested = run(again)
    scores = json.loads((Path(tested.trainer.log_dir) / "scores_test.json").read_text())
    # The table names how the checkpoint was made, whatever the settings of the test say.
    assert (scores["selection"], scores["starts_from"]) == ("val", "none")
    with pytest.raises(ValueError, match="trained on 2 of the subjects"):
        run([*again, "--data.init_args.fold=P2"])
    facts = json.loads(manifest.with_suffix(".json").read_text())
    facts["alignment"] = {"template": "eyes", "detector": "cascade", "size": 256}
    manifest.with_suffix(".json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="was trained on faces aligned by"):
        run(again)
