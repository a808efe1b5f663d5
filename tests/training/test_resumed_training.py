"""A stopped or crashed run resumes as if uninterrupted: order of samples, weights, log, selected epoch and scores."""

import csv
import shutil

import lightning
import pytest
import torch
import yaml
from torch.testing import assert_close

from sma_models.training.task import ExpressionTask
from tests.helpers.face_sets import TINY_CONFIG, expression_csv, loaded
from tests.helpers.resumed_runs import fit, same_results, stop, weights
from tests.helpers.stop_callbacks import Seen
from tests.training.test_training import folder_of, log_of, write_config

pytestmark = pytest.mark.filterwarnings("ignore")


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


@pytest.mark.parametrize("case", CASES)
def test_a_run_resumes_as_if_it_had_not_stopped(case, config, whole, tmp_path):
    end, options = CASES[case]
    batches, uninterrupted = whole(*options)
    first = fit(config, tmp_path, *options, *end)
    last = folder_of(tmp_path) / "checkpoints" / "last.ckpt"
    second = fit(config, tmp_path, *options, f"--ckpt_path={last}")
    # The crash comes one batch after last.ckpt, so that batch is repeated after resuming.
    assert 0 < len(second) < len(batches)
    assert len(first) + len(second) == len(batches) + ("CrashAt" in end[0])
    assert first[: len(batches) - len(second)] + second == batches
    same_results(folder_of(tmp_path), uninterrupted)


def test_max_steps_and_then_no_limit_leaves_no_sample_out(config, whole, tmp_path):
    first = fit(config, tmp_path, "--trainer.max_steps=5", "--last.every_n_steps=0")
    last = folder_of(tmp_path) / "checkpoints" / "last.ckpt"
    assert first + fit(config, tmp_path, f"--ckpt_path={last}") == whole()[0]


def test_an_epoch_that_was_cut_short_is_not_compared_with_whole_ones(tmp_path):
    """It may look better than the final result of the run."""
    config = write_config(tmp_path, "ExpressionTask", expression_csv(tmp_path))
    options = ["--model.optimizer.lr=0.001", "--model.optimizer.warmup_epochs=0", "--data.batch_size=8"]
    fit(config, tmp_path, *options, *stop("StopAt", 17), "--trainer.max_epochs=4")
    *whole, short = (float(row["val/score"]) for row in log_of(tmp_path) if row["val/score"])
    assert short > max(whole)
    assert weights(folder_of(tmp_path), "best")["global_step"] % 6 == 0


def test_a_run_resumes_in_its_folder(config, whole, tmp_path):
    fit(config, tmp_path, *stop("StopAt", 7), version=None)
    folder = tmp_path / "sma_net" / "version_0"
    settings = (folder / "config.yaml").read_text()
    # The folder for results without a checkpoint does not matter.
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
def test_a_run_resumes_where_it_was_moved_to_and_in_a_new_folder(config, whole, tmp_path, moved):
    """With its best epoch and its log."""
    fit(config, tmp_path / "old", *stop("StopAt", 7))
    source, out = tmp_path / "old", tmp_path / "new"
    if moved:
        source = source.rename(tmp_path / "new")
    fit(config, out, f"--ckpt_path={folder_of(source) / 'checkpoints' / 'last.ckpt'}")
    same_results(folder_of(out), whole()[1])


@pytest.mark.parametrize("folder", ("old", "new"))
def test_the_best_epoch_before_the_stop_stays_the_best(config, tmp_path, folder):
    """In the same folder and in a new one. No later epoch reaches the score that last.ckpt states here."""
    fit(config, tmp_path / "old", *stop("StopAt", 7))
    last = folder_of(tmp_path / "old") / "checkpoints" / "last.ckpt"
    content, best = weights(folder_of(tmp_path / "old"), "last"), weights(folder_of(tmp_path / "old"), "best")
    (state,) = (state for state in content["callbacks"].values() if state.get("monitor") == "val/score")
    state["best_model_score"] = torch.tensor(2.0)
    torch.save(content, last)
    fit(config, tmp_path / folder, f"--ckpt_path={last}")
    assert_close(weights(folder_of(tmp_path / folder), "best")["state_dict"], best["state_dict"], rtol=0, atol=0)


def test_a_finished_run_that_resumes_changes_nothing(config, whole, tmp_path):
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


def test_workers_may_be_more_when_a_run_resumes(config, within, whole, tmp_path):
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


def test_a_second_training_of_the_same_data_starts_anew(table, within, tmp_path):
    """Its order differs from that of the run that continued before."""
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
    # After two epochs, the same trainer continues with the third.
    trainer.fit_loop.max_epochs = 3
    Seen.batches = []
    trainer.fit(task, datamodule=data)
    assert [epoch for epoch, _ in Seen.batches] == [2, 2, 2]
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    data.load_state_dict(torch.load(within, weights_only=True)["CSVFaces"])
    assert train()[0] == fresh


def test_scores_say_which_epoch_was_tested(config, whole):
    rows = [row for row in csv.DictReader((whole()[1] / "metrics.csv").open()) if row["val/score"]]
    best = max(range(len(rows)), key=lambda epoch: float(rows[epoch]["val/score"]))
    assert weights(whole()[1], "best")["epoch"] == int(rows[best]["epoch"])
    assert len({row["val/score"] for row in rows}) > 2
