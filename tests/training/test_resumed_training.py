"""A run that was stopped or crashed goes on as if it had not: order of samples, weights, log, chosen epoch and scores."""

import contextlib
import csv
import random
import shutil

import lightning
import pytest
import torch
import yaml
from torch.testing import assert_close

from sma_models.cli.lightning import run
from sma_models.training.task import ExpressionTask
from tests.helpers.face_sets import EXPRESSIONS, TINY_CONFIG, expression_csv, loaded, write_csv
from tests.helpers.stop_callbacks import Seen
from tests.training.test_training import YAML, folder_of, log_of, write_config

pytestmark = pytest.mark.filterwarnings("ignore")

NETWORK = """
    network: {backbone: test_resnet, stage: 2, image_size: 32, channels: 2, embed_dim: 8}
    optimizer: {lr: 0.02}
"""
SETTINGS = """
  callbacks: [{class_path: tests.helpers.stop_callbacks.Seen}]
last: {every_n_steps: 1}
"""


def noisy_csv(folder):
    """Expressions of which more than half are drawn, so that scores rise and fall."""
    path, draw = expression_csv(folder), random.Random(1)
    with path.open(newline="") as file:
        rows = [
            row | {"expression": draw.choice(EXPRESSIONS)} if draw.random() < 0.6 else row
            for row in csv.DictReader(file)
        ]
    return write_csv(path, rows)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return noisy_csv(tmp_path_factory.mktemp("noisy"))


@pytest.fixture(scope="module")
def config(tmp_path_factory, table):
    """Three batches an epoch, four epochs, saved after each step."""
    path = tmp_path_factory.mktemp("settings") / "config.yaml"
    path.write_text((YAML % ("ExpressionTask", NETWORK, table)).replace("max_epochs: 2", "max_epochs: 4") + SETTINGS)
    return str(path)


def fit(config, out, *options, version="run"):
    """The batches of one training; it may crash."""
    Seen.batches = []
    where = [f"--trainer.logger.save_dir={out}", *([f"--trainer.logger.version={version}"] if version else [])]
    with contextlib.suppress(InterruptedError):
        run(["fit", "--config", config, *where, *options])
    return Seen.batches


def stop(name, step):
    """Options that end a run after some steps; one that stops saves for that reason alone."""
    seldom = ["--last.every_n_steps=0"] if name == "StopAt" else []
    return [f"--trainer.callbacks+=tests.helpers.stop_callbacks.{name}", f"--trainer.callbacks.step={step}", *seldom]


def weights(folder, name):
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def same_results(one, two):
    """Everything that a reader sees of two runs, and the last weights."""
    for name in ("best", "last"):
        first, second = weights(one, name), weights(two, name)
        assert (first["epoch"], first["global_step"]) == (second["epoch"], second["global_step"]), name
        assert_close(first["state_dict"], second["state_dict"], rtol=0, atol=0)
    for name in ("metrics.csv", "scores_test.json"):
        assert (one / name).read_text() == (two / name).read_text(), name


CASES = {
    "within-an-epoch": (stop("StopAt", 5), []),
    "within the first epoch": (stop("StopAt", 1), []),
    "at the end of an epoch": (stop("StopAt", 6), []),
    "crash": (stop("CrashAt", 5), []),
    "crash-loaders-with-workers": (stop("CrashAt", 5), ["--data.num_workers=1"]),
    "within an epoch, max_steps": (stop("StopAt", 4), ["--trainer.max_steps=8"]),
    "at the end of an epoch, max_steps": (stop("StopAt", 3), ["--trainer.max_steps=8"]),
    "validation after each batch": (stop("StopAt", 4), ["--trainer.val_check_interval=1"]),
    "crash-after-a-validation": (
        stop("CrashAt", 4),
        ["--trainer.val_check_interval=2", "--trainer.check_val_every_n_epoch=null"],
    ),
    "two batches an epoch": (stop("StopAt", 3), ["--trainer.limit_train_batches=2"]),
    "accumulated gradients": (stop("StopAt", 3), ["--trainer.accumulate_grad_batches=2"]),
    "new-loaders": (
        stop("StopAt", 5),
        ["--trainer.reload_dataloaders_every_n_epochs=1", "--data.num_workers=1"],
    ),
    "last epoch": (stop("StopAt", 5), ["--data.selection=last"]),
}


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """Batches and folder of the run that never stopped, by its further settings."""
    runs = {}

    def get(*options):
        if options not in runs:
            out = tmp_path_factory.mktemp("whole")
            runs[options] = fit(config, out, *options), folder_of(out)
        return runs[options]

    return get


