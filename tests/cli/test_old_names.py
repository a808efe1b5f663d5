"""Settings, run folders and checkpoints of earlier versions still work, with a warning that gives the new name."""

import json
import re
import warnings
from functools import partial
from importlib import import_module

import pytest
import torch
import yaml

from sma_models.cli import main, old_names
from sma_models.cli.lightning import run
from sma_models.models.checkpoint import load_checkpoint
from sma_models.report.run_results import read_run
from sma_models.utils.run_dir import check_same_settings
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.database_copies import write_bp4dplus
from tests.helpers.face_sets import au_csv, images
from tests.training.test_training import command, folder_of, log_of, write_config

OLD_KEYS = {"classifier.norm.": "units.standardise.", "classifier.": "units."}
OLD_SCORES = {"f1_at_0_5": "f1_half", "f1_always_positive": "constant", "prevalence": "rate"}


@pytest.fixture(autouse=True)
def forget_warnings(monkeypatch):
    monkeypatch.setattr(old_names, "_warned", set())


def as_before(name):
    """The name of a tensor in checkpoints from before the classifier and its norm were renamed."""
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
        "trainer": {"plugins": [{"class_path": "sma_models.checkpoint_files.SafeCheckpoints"}], "keep": 1},
        "model": {"class_path": "sma_models.task.ExpressionTask", "init_args": {"backbone_weights": "timm"}},
        "data": {"class_path": "sma_models.data.mmi.MMI", "init_args": {"keep": True}},
    }
    with pytest.warns(FutureWarning) as caught:
        new = old_names.current_settings(old, "fit")
    assert new == {
        "trainer": {"plugins": [{"class_path": "sma_models.models.checkpoint_io.AtomicCheckpointIO"}], "keep": 1},
        "model": {"class_path": "sma_models.training.task.ExpressionTask", "init_args": {"pretrained": True}},
        "data": {"class_path": "sma_models.data.MMI", "init_args": {"cache": True}},
    }
    assert len(caught) == 5
    messages = " ".join(str(warning.message) for warning in caught)
    assert "sma_models.task.ExpressionTask is now called sma_models.training.task.ExpressionTask" in messages
    assert "model.backbone_weights is now called model.pretrained" in messages
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert old_names.current_settings(old, "fit") == new, "a name is warned about once"
        assert old_names.current_settings(new, "fit") == new


def test_settings_of_one_class_are_read_with_the_current_names():
    """For files such as --data faces.yaml, which do not name the group of their settings."""
    with pytest.warns(FutureWarning, match="data.keep is now called data.cache"):
        assert old_names.current_settings({"init_args": {"keep": True}}, "fit") == {"init_args": {"cache": True}}
    assert old_names.current_settings({"keep": True}, "fit") == {"keep": True}


def test_a_value_of_another_type_is_left_alone():
    with pytest.warns(FutureWarning):
        settings = old_names.current_settings({"model": {"backbone_weights": ["none"]}}, "fit")
    assert settings == {"model": {"pretrained": ["none"]}}


@pytest.mark.parametrize(
    "command, old, new",
    [
        ("fit", ["--model.backbone_weights=none"], ["--model.pretrained=false"]),
        ("fit", ["--model.init_args.backbone_weights", "timm"], ["--model.init_args.pretrained", "true"]),
        ("fit", ["--model.backbone_weights", "w.pt"], ["--model.pretrained", "w.pt"]),
        ("fit", ["--model", "sma_models.task.ActionUnitTask"], ["--model", "sma_models.training.task.ActionUnitTask"]),
        ("fit", ["--model=sma_models.task.ActionUnitTask"], ["--model=sma_models.training.task.ActionUnitTask"]),
        ("fit", ["--data.keep=true"], ["--data.cache=true"]),
        ("fit", ["--data.init_args.keep", "true"], ["--data.init_args.cache", "true"]),
        *(
            (command, [f"--{old}", *value], [f"--{new}", *value])
            for command in ("align", "predict", "ablate", "data check")
            for old, new in old_names.SETTINGS[command].items()
            for value in ([], ["none"])
        ),
        ("predict", ["--smooth=0.5"], ["--smoothing=0.5"]),
    ],
)
def test_options_are_read_with_the_current_names(command, old, new):
    old_option, new_option = (option.partition("=")[0].replace(".init_args", "") for option in (old[0], new[0]))
    if old_option == "--model":
        old_option, new_option = "sma_models.task.ActionUnitTask", "sma_models.training.task.ActionUnitTask"
    rest = ["--seed_everything", "none", "--smooths", "--trainer.keep=1"]
    with pytest.warns(FutureWarning, match=f"^{old_option} is now called {new_option};"):
        assert old_names.current_arguments(["a", *old, *rest], command) == ["a", *new, *rest]


