"""fit, validate, test and resume through the real command line, on faces on disk."""

import csv
import json

import pytest
import torch
from torch.testing import assert_close

from sma_models.cli.lightning import run
from sma_models.models.checkpoint import ENTRY, load_checkpoint
from sma_models.models.checkpoint_io import safe_load
from tests.helpers.face_sets import au_csv, expression_csv, images

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice about workers and tiny logs

NETWORK = """
    network: {backbone: test_resnet, stage: 2, image_size: 32, channels: 2, embed_dim: 8, margin: 0.2}
    optimizer: {lr: 0.005, warmup_epochs: 0.5}
"""
YAML = """
model:
  class_path: sma_models.training.task.%s
  init_args: %s
data:
  class_path: sma_models.data.CSVFaces
  init_args: {csv: %s, batch_size: 16, num_workers: 0}
trainer:
  accelerator: cpu
  max_epochs: 2
  enable_progress_bar: false
  enable_model_summary: false
  num_sanity_val_steps: 0
"""


def write_config(folder, task, path):
    (folder / "config.yaml").write_text(YAML % (task, NETWORK, path))
    return str(folder / "config.yaml")


def command(name, config, out, *options):
    """Run one command of sma-net with its log in `out`."""
    return run([name, "--config", config, f"--trainer.logger.save_dir={out}", "--trainer.logger.version=run", *options])


def folder_of(out):
    return out / "sma_net" / "run"


