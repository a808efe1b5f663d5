"""`sma-net ablate` with tiny settings: complete runs, runs resumed after a kill, and runs from cached features."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import torch
import yaml

from sma_models.ablation.arms import make_arms
from sma_models.ablation.config import Ablation, FaceCounts, Training
from sma_models.ablation.datasets import arm_data
from sma_models.ablation.end_to_end import run_network
from sma_models.ablation.evaluation import RunScores
from sma_models.ablation.experiment import prepare
from sma_models.ablation.feature_cache import FeatureSplit, read_split, synthetic_features
from sma_models.ablation.frozen_features import run_head
from sma_models.ablation.run_files import ArmRun, gather
from sma_models.cli import main
from sma_models.data.transforms import Augment, canvas_size
from sma_models.models.checkpoint import load_checkpoint
from sma_models.models.sma_net import NetworkConfig
from sma_models.training.optimizer import OptimizerConfig

NETWORK = {"backbone": "resnet10t", "stage": 1, "image_size": 32, "channels": 2, "embed_dim": 4}
FACES = {"backbone": 90, "backbone_val": 40, "train": 90, "val": 40, "test": 30, "attention": 24, "subjects": 10}
TINY = {
    "protocol": "heads",
    "network": NETWORK,
    "backbone": {"epochs": 1},
    "training": {"epochs": 1},
    "faces": FACES,
    "seeds": 3,
    "sweep_seeds": 1,
    "sweeps": {"merge": ["none"]},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Features of the tiny settings."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, synthetic_features(settings(), folder, workers=0)


def settings(**changes):
    fields = dict(
        training=Training(1), backbone=Training(1), network=NetworkConfig(**NETWORK), faces=FaceCounts(**FACES)
    )
    return Ablation(**fields | changes)


def command(tmp_path, cache, **changes):
    """Arguments of a tiny experiment in tmp_path/out."""
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(TINY | changes))
    return ["ablate", "--config", str(config), "--out", str(tmp_path / "out"), "--cache", str(cache[0]),
            "--processes", "2"]  # fmt: skip


def kill_once_started(arguments, out):
    """Run the command until a run is finished, kill it, and wait for its workers to notice."""
    child = subprocess.Popen(
        [sys.executable, "-c", f"from sma_models.cli import main; main({arguments!r})"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not when_finished(out):
        assert child.poll() is None, "it ended before a run was finished"
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 30
    while subprocess.run(["pgrep", "-s", str(child.pid)], stdout=subprocess.DEVNULL).returncode == 0:
        assert time.monotonic() < deadline, "workers outlive the command"
        time.sleep(0.1)


def when_finished(out):
    """Modification time of each run's file, by path."""
    return {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")}


def test_it_goes_on_after_a_kill_and_compares_the_arms(tmp_path, cache):
    arguments, out = command(tmp_path, cache), tmp_path / "out"
    # A resumed experiment may have more seeds.
    kill_once_started([*arguments, "--seeds", "2"], out)
    done = when_finished(out)
    assert 0 < len(done) < 17 and not (out / "results.json").exists()

    main(arguments)
    after = when_finished(out)
    assert len(after) == 8 * 3 + 1 and {path: after[path] for path in done} == done
    result = json.loads((out / "results.json").read_text())
    assert set(result["arms"]) == {path.split("/")[1] for path in after if "=" not in path}
    assert len(result["contrasts"]) == 8 and set(result["sweeps"]) == {"merge=none"}
    both, text = result["arms"]["both"], (out / "results.md").read_text()
    run = json.loads((out / "runs" / "both" / "seed_1.json").read_text())
    assert both["measures"]["f1"]["seeds"][1] == run["measures"]["f1"]
    assert both["measures"]["f1"]["mean"] == pytest.approx(np.mean(both["measures"]["f1"]["seeds"]))
    assert np.shape(both["by_region"]["winner_share"]) == (15, 2) and np.shape(both["by_region"]["energy"]) == (15,)
    assert "inactive" in text and "no attention" in text and "a uniform map" in text
    for figure in ("contrasts.png", "arms.png"):
        assert cv2.imread(str(out / figure)) is not None

    main(arguments)
    assert when_finished(out) == after
    with pytest.raises(ValueError, match="was created with different settings"):
        main([*arguments, "--phase", "evaluation"])
    with pytest.raises(SystemExit):
        main([*arguments, "--processes", "0"])


def test_a_run_gives_the_same_numbers_again(cache):
    arm = make_arms(settings())["both"]
    regions = tuple(f"AU{number}" for number in range(15))
    first, facts = run_head(arm, 5, [cache[1]], regions, Training(1), 0)
    again, _ = run_head(arm, 5, [cache[1]], regions, Training(1), 0)
    assert first.measures == again.measures and np.array_equal(first.maps, again.maps)
    assert first.maps.shape == (16, 15, 8, 8) and facts["parameters"] > 0
    other, _ = run_head(arm, 5, [cache[1]], regions, Training(1), order_seed=1)
    assert first.measures != other.measures


def test_half_precision_moves_predictions_less_than_a_seed_does(cache, monkeypatch):
    features = read_split(cache[1], "train")
    assert features.maps.dtype == np.float16 and 0 < features.rounding < 2**-11
    arm, regions = make_arms(settings())["own"], tuple(f"AU{number}" for number in range(15))

    def measured(seed):
        scores, _ = run_head(arm, seed, [cache[1]], regions, Training(3, optimizer=OptimizerConfig(lr=3e-3)), 0)
        return np.array(scores.by_region["auc"], float)

    plain, seeded = measured(0), measured(1)
    read = FeatureSplit.batch

    def noisy(self, rows):
        # Up to rounding, for a second computation.
        x = read(self, rows)
        return x * (1 + self.rounding * torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))

    monkeypatch.setattr(FeatureSplit, "batch", noisy)
    rounded = measured(0)
    assert np.nanmean(abs(rounded - plain)) < 0.2 * np.nanmean(abs(seeded - plain))


