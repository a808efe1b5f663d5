"""Invalid or unusual settings: a one-line error that names the option, or a training that works."""

import csv
import logging

import pytest
import torch

from sma_models.cli import main
from sma_models.models.checkpoint import ENTRY
from sma_models.models.checkpoint_io import safe_load
from tests.helpers.face_sets import au_csv, expression_csv, write_csv
from tests.training.test_training import command, folder_of, scores_of, write_config

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expressions")
    return write_config(folder, "ExpressionTask", expression_csv(folder))


def refusal(*words):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    assert isinstance(end.value.code, str)
    assert "\n" not in end.value.code
    return end.value.code.removeprefix("sma-net: error: ")


CSV_FER = ("fit", "--config", "csv_fer.yaml")
WRONG = {
    CSV_FER: "--data.csv must be given: CSVFaces needs it",
    ("crossval", *CSV_FER[1:], "--out", "results"): "--data.csv must be given: CSVFaces needs it",
    (*CSV_FER, "--data.csvv=f.csv"): "there is no option --data.csvv; --data.help sma_models.data.CSVFaces lists",
    (*CSV_FER, "--data.csv=f.csv", "--model.network.chanels=2"): "there is no option --model.network.chanels; ",
    (*CSV_FER, "--modle.network.channels=2"): "did you mean --model.network.channels?",
    (*CSV_FER, "--data.csv=f.csv", "--trainer.max_epochs=many"): "--trainer.max_epochs must be int; got many",
    (*CSV_FER, "--data.csv=f.csv", "--model.optimizer.lr=nan"): "--model.optimizer.lr must be float; got nan",
    (*CSV_FER, "--data.csv=f.csv", "--data.batch_size=few"): "--data.batch_size must be int; got few",
    (
        *CSV_FER,
        "--data.csv=f.csv",
        "--model.network.mean=[1,2]",
    ): "--model.network.mean must be tuple with 3 elements; got [1, 2]",
    (*CSV_FER, "--data.csv=f.csv", "extra"): "there is no argument extra",
    (*CSV_FER, "--data=BP5D"): "--data: there is no class 'BP5D'",
    ("fit", "--config", "gone.yaml"): "--config: File does not exist: ",
    ("fit",): "--data, --model must be given, for example in a settings file: --config csv_fer.yaml",
    ("test", "--config", "csv_fer.yaml"): "--data.csv must be given: CSVFaces needs it",
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_option_is_reported_in_one_line(words):
    assert WRONG[words] in refusal(*words)


def test_what_is_missing_beside_an_option_is_reported_in_one_line(config, monkeypatch):
    """A missing package, or a setting that contradicts another."""
    for name in ("_TENSORBOARD_AVAILABLE", "_TENSORBOARDX_AVAILABLE"):
        monkeypatch.setattr(f"lightning.fabric.loggers.tensorboard.{name}", False)
    for option, words in (
        (
            "--trainer.logger=TensorBoardLogger",
            r"^TensorBoardLogger: Neither `tensorboard` nor `tensorboardX` is available",
        ),
        ("--trainer.enable_checkpointing=false", "^Trainer was configured with `enable_checkpointing=False` but"),
        ("--model.diversity=much", "^diversity must be one of"),
        ("--model.diversity_weight=-1", "^diversity_weight must be at least 0 and finite; got -1.0$"),
        ("--model.optimizer.lr=-1", "optimizer.lr must be at least 0 and finite; got -1.0$"),
        ("--model.optimizer.weight_decay=.inf", "optimizer.weight_decay must be at least 0 and finite; got inf$"),
        ("--model.network.image_size=0", "image_size must be at least 1; got 0$"),
        ("--model.network.std=[0,1,1]", r"std must be above 0 and finite; got \(0.0, 1.0, 1.0\)$"),
    ):
        with pytest.raises(ValueError, match=words) as error:
            main(["fit", "--config", config, option])
        assert "\n" not in str(error.value)


def test_data_check_explains_itself(capsys):
    for words in (("data",), ("data", "--help"), ("data", "check", "--help"), ("data", "check", "-h")):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 0
        assert "sma-net data check --dataset NAME" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["data", "check", "--dataset", "bp4d", "--help"])
    assert end.value.code == 0
    assert "--manifest" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["max_epochs", "max_steps", "limit_train_batches"])
def test_a_training_of_nothing_is_reported(option, config, tmp_path):
    with pytest.raises(ValueError, match=rf"nothing was trained: .*{option} 0"):
        command("fit", config, tmp_path, f"--trainer.{option}=0")


@pytest.mark.parametrize("limit, fallen", [("max_steps=5", True), ("max_time=00:00:00:02", False)])
def test_an_endless_training_warms_up_for_its_epochs(limit, fallen, config, tmp_path):
    """Steps divided by max_epochs is not the length of an epoch if another limit ends the training."""
    command(
        "fit", config, tmp_path, "--trainer.max_epochs=-1", f"--trainer.{limit}", "--model.optimizer.warmup_epochs=1"
    )
    stored = torch.load(folder_of(tmp_path) / "checkpoints" / "last.ckpt", weights_only=True)
    assert (stored["lr_schedulers"][0]["_last_lr"][0] == 0) == fallen


