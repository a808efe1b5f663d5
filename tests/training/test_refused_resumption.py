"""Runs that cannot resume: each is rejected with the reason, and its log is kept."""

import lightning
import pytest
import torch

from tests.helpers.face_sets import loaded
from tests.helpers.resumed_runs import fit, same_results, stop
from tests.training.test_training import folder_of

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_run_whose_best_epoch_is_gone_does_not_resume(config, whole, tmp_path):
    fit(config, tmp_path, *stop("StopAt", 7))
    checkpoints = folder_of(tmp_path) / "checkpoints"
    # Killed between the two renames that write a file.
    (checkpoints / "best.ckpt").rename(checkpoints / "best.ckpt.previous")
    fit(config, tmp_path, f"--ckpt_path={checkpoints / 'last.ckpt'}")
    same_results(folder_of(tmp_path), whole()[1])
    for path in checkpoints.glob("best.ckpt*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"best epoch .* is missing: expected best\.ckpt next to last\.ckpt"):
        fit(config, tmp_path, f"--ckpt_path={checkpoints / 'last.ckpt'}")


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


def test_weights_alone_are_no_run_that_resumes(config, whole, tmp_path):
    with pytest.raises(ValueError, match=r"must be the last\.ckpt of the run to resume.*--model\.init_from"):
        fit(config, tmp_path, f"--ckpt_path={whole()[1] / 'checkpoints' / 'best.ckpt'}")


def test_a_checkpoint_that_is_not_there_is_named_before_training(config, tmp_path):
    for name in ("gone.ckpt", "last"):
        with pytest.raises(FileNotFoundError, match=f"there is no checkpoint {name}"):
            fit(config, tmp_path, f"--ckpt_path={name}")


def test_a_run_of_another_version_is_reported(config, within, tmp_path):
    content = torch.load(within, weights_only=True)
    del content["trained"]
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="not of a training on CSVFaces by this version"):
        fit(config, tmp_path, f"--ckpt_path={tmp_path / 'last.ckpt'}")