def test_features_are_computed_once_and_go_on(cache, monkeypatch):
    _, folder = cache
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    synthetic_features(settings(), cache[0], workers=0)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    # A split without labels is incomplete.
    val_maps = np.array(read_split(folder, "val").maps)
    (folder / "val.npz").unlink()
    monkeypatch.setattr("sma_models.ablation.backbone.fit", None)
    synthetic_features(settings(), cache[0], workers=0)
    changed = {path.name for path in folder.iterdir() if path.stat().st_mtime_ns != before[path.name]}
    assert changed == {"val.npy", "val.npz"} and np.array_equal(read_split(folder, "val").maps, val_maps)


def test_the_backbone_is_trained_with_average_pooling(cache):
    _, network = load_checkpoint(cache[1] / "backbone.ckpt")
    assert not network.attention.weight.any()


def test_every_row_holds_the_features_of_its_own_face(cache):
    """Also after the first batch."""
    _, network = load_checkpoint(cache[1] / "backbone.ckpt")
    data, features = arm_data(settings()), read_split(cache[1], "train")
    data.setup("fit")
    size, row = NETWORK["image_size"], 80
    image = torch.from_numpy(data.faces.image(int(data.splits.train[row]), canvas_size(size))).permute(2, 0, 1)
    with torch.no_grad():
        expected = network.feature_maps(Augment("none", size)(image, (0, 0, 0))[None])
    assert torch.allclose(features.batch(np.array([row])), expected, atol=0.01)
    assert np.array_equal(features.labels, data.faces.labels[data.splits.train])


def test_masks_lie_where_faces_change(cache):
    features = read_split(cache[1], "attention")
    assert features.masks.shape == (24, 15, 8, 8) and features.masks.min() >= 0 and features.masks.max() <= 1
    hidden = features.masks.sum((2, 3)) == 0
    assert (hidden & (features.labels == 1)).mean() < 0.05
    rows = np.arange(8)
    height = [(features.masks[:, unit].sum((0, 2)) @ rows) / features.masks[:, unit].sum() for unit in (0, 11)]
    assert height[0] < 4 < height[1], "brows (AU1) lie above the chin (AU17)"


