"""Settings, run folders and checkpoints of earlier versions: they work, with a warning that gives the new name."""

import json
import warnings
from importlib import import_module

import pytest
import torch
import yaml

from sma_models.cli import main, old_names
from sma_models.models.checkpoint import load_checkpoint
from sma_models.report.run_results import read_run
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.face_sets import au_csv, images
from tests.training.test_training import command, folder_of, log_of, write_config

OLD_KEYS = {"classifier.norm.": "units.standardise.", "classifier.": "units."}
OLD_SCORES = {"f1_at_0_5": "f1_half", "f1_always_positive": "constant", "prevalence": "rate"}


@pytest.fixture(autouse=True)
def forget_warnings(monkeypatch):
    monkeypatch.setattr(old_names, "_warned", set())


def as_before(name):
    """The name of a tensor in checkpoints before the classifier and its norm were called so."""
    for new, old in OLD_KEYS.items():
        name = name.replace(f"network.{new}", f"network.{old}")
    return name


def age(path):
    """Rewrite a checkpoint as an earlier version would have written it."""
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {as_before(name): tensor for name, tensor in content["state_dict"].items()}
    for row in content.get("log", []):
        for name in list(row):
            split, slash, score = name.partition("/")
            row[split + slash + OLD_SCORES.get(score, score)] = row.pop(name)
    torch.save(content, path)
    return content["state_dict"]


def test_every_class_that_settings_may_name_is_found_under_its_new_path():
    for new in old_names.CLASSES.values():
        module, _, name = new.rpartition(".")
        assert hasattr(import_module(module), name), new


def test_settings_are_read_with_the_current_names():
    old = {
        "trainer": {"plugins": [{"class_path": "sma_models.checkpoint_files.SafeCheckpoints"}]},
        "model": {"class_path": "sma_models.task.ExpressionTask", "init_args": {"backbone_weights": "timm"}},
    }
    with pytest.warns(UserWarning) as warned:
        new = old_names.current_settings(old)
    assert new["trainer"]["plugins"][0]["class_path"] == "sma_models.models.checkpoint_io.AtomicCheckpointIO"
    assert new["model"] == {"class_path": "sma_models.training.task.ExpressionTask", "init_args": {"pretrained": True}}
    assert len(warned) == 3
    assert "is now called sma_models.training.task.ExpressionTask" in " ".join(str(each.message) for each in warned)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert old_names.current_settings(old) == new, "a name is warned about once"
        assert old_names.current_settings(new) == new


@pytest.mark.parametrize(
    "old, new",
    [
        (["--model.backbone_weights=none"], ["--model.pretrained=false"]),
        (["--model.init_args.backbone_weights", "timm"], ["--model.init_args.pretrained", "true"]),
        (["--model.backbone_weights", "w.pt"], ["--model.pretrained", "w.pt"]),
        (["--model", "sma_models.task.ActionUnitTask"], ["--model", "sma_models.training.task.ActionUnitTask"]),
        (["--model=sma_models.task.ActionUnitTask"], ["--model=sma_models.training.task.ActionUnitTask"]),
    ],
)
def test_options_are_read_with_the_current_names(old, new):
    with pytest.warns(UserWarning, match="is now called"):
        assert old_names.current_arguments(["fit", *old, "--seed_everything", "none"]) == [
            "fit",
            *new,
            "--seed_everything",
            "none",
        ]


def test_a_checkpoint_with_the_old_keys_gives_the_same_network(tmp_path):
    network, calibration = write_checkpoint(tmp_path / "model.ckpt")
    assert {"network.units.weight", "network.units.standardise.running_mean"} <= set(age(tmp_path / "model.ckpt"))
    info, loaded = load_checkpoint(tmp_path / "model.ckpt")
    assert torch.equal(loaded(images(2, 64)).logits, network(images(2, 64)).logits)
    assert torch.equal(info.calibration.scale, calibration.scale)


@pytest.mark.filterwarnings("ignore")
def test_an_old_run_resumes_and_is_reported(tmp_path):
    """The same weights, log and scores as without the stop."""
    config = write_config(tmp_path, "ActionUnitTask", au_csv(tmp_path))
    stop = "--trainer.callbacks+=tests.helpers.stop_callbacks.StopAfter"
    for name, options in (("whole", []), ("old", [stop])):
        command("fit", config, tmp_path / name, "--trainer.max_epochs=3", *options)
    whole, old = (folder_of(tmp_path / name) for name in ("whole", "old"))
    for name in ("best.ckpt", "last.ckpt"):
        age(old / "checkpoints" / name)
    settings = yaml.safe_load((old / "config.yaml").read_text())
    settings["trainer"]["plugins"] = [{"class_path": "sma_models.checkpoint_files.SafeCheckpoints"}]
    settings["trainer"]["callbacks"] = None
    settings["model"]["class_path"] = "sma_models.task.ActionUnitTask"
    del settings["model"]["init_args"]["pretrained"]
    settings["model"]["init_args"]["backbone_weights"] = "none"
    (old / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.warns(UserWarning, match="is now called"):
        main(["fit", "--config", str(old / "config.yaml"), "--ckpt_path", str(old / "checkpoints" / "last.ckpt")])
    for name in ("best.ckpt", "last.ckpt"):
        states = [torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"] for run in (old, whole)]
        if name == "best.ckpt" and states[0].keys() != states[1].keys():
            states[0] = {key: states[0][as_before(key)] for key in states[1]}  # an epoch before the stop
        torch.testing.assert_close(*states, rtol=0, atol=0)
    assert log_of(tmp_path / "old") == log_of(tmp_path / "whole")
    assert (old / "scores_test.json").read_text() == (whole / "scores_test.json").read_text()
    scores = json.loads((old / "scores_test.json").read_text())
    page = read_run(old)
    scores["scores"] = {OLD_SCORES.get(name, name): values for name, values in scores["scores"].items()}
    (old / "scores_test.json").write_text(json.dumps(scores))
    assert read_run(old).headline == page.headline


def test_a_settings_file_is_renamed_in_place(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text(
        "model:\n  class_path: sma_models.task.ActionUnitTask\n  init_args:\n    backbone_weights: timm\n# faces 1\n"
    )
    with pytest.warns(UserWarning, match="is now called"):
        old_names.rename_in_file(path)
    assert path.read_text() == (
        "model:\n  class_path: sma_models.training.task.ActionUnitTask\n  init_args:\n    pretrained: true\n# faces 1\n"
    )
    old_names.rename_in_file(tmp_path / "none.yaml")