@pytest.mark.parametrize(
    "words",
    [["align"], ["predict"], ["ablate"], ["data", "check", "--dataset", "bp4dplus"], ["fit", "--model"]],
    ids=lambda words: words[0],
)
def test_help_shows_new_names_and_hides_old_ones(words, capsys):
    classes = {"--model": "ActionUnitTask"}
    with pytest.raises(SystemExit):
        main([*words[:-1], f"{words[-1]}.help", classes[words[-1]]] if words[-1] in classes else [*words, "--help"])
    shown = set(re.findall(r"--([\w.-]+)", capsys.readouterr().out.replace("model.init_args.", "model.")))
    command = words[0] if words[0] != "data" else "data check"
    names = {old: new for old, new in old_names.SETTINGS[command].items() if not old.startswith("data.")}
    assert shown.isdisjoint(names) and shown >= set(names.values())


def test_a_checkpoint_with_the_old_keys_gives_the_same_network(tmp_path):
    network, calibration = write_checkpoint(tmp_path / "model.ckpt")
    assert {"network.units.weight", "network.units.standardise.running_mean"} <= set(age(tmp_path / "model.ckpt"))
    info, loaded = load_checkpoint(tmp_path / "model.ckpt")
    assert torch.equal(loaded(images(2, 64)).logits, network(images(2, 64)).logits)
    assert torch.equal(info.calibration.scale, calibration.scale)


@pytest.mark.filterwarnings("ignore")
def test_an_old_run_resumes_and_is_reported(tmp_path):
    """The same weights, log and scores as without the interruption."""
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
    with pytest.warns(FutureWarning, match="is now called"):
        main(["fit", "--config", str(old / "config.yaml"), "--ckpt_path", str(old / "checkpoints" / "last.ckpt")])
    for name in ("best.ckpt", "last.ckpt"):
        states = [torch.load(run / "checkpoints" / name, weights_only=True)["state_dict"] for run in (old, whole)]
        if name == "best.ckpt" and states[0].keys() != states[1].keys():
            states[0] = {key: states[0][as_before(key)] for key in states[1]}  # one epoch before the interruption
        torch.testing.assert_close(*states, rtol=0, atol=0)
    assert log_of(tmp_path / "old") == log_of(tmp_path / "whole")
    assert (old / "scores_test.json").read_text() == (whole / "scores_test.json").read_text()
    scores = json.loads((old / "scores_test.json").read_text())
    page = read_run(old)
    scores["scores"] = {OLD_SCORES.get(name, name): values for name, values in scores["scores"].items()}
    (old / "scores_test.json").write_text(json.dumps(scores))
    assert read_run(old).headline == page.headline


def test_a_folder_of_results_takes_settings_under_old_names(tmp_path):
    old = "model:\n  class_path: sma_models.task.ActionUnitTask\n  init_args:\n    backbone_weights: timm\n# faces 1\n"
    new = (
        "model:\n  class_path: sma_models.training.task.ActionUnitTask\n  init_args:\n    pretrained: true\n# faces 1\n"
    )
    current, path = partial(old_names.current_settings, command="fit"), tmp_path / "settings.yaml"
    path.write_text(old)
    with pytest.warns(FutureWarning, match="is now called"):
        check_same_settings(tmp_path, new, current)
    assert path.read_text() == new
    for other in (new.replace("true", "1"), new.replace("faces 1", "faces 2"), "model: [", ""):
        path.write_text(other)
        with pytest.raises(ValueError, match="different settings or faces"):
            check_same_settings(tmp_path, new, current)


@pytest.mark.parametrize("in_file", [False, True])
def test_first_picture_is_read_as_first_image(tmp_path, in_file):
    """The numbers of 30 images from 3 on do not show which belongs to frame 1, so the setting decides."""
    write_bp4dplus(tmp_path / "data", subjects=("F001",), base=3)
    (tmp_path / "check.yaml").write_text("first_picture: 0\n")
    setting = ["--config", str(tmp_path / "check.yaml")] if in_file else ["--first_picture", "0"]
    words = ["--dataset", "bp4dplus", "--root", str(tmp_path / "data"), "--manifest", str(tmp_path / "m.csv"), *setting]
    with pytest.warns(FutureWarning, match="first_picture is now called (--)?first_image"):
        main(["data", "check", *words])
    assert json.loads((tmp_path / "m.json").read_text())["settings"]["first_picture"] == 0


@pytest.mark.parametrize("form", ["setting", "class_file", "option", "option_with_init_args"])
def test_keep_is_read_as_cache(tmp_path, form):
    data = {"class_path": "SyntheticFaceData", "init_args": {"train": 2, "val": 2, "test": 2, "subjects": 2}}
    arguments = {
        "option": ["--data.keep=true"],
        "option_with_init_args": ["--data.init_args.keep", "true"],
        "class_file": ["--data", str(tmp_path / "data.yaml")],
    }.get(form, [])
    if form in ("setting", "class_file"):
        data["init_args"]["keep"] = True
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(data))
    network = {"backbone": "resnet10t", "stage": 1, "image_size": 32, "channels": 2, "embed_dim": 4}
    settings = {"model": {"class_path": "ActionUnitTask", "init_args": {"network": network}}}
    settings |= {} if form == "class_file" else {"data": data}
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(settings))
    with pytest.warns(FutureWarning, match="data.keep is now called (--)?data.cache"):
        cli = run(["--config", str(tmp_path / "fit.yaml"), *arguments], command=False)
    assert cli.datamodule.cache