@pytest.mark.parametrize("case", CASES)
def test_a_run_goes_on_as_if_it_had_not_stopped(case, config, whole, tmp_path):
    end, options = CASES[case]
    batches, uninterrupted = whole(*options)
    first = fit(config, tmp_path, *options, *end)
    last = folder_of(tmp_path) / "checkpoints" / "last.ckpt"
    second = fit(config, tmp_path, *options, f"--ckpt_path={last}")
    # A crash comes one batch after last.ckpt, which that batch is shown again after.
    assert 0 < len(second) < len(batches)
    assert len(first) + len(second) == len(batches) + ("CrashAt" in end[0])
    assert first[: len(batches) - len(second)] + second == batches
    same_results(folder_of(tmp_path), uninterrupted)


def test_max_steps_and_then_no_limit_leaves_no_sample_out(config, whole, tmp_path):
    first = fit(config, tmp_path, "--trainer.max_steps=5", "--last.every_n_steps=0")
    last = folder_of(tmp_path) / "checkpoints" / "last.ckpt"
    assert first + fit(config, tmp_path, f"--ckpt_path={last}") == whole()[0]


def test_an_epoch_that_was_cut_short_is_not_compared_with_whole_ones(tmp_path):
    """It may look better than the run would have ended with."""
    config = write_config(tmp_path, "ExpressionTask", expression_csv(tmp_path))
    options = ["--model.optimizer.lr=0.001", "--model.optimizer.warmup_epochs=0", "--data.batch_size=8"]
    fit(config, tmp_path, *options, *stop("StopAt", 17), "--trainer.max_epochs=4")
    *whole, short = (float(row["val/score"]) for row in log_of(tmp_path) if row["val/score"])
    assert short > max(whole)
    assert weights(folder_of(tmp_path), "best")["global_step"] % 6 == 0


def test_a_run_goes_on_in_its_folder(config, whole, tmp_path):
    fit(config, tmp_path, *stop("StopAt", 7), version=None)
    folder = tmp_path / "sma_net" / "version_0"
    settings = (folder / "config.yaml").read_text()
    # Where results would go without a checkpoint does not matter.
    fit(config, tmp_path / "elsewhere", f"--ckpt_path={folder / 'checkpoints' / 'last.ckpt'}", version=None)
    assert not (tmp_path / "elsewhere").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]
    same_results(folder, whole()[1])
    again = yaml.safe_load((folder / "config.yaml").read_text())
    assert again["ckpt_path"] is None
    assert again["trainer"]["logger"]["init_args"] | {"save_dir": 0} == (
        yaml.safe_load(settings)["trainer"]["logger"]["init_args"] | {"save_dir": 0}
    )


@pytest.mark.parametrize("moved", [True, False])
def test_a_run_goes_on_where_it_was_moved_to_and_in_a_new_folder(config, whole, tmp_path, moved):
    """With its best epoch and its log."""
    fit(config, tmp_path / "old", *stop("StopAt", 7))
    source, out = tmp_path / "old", tmp_path / "new"
    if moved:
        source = source.rename(tmp_path / "new")
    fit(config, out, f"--ckpt_path={folder_of(source) / 'checkpoints' / 'last.ckpt'}")
    same_results(folder_of(out), whole()[1])