def test_overfitting_some_batches_is_refused(config, tmp_path):
    with pytest.raises(ValueError, match=r"overfit_batches must be 0 .*limit_train_batches"):
        command("fit", config, tmp_path, "--trainer.overfit_batches=1")


def test_a_fast_run_trains_and_tests_and_keeps_nothing(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command("fit", config, tmp_path, "--trainer.fast_dev_run=true", "--data.batch_size=4")
    assert "test split, 4 faces" in " ".join(capsys.readouterr().out.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options, words, step",
    [
        (["--trainer.limit_val_batches=0"], "there is no validation: the last epoch is saved", 6),
        (["--trainer.max_steps=2"], "no whole epoch has a score: the weights at the end of training are saved", 2),
        (["--trainer.check_val_every_n_epoch=3"], "no whole epoch has a score", 6),
    ],
)
def test_without_a_score_the_last_weights_are_kept(options, words, step, config, tmp_path):
    with pytest.warns(UserWarning, match=words):
        command("fit", config, tmp_path, *options)
    best = safe_load(folder_of(tmp_path) / "checkpoints" / "best.ckpt")
    assert best["global_step"] == step
    assert best[ENTRY]["data"]["selection"] == scores_of(tmp_path)["selection"] == "last"


def test_a_validation_part_that_shows_nothing_is_refused_before_training(tmp_path):
    """In it, every action unit is either always absent or always present."""
    path = au_csv(tmp_path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["split"] = ("train", "val", "test")[int(row["subject"][1:]) % 3]
        if row["split"] == "val":
            row |= {"AU1": 0, "AU12": 1}
    config = write_config(tmp_path, "ActionUnitTask", write_csv(path, rows))
    words = r"no epoch can be selected: in the validation split, 18 faces, none of AU1, AU12 is both present and absent; .*last"
    with pytest.raises(ValueError, match=words):
        command("fit", config, tmp_path, "--trainer.max_epochs=1")
    # The remedies.
    command("fit", config, tmp_path / "last", "--trainer.max_epochs=1", "--data.selection=last")
    command("fit", config, tmp_path / "none", "--trainer.max_epochs=1", "--trainer.limit_val_batches=0")
    next(row for row in rows if row["split"] == "val")["AU1"] = 1
    write_csv(path, rows)
    command("fit", config, tmp_path / "one", "--trainer.max_epochs=1")
    assert (folder_of(tmp_path / "one") / "scores_test.json").is_file()


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true"])
def test_a_precision_that_is_not_offered_is_refused(precision, config, tmp_path):
    words = f"trainer.precision must be one of 32-true, bf16-mixed, 16-mixed; got '{precision}'"
    with pytest.raises(ValueError, match=words):
        command("fit", config, tmp_path, f"--trainer.precision={precision}")


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    command("fit", config, out, "--trainer.max_epochs=1")
    return folder_of(out) / "checkpoints"


def test_the_chosen_weights_come_without_the_state_of_training(trained):
    best, last = (torch.load(trained / name, weights_only=True) for name in ("best.ckpt", "last.ckpt"))
    assert not {"optimizer_states", "lr_schedulers", "callbacks", "random_states", "trained", "log"} & set(best)
    assert {"optimizer_states", "lr_schedulers", "callbacks", "random_states", "trained", "log"} <= set(last)
    assert (trained / "best.ckpt").stat().st_size < 0.6 * (trained / "last.ckpt").stat().st_size


@pytest.mark.parametrize("name", ["test", "validate"])
def test_what_is_measured_lies_beside_the_trainings(name, config, trained, tmp_path, capsys):
    main([name, "--config", config, f"--ckpt_path={trained / 'best.ckpt'}", f"--trainer.logger.save_dir={tmp_path}"])
    split = "test" if name == "test" else "val"
    assert (tmp_path / f"sma_net_{name}" / "version_0" / f"scores_{split}.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [f"sma_net_{name}"]
    shown = capsys.readouterr().out
    # One table, with three digits.
    assert "accuracy" in shown and "DataLoader 0" not in shown and "metric" not in shown.lower()


def test_an_untrained_network_is_not_validated(config, tmp_path):
    with pytest.raises(ValueError, match="--ckpt_path is required: the checkpoint to validate"):
        command("validate", config, tmp_path)


def test_the_log_on_the_screen_is_about_the_run(config, tmp_path, caplog, capsys):
    with open(config) as file:
        settings = file.read().replace("  enable_model_summary: false\n", "")
    (tmp_path / "settings.yaml").write_text(settings)
    with caplog.at_level(logging.INFO):
        command("fit", str(tmp_path / "settings.yaml"), tmp_path, "--trainer.max_epochs=1")
    shown = caplog.text + capsys.readouterr().out
    for noise in (
        "Tip:",
        "litlogger",
        "FLOPs",
        "AttentionSimilarity",
        "deprecated",
        "log_every_n_steps",
        "estimate number",
    ):
        assert noise not in shown, noise
    assert "SMA-Net on test_resnet: 0.0" in shown
    assert "the selected epoch is" in shown