def log_of(out):
    with (folder_of(out) / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def scores_of(out, split="test"):
    return json.loads((folder_of(out) / f"scores_{split}.json").read_text())


@pytest.fixture(scope="module")
def expressions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expressions")
    return write_config(folder, "ExpressionTask", expression_csv(folder))


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    folder = tmp_path_factory.mktemp("units")
    return write_config(folder, "ActionUnitTask", au_csv(folder))


@pytest.fixture(scope="module")
def trained(units, tmp_path_factory):
    """A training of four epochs on action units, and its checkpoint."""
    out = tmp_path_factory.mktemp("trained")
    command("fit", units, out, "--trainer.max_epochs=4")
    return out, folder_of(out) / "checkpoints" / "best.ckpt"


def test_expressions_that_colours_tell_are_learned(expressions, tmp_path, capsys):
    command("fit", expressions, tmp_path, "--trainer.max_epochs=5", "--model.class_weights=sqrt")
    scores = scores_of(tmp_path)["scores"]
    assert scores["majority_accuracy"] == pytest.approx(1 / 3)
    assert scores["majority_macro_f1"] == pytest.approx(1 / 6)
    assert scores["accuracy"] > 0.8
    assert scores_of(tmp_path)["faces"] == 18
    printed = capsys.readouterr().out
    assert f"accuracy {scores['accuracy']:.3f} (majority guess 0.333)" in printed
    assert f"macro-F1 {scores['macro_f1']:.3f} (majority guess 0.167)" in printed


def test_action_units_that_colours_tell_are_learned(trained):
    scores = scores_of(trained[0])
    assert scores["regions"] == ["AU1", "AU12"]
    assert sum(scores["scores"]["auc"]) / 2 > 0.8
    assert scores["selection"] == "val"


def test_the_best_epoch_on_validation_subjects_is_kept_with_its_thresholds(trained):
    out, path = trained
    epochs = [(float(row["val/score"]), int(row["epoch"])) for row in log_of(out) if row["val/score"]]
    checkpoint = safe_load(path)
    best = max(score for score, _ in epochs)
    assert checkpoint["epoch"] == next(epoch for score, epoch in epochs if score == best)
    assert checkpoint[ENTRY]["regions"] == ["AU1", "AU12"]
    calibration = load_checkpoint(path)[0].calibration
    assert calibration.threshold.any()
    assert (calibration.scale != 1).all()
    last = torch.load(path.with_name("last.ckpt"), weights_only=True)
    assert last["epoch"] == 3


def test_testing_a_checkpoint_repeats_what_training_reported(trained, units, tmp_path):
    out, path = trained
    command("test", units, tmp_path, f"--ckpt_path={path}")
    assert scores_of(tmp_path) == scores_of(out)


def test_a_checkpoint_that_is_not_there_is_named(units, tmp_path):
    """Otherwise an untrained network would be tested."""
    with pytest.raises(ValueError, match="--ckpt_path is required"):
        command("test", units, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*gone\.ckpt"):
        command("test", units, tmp_path, f"--ckpt_path={tmp_path / 'gone.ckpt'}")


def test_validating_a_checkpoint_repeats_its_score(trained, units, tmp_path):
    out, path = trained
    command("validate", units, tmp_path, f"--ckpt_path={path}")
    best = max(float(row["val/score"]) for row in log_of(out) if row["val/score"])
    f1 = [value for value in scores_of(tmp_path, "val")["scores"]["f1"] if value is not None]
    assert sum(f1) / len(f1) == pytest.approx(best)


def test_a_resumed_run_is_the_run_that_never_stopped(trained, units, tmp_path):
    """The same schedule, interrupted after two epochs: bit-identical weights."""
    command(
        "fit",
        units,
        tmp_path / "first",
        "--trainer.max_epochs=4",
        "--trainer.callbacks+=tests.helpers.stop_callbacks.StopAfter",
    )
    stopped = folder_of(tmp_path / "first") / "checkpoints" / "last.ckpt"
    assert torch.load(stopped, weights_only=True)["epoch"] == 1
    command("fit", units, tmp_path / "second", "--trainer.max_epochs=4", f"--ckpt_path={stopped}")
    resumed = torch.load(folder_of(tmp_path / "second") / "checkpoints" / "last.ckpt", weights_only=True)
    whole = torch.load(trained[1].with_name("last.ckpt"), weights_only=True)
    assert resumed["epoch"] == whole["epoch"] == 3
    assert_close(resumed["state_dict"], whole["state_dict"], rtol=0, atol=0)


def test_the_seed_decides_weights_and_subjects(units, tmp_path):
    cli = command("fit", units, tmp_path, "--seed_everything=3", "--trainer.max_epochs=1")
    assert cli.datamodule.seed == 3
    data = cli.datamodule
    val, train = (set(data.faces.subjects[split].tolist()) for split in (data.splits.val, data.splits.train))
    assert val == set(sorted(train | val)[3::5])


def test_last_chooses_nothing_and_keeps_the_last_epoch(units, tmp_path):
    command("fit", units, tmp_path, "--data.selection=last")
    (path,) = (folder_of(tmp_path) / "checkpoints").glob("best*.ckpt")
    assert safe_load(path)["epoch"] == 1
    assert not load_checkpoint(path)[0].calibration.threshold.any()
    assert scores_of(tmp_path)["selection"] == "last"
    assert not any(row.get("val/score") for row in log_of(tmp_path))


def test_mixed_precision_trains(units, tmp_path):
    command("fit", units, tmp_path, "--trainer.precision=bf16-mixed", "--trainer.max_epochs=1")
    values = [float(row["train/loss"]) for row in log_of(tmp_path) if row.get("train/loss")]
    assert values and all(value == value for value in values)


def test_diversity_enters_the_loss_with_its_weight(units, tmp_path):
    options = ("--trainer.max_epochs=1", "--model.diversity=orthogonal", "--model.diversity_weight=2.0")
    command("fit", units, tmp_path, *options)
    (row,) = (row for row in log_of(tmp_path) if row.get("train/loss"))
    parts = float(row["train/task"]), float(row["train/diversity"])
    assert parts[1] > 0
    assert float(row["train/loss"]) == pytest.approx(parts[0] + 2 * parts[1], rel=1e-5)


def test_fine_tuning_starts_from_another_network_by_region_name(trained, expressions, units, tmp_path):
    path = trained[1]
    cli = command(
        "fit", units, tmp_path, f"--model.init_from={path}", "--model.optimizer.lr=0", "--trainer.max_epochs=1"
    )
    _, source = load_checkpoint(path)
    assert_close(cli.model.network.classifier.weight.detach(), source.classifier.weight.detach())
    assert scores_of(tmp_path)["starts_from"] == str(path)


@pytest.mark.parametrize("command_name", ["fit", "validate"])
def test_a_checkpoint_of_other_regions_is_refused(trained, tmp_path, command_name):
    """The same number of units with other names would load without an error and be wrong."""
    path = au_csv(tmp_path)
    path.write_text(path.read_text().replace("AU12", "AU4", 1))
    config = write_config(tmp_path, "ActionUnitTask", path)
    with pytest.raises(ValueError, match=r"regions are \['AU1', 'AU12'\].*\['AU1', 'AU4'\]"):
        command(command_name, config, tmp_path, f"--ckpt_path={trained[1]}")


def test_a_task_refuses_labels_of_the_other_kind(units, expressions, tmp_path):
    with pytest.raises(ValueError, match=r"ExpressionTask needs labels of kind 'expression'.*'au'"):
        command("fit", units, tmp_path, "--model=sma_models.training.task.ExpressionTask")


def test_a_loaded_network_predicts_what_the_test_measured(trained, units, tmp_path):
    cli = command("test", units, tmp_path, f"--ckpt_path={trained[1]}")
    info, network = load_checkpoint(trained[1])
    data = cli.datamodule
    batches = list(data.test_dataloader())
    with torch.no_grad():
        called = torch.cat([info.calibration.decide(network(batch["image"]).logits) for batch in batches])
    labels, known = (torch.cat([batch[name] for batch in batches]) for name in ("labels", "known"))
    right = ((called == labels.bool()) & known).sum(0) / known.sum(0)
    assert right.tolist() == pytest.approx(scores_of(tmp_path)["scores"]["accuracy"])


def test_shipped_configurations_are_found_by_name(tmp_path):
    """Only their names are given; files in the working directory take precedence."""
    from sma_models.cli.lightning import shipped

    assert shipped("csv_fer.yaml").endswith("configs/csv_fer.yaml")
    assert shipped("--config=csv_fer.yaml").startswith("--config=")
    assert shipped("--config=elsewhere/own.yaml") == "--config=elsewhere/own.yaml"
    assert shipped("--data.csv=csv_fer.yaml") == "--data.csv=csv_fer.yaml"


def test_images_alone_are_enough_for_a_loaded_network(trained):
    _, network = load_checkpoint(trained[1])
    assert network(images(3)).logits.shape == (3, 2)