def test_a_run_whose_best_epoch_is_gone_does_not_go_on(config, whole, tmp_path):
    fit(config, tmp_path, *stop("StopAt", 7))
    checkpoints = folder_of(tmp_path) / "checkpoints"
    # Killed between the two moves with which a file is written.
    (checkpoints / "best.ckpt").rename(checkpoints / "best.ckpt.previous")
    fit(config, tmp_path, f"--ckpt_path={checkpoints / 'last.ckpt'}")
    same_results(folder_of(tmp_path), whole()[1])
    for path in checkpoints.glob("best.ckpt*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"best epoch .* is gone: expected best\.ckpt beside last\.ckpt"):
        fit(config, tmp_path, f"--ckpt_path={checkpoints / 'last.ckpt'}")


def test_a_finished_run_that_goes_on_changes_nothing(config, whole, tmp_path):
    shutil.copytree(whole()[1], folder_of(tmp_path))
    last = folder_of(tmp_path) / "checkpoints" / "last.ckpt"
    assert fit(config, tmp_path, f"--ckpt_path={last}") == []
    same_results(folder_of(tmp_path), whole()[1])


def test_a_damaged_last_checkpoint_is_replaced_by_the_one_before(config, whole, tmp_path):
    fit(config, tmp_path, *stop("CrashAt", 5))
    last = folder_of(tmp_path) / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    fit(config, tmp_path, f"--ckpt_path={last}")
    same_results(folder_of(tmp_path), whole()[1])


@pytest.fixture(scope="module")
def within(config, tmp_path_factory):
    """last.ckpt of a run that was stopped within its second epoch."""
    out = tmp_path_factory.mktemp("within")
    fit(config, out, *stop("StopAt", 4))
    return folder_of(out) / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize(
    "option, words",
    [
        ("--data.batch_size=8", "the checkpoint has batch_size 16, these settings batch_size 8"),
        ("--seed_everything=1", "the checkpoint has seed 0, faces .*, these settings seed 1, faces"),
        ("--data.fold=1", "the checkpoint has faces .*, these settings faces"),
    ],
)
def test_other_samples_are_refused_within_an_epoch(option, words, config, within, tmp_path):
    with pytest.raises(ValueError, match=words + ".*: expected the same, or a new run with --model.init_from"):
        fit(config, tmp_path, f"--ckpt_path={within}", option)


def test_a_run_that_is_refused_keeps_its_log(config, tmp_path):
    fit(config, tmp_path, *stop("StopAt", 6))
    last, log = (folder_of(tmp_path) / name for name in ("checkpoints/last.ckpt", "metrics.csv"))
    rows = log.read_text()
    with pytest.raises(ValueError, match="the checkpoint has seed"):
        fit(config, tmp_path, f"--ckpt_path={last}", "--seed_everything=5")
    assert rows and log.read_text() == rows


def test_another_number_of_processes_is_refused_within_an_epoch(table, within, monkeypatch):
    data = loaded(table, batch_size=16)
    monkeypatch.setattr(data, "_share", lambda: (2, 0))
    data.trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    data.trainer.state.fn = "fit"
    with pytest.raises(ValueError, match="the checkpoint has processes 1, these settings processes 2"):
        data.load_state_dict(torch.load(within, weights_only=True)["CSVFaces"])


def test_other_data_are_refused(config, within, tmp_path):
    options = ["--data=sma_models.data.SyntheticFaceData", "--data.train=20", "--data.val=10", "--data.test=10"]
    with pytest.raises(ValueError, match=r"ExpressionTask needs|regions are|not of a training on SyntheticFaceData"):
        fit(config, tmp_path, f"--ckpt_path={within}", *options)


def test_workers_may_be_more_when_a_run_goes_on(config, within, whole, tmp_path):
    second = fit(config, tmp_path, f"--ckpt_path={within}", "--data.num_workers=2")
    assert second == whole()[0][4:]
    same_results(folder_of(tmp_path), whole()[1])


def test_batches_may_be_smaller_from_the_next_epoch_on(config, tmp_path):
    fit(config, tmp_path, *stop("StopAt", 6))
    last = folder_of(tmp_path) / "checkpoints" / "last.ckpt"
    second = fit(config, tmp_path, f"--ckpt_path={last}", "--data.batch_size=8")
    for epoch in (2, 3):
        rows = [row for number, batch in second if number == epoch for row in batch]
        assert len(rows) == len(set(rows)) == 48


def test_weights_alone_are_no_run_that_goes_on(config, whole, tmp_path):
    with pytest.raises(ValueError, match=r"must be the last\.ckpt of the run .*--model\.init_from"):
        fit(config, tmp_path, f"--ckpt_path={whole()[1] / 'checkpoints' / 'best.ckpt'}")


def test_a_checkpoint_that_is_not_there_is_named_before_training(config, tmp_path):
    for name in ("gone.ckpt", "last"):
        with pytest.raises(FileNotFoundError, match=f"there is no checkpoint {name}"):
            fit(config, tmp_path, f"--ckpt_path={name}")


def test_a_second_training_of_the_same_data_starts_anew(table, within, tmp_path):
    """Its order is not that of the run that went on before."""
    data = loaded(table, batch_size=16)

    def train(**checkpoint):
        Seen.batches = []
        task = ExpressionTask(network=TINY_CONFIG)
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=2,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            use_distributed_sampler=False,
            callbacks=[Seen()],
        )
        trainer.fit(task, datamodule=data, **checkpoint)
        return Seen.batches, trainer, task

    fresh, trainer, task = train()
    assert [epoch for epoch, _ in fresh] == [0, 0, 0, 1, 1, 1]
    # Two epochs in, the same trainer goes on with the third.
    trainer.fit_loop.max_epochs = 3
    Seen.batches = []
    trainer.fit(task, datamodule=data)
    assert [epoch for epoch, _ in Seen.batches] == [2, 2, 2]
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    data.load_state_dict(torch.load(within, weights_only=True)["CSVFaces"])
    assert train()[0] == fresh


def test_a_run_of_another_version_is_told(config, within, tmp_path):
    content = torch.load(within, weights_only=True)
    del content["trained"]
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="not of a training on CSVFaces by this version"):
        fit(config, tmp_path, f"--ckpt_path={tmp_path / 'last.ckpt'}")


def test_scores_say_which_epoch_was_tested(config, whole):
    rows = [row for row in csv.DictReader((whole()[1] / "metrics.csv").open()) if row["val/score"]]
    best = max(range(len(rows)), key=lambda place: float(rows[place]["val/score"]))
    assert weights(whole()[1], "best")["epoch"] == int(rows[best]["epoch"])
    assert len({row["val/score"] for row in rows}) > 2