def test_runs_are_read_as_they_were_written(tmp_path):
    maps = np.random.default_rng(0).random((2, 3, 4, 4)).astype(np.float16)
    for seed in (4, 5):
        ArmRun("own", seed).write(tmp_path, RunScores({"f1": seed / 10, "auc": None}, {}, maps), {"parameters": 1})
    measured = gather(tmp_path, "own", [5, 4])
    assert measured.measures["f1"].tolist() == [0.5, 0.4] and np.isnan(measured.measures["auc"]).all()
    assert measured.maps.shape == (2, 2, 3, 4, 4) and np.array_equal(measured.maps[0], maps)


def test_whole_networks_are_trained_and_resume(tmp_path):
    whole = settings(protocol="end_to_end", network=NetworkConfig(**NETWORK))
    arm = make_arms(whole)["both"]
    masks = np.ones((24, 15, 8, 8), np.float32)
    scores, facts = run_network(arm, 3, whole, masks, tmp_path)
    assert scores.measures["energy"] == pytest.approx(1) and 0 < scores.measures["f1"] < 1
    assert scores.maps.shape == (16, 15, 8, 8) and facts["step_seconds"] > 0
    # Finished runs are only measured again.
    again, _ = run_network(arm, 3, whole, masks, tmp_path)
    assert again.measures == scores.measures


def test_own_faces_are_folded_and_rare_classes_named(tmp_path):
    rng = np.random.default_rng(0)
    names = ["happy"] * 30 + ["sad"] * 30 + ["rare"] * 19
    lines = []
    for number, name in enumerate(names):
        # Happy faces are reddish, sad ones bluish.
        image = rng.integers(0, 60, (40, 40, 3)).astype(np.uint8)
        image[..., 2 if name == "happy" else 0] += 150
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
        lines.append(f"{number}.png,p{number % 10},{name}")
    listed = tmp_path / "faces.csv"
    listed.write_text("image,subject,expression\n" + "\n".join(lines) + "\n")
    own = settings(csv=str(listed), training=Training(4, batch_size=8, optimizer=OptimizerConfig(lr=0.01)))
    heads = prepare(own, tmp_path / "cache", workers=0)
    assert heads.regions == ("happy", "sad")
    assert "without the classes of fewer than 20 faces (rare)" in heads.description
    assert len(heads.folds) == 5 and "60 to test" in heads.description and heads.chance() == {}
    people = [set(read_split(folder, "test").subjects) for folder in heads.folds]
    assert all(len(subjects) == 2 for subjects in people) and len(set.union(*people)) == 10
    for folder, tested in zip(heads.folds, people, strict=True):
        assert not tested & {*read_split(folder, "train").subjects, *read_split(folder, "val").subjects}
    scores, _ = heads.run(make_arms(own)["both"], ArmRun("both", 1), tmp_path)
    assert scores.measures["accuracy"] > 0.9 and scores.measures["energy"] is None
    assert scores.measures["area"] > 0 and len(scores.maps) == 60
    with pytest.raises(ValueError, match="protocol must be heads"):
        settings(csv=str(listed), protocol="end_to_end")


def test_previous_names_of_settings_are_accepted_with_a_warning(tmp_path, monkeypatch):
    runs = []
    monkeypatch.setattr("sma_models.cli.ablate.run_ablation", lambda settings, *_: runs.append(settings))
    arguments, stored = command(tmp_path, (tmp_path,)), tmp_path / "out" / "settings.yaml"
    main([*arguments, "--phase", "evaluation"])
    config = tmp_path / "tiny.yaml"
    config.write_text(config.read_text().replace("protocol:", "tier:"))
    stored.write_text(stored.read_text().replace("protocol:", "tier:").replace("phase:", "part:"))
    with (
        pytest.warns(FutureWarning, match="tier is now called protocol"),
        pytest.warns(FutureWarning, match="--part is now called --phase"),
    ):
        main([*arguments, "--part", "evaluation"])
    assert runs[0] == runs[1] and runs[0].phase == "evaluation"
