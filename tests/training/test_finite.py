"""NaN and infinity stop a training; they never become a score, a prediction or the selected epoch."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sma_models.cli import main
from sma_models.metrics.calibration import Calibration, best_f1_threshold, platt_scale
from sma_models.metrics.predictions import Predictions
from sma_models.metrics.scores import au_scores
from sma_models.models.checkpoint import load_checkpoint
from sma_models.models.pretrained import build_network
from sma_models.models.sma_net import SMANet
from sma_models.training import epoch_losses
from sma_models.training.callbacks import SelectedEpoch
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.face_sets import TINY_CONFIG, au_csv, expression_csv, write_image
from tests.training.test_training import command, folder_of, write_config

pytestmark = pytest.mark.filterwarnings("ignore")
NAN = float("nan")
WILD = ("--model.optimizer.lr=1e30", "--model.optimizer.warmup_epochs=0")


@pytest.mark.parametrize("task, table", [("ActionUnitTask", au_csv), ("ExpressionTask", expression_csv)])
def test_a_training_that_diverges_stops_and_names_the_step(task, table, tmp_path):
    config = write_config(tmp_path, task, table(tmp_path))
    with pytest.raises(
        ValueError, match=r"the loss is (nan|inf) at step 1, in epoch 0: training has diverged; a lower .*lr"
    ):
        command("fit", config, tmp_path, *WILD, "--data.batch_size=2")
    assert not list(folder_of(tmp_path).glob("checkpoints/*"))
    assert not (folder_of(tmp_path) / "scores_test.json").exists()


@pytest.mark.parametrize("options", ([], ["--trainer.limit_val_batches=0"]), ids=("validated", "not-validated"))
def test_a_loss_that_is_looked_at_later_names_its_own_step(options, tmp_path, monkeypatch):
    """As on a GPU, where the host does not synchronize at every step."""
    monkeypatch.setitem(epoch_losses.CHECKED_EVERY, "cpu", 50)
    config = write_config(tmp_path, "ActionUnitTask", au_csv(tmp_path))
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) at step 1, in epoch 0"):
        command("fit", config, tmp_path, *WILD, "--data.batch_size=2", *options)


def test_weights_that_no_loss_was_computed_with_are_not_measured(tmp_path):
    """An epoch of a single step, whose loss was finite."""
    config = write_config(tmp_path, "ActionUnitTask", au_csv(tmp_path))
    with pytest.raises(
        ValueError, match="the network's logits on the val split after step 0 of training must be finite; got"
    ):
        command("fit", config, tmp_path, *WILD, "--data.batch_size=36")


def spoil(path, number=NAN):
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.classifier.weight"].view(-1)[3] = number
    torch.save(content, path)
    return path


@pytest.fixture
def spoiled(tmp_path):
    write_checkpoint(tmp_path / "model.ckpt", alignment=None)
    return spoil(tmp_path / "model.ckpt")


COMMANDS = {
    "predict": lambda path: ["predict", path, path.with_name("faces"), "--crops"],
    "export": lambda path: ["export", path, "--format", "torch-export"],
    "visualize": lambda path: ["visualize", path, path.with_name("faces"), "--out", path.with_name("seen")],
    "test": lambda path: ["test", "--config", path.with_name("config.yaml"), "--ckpt_path", path],
    "validate": lambda path: ["validate", "--config", path.with_name("config.yaml"), "--ckpt_path", path],
    "fit": lambda path: ["fit", "--config", path.with_name("config.yaml"), "--ckpt_path", path],
    "init_from": lambda path: ["fit", "--config", path.with_name("config.yaml"), f"--model.init_from={path}"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_network_of_nan_is_refused(name, spoiled, monkeypatch):
    folder = spoiled.parent
    monkeypatch.chdir(folder)
    (folder / "faces").mkdir()
    write_image(folder / "faces" / "face.png", (90, 90, 90))
    write_config(folder, "ActionUnitTask", au_csv(folder))
    if name in ("validate", "fit"):
        # These commands read the architecture from the settings.
        network = "{backbone: resnet10t, stage: 2, image_size: 64, channels: 2, embed_dim: 8}"
        text = (folder / "config.yaml").read_text()
        line = next(line for line in text.splitlines() if line.strip().startswith("network:"))
        (folder / "config.yaml").write_text(text.replace(line, f"    network: {network}"))
    with pytest.raises(ValueError, match=r"has weights that are NaN or infinite, in network\.classifier\.weight"):
        main([str(word) for word in COMMANDS[name](spoiled)])


def test_a_report_does_not_show_a_network_of_nan(spoiled):
    run = spoiled.parent / "run"
    (run / "checkpoints").mkdir(parents=True)
    spoiled.rename(run / "checkpoints" / "best.ckpt")
    (run / "config.yaml").write_text("seed_everything: 0\n")
    with pytest.raises(ValueError, match="has weights that are NaN or infinite"):
        main(["report", str(run)])


@pytest.mark.parametrize("number", [NAN, float("inf"), -float("inf")])
def test_every_number_that_is_none_counts(number, tmp_path):
    write_checkpoint(tmp_path / "model.ckpt")
    assert load_checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(ValueError, match=r"model\.ckpt has weights"):
        load_checkpoint(spoil(tmp_path / "model.ckpt", number))


def test_pretrained_weights_of_nan_are_refused(tmp_path):
    state = SMANet(["AU1"], **vars(TINY_CONFIG)).backbone.state_dict()
    name = next(iter(state))
    state[name] = state[name] * NAN
    save_file(state, tmp_path / "backbone.safetensors")
    with pytest.raises(ValueError, match=f"pretrained weights .* has weights that are NaN or infinite, in {name}"):
        build_network(["AU1"], TINY_CONFIG, pretrained=str(tmp_path / "backbone.safetensors"))


LOGITS, PRESENT = torch.tensor([0.5, NAN, -1.0, 2.0]), torch.tensor([True, True, False, False])


@pytest.mark.parametrize("fit", [best_f1_threshold, platt_scale])
def test_nothing_is_fitted_to_nan(fit):
    with pytest.raises(ValueError, match="logits must be finite; got 1 of 4 values"):
        fit(LOGITS, PRESENT)


def test_nan_is_no_decision():
    with pytest.raises(ValueError, match="logits must be finite; got 1 of 4 values"):
        Calibration(2).decide(LOGITS.view(2, 2))


def test_scores_of_nan_are_undefined():
    """Only for the action unit with NaN, and only if its label is known."""
    logits = torch.stack([LOGITS, torch.tensor([1.0, 2.0, -1.0, -2.0])], 1)
    labels, known = torch.stack([PRESENT, PRESENT], 1).float(), torch.ones(4, 2).bool()
    scores = au_scores(logits, labels, known, torch.zeros(2))
    for name in ("f1", "f1_at_0_5", "auc", "accuracy"):
        first, second = getattr(scores, name).tolist()
        assert np.isnan(first) and second == 1, name
    assert scores.prevalence.tolist() == [0.5, 0.5]
    assert scores.f1_always_positive.tolist() == pytest.approx([2 / 3, 2 / 3])
    known[1, 0] = False
    assert au_scores(logits, labels, known, torch.zeros(2)).f1[0] == pytest.approx(2 / 3)


def test_stored_predictions_are_finite():
    facts = {"labels": np.zeros((1, 2), np.int8), "subjects": np.array(["a"]), "sequences": np.array([""])}
    whole = {"threshold": np.zeros(2, np.float32), "detected": np.ones(1, bool)}
    with pytest.raises(ValueError, match="logits of predictions must be finite; got 1 of 2"):
        Predictions(np.array([[NAN, 1]], np.float32), **facts, **whole)
    with pytest.raises(ValueError, match="thresholds of predictions must be finite"):
        Predictions(np.zeros((1, 2), np.float32), **facts, **whole | {"threshold": np.array([NAN, 1], np.float32)})


def test_a_score_that_is_nan_is_never_the_best():
    assert not SelectedEpoch().check_monitor_top_k(None, torch.tensor(NAN))
    assert SelectedEpoch().check_monitor_top_k(None, torch.tensor(0.0))
