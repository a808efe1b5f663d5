"""One interface for both protocols: shared preparation, and the run of one arm with one seed."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from sma_models.ablation.arms import Arm
from sma_models.ablation.attention_metrics import REGION_MEASURES, chance_levels
from sma_models.ablation.config import Ablation
from sma_models.ablation.datasets import MIN_CLASS_FACES, attention_faces, csv_data
from sma_models.ablation.end_to_end import run_network
from sma_models.ablation.evaluation import RunScores
from sma_models.ablation.feature_cache import cache_key, csv_features, read_split, synthetic_features, true_masks
from sma_models.ablation.frozen_features import run_head
from sma_models.ablation.run_files import ArmRun
from sma_models.models.sma_net import SMANet
from sma_models.synthetic import AUS

REGIONS = tuple(f"AU{number}" for number in AUS)


class Experiment(Protocol):
    """A prepared protocol; it is sent to worker processes."""

    @property
    def description(self) -> str:
        """The data, as described above the tables."""

    def run(self, arm: Arm, run: ArmRun, out: Path) -> tuple[RunScores, dict[str, Any]]:
        """Scores of one arm and seed, and facts: parameters, seconds per step."""

    def chance(self) -> dict[str, dict[str, float]]:
        """Scores of constant maps, by guess and measure."""


@dataclass(frozen=True)
class HeadsExperiment:
    """Heads on cached features; `folds` holds one folder per fold."""

    settings: Ablation
    folds: tuple[Path, ...]
    regions: tuple[str, ...]
    faces: str

    @property
    def description(self) -> str:
        train_splits = [read_split(folder, "train") for folder in self.folds]
        test_faces = sum(len(read_split(folder, "test")) for folder in self.folds)
        height, width = train_splits[0].maps.shape[1:3]
        network = self.settings.network
        return (
            f"{self.faces}; {np.mean([len(split) for split in train_splits]):.0f} to train and {test_faces} to test; "
            f"features of {height}x{width} positions of {network.backbone}, stage {network.stage}, trained "
            f"with average pooling and frozen; stored as float16, which changes them by "
            f"{max(split.rounding for split in train_splits):.1e} (relative); heads of the last epoch"
        )

    def run(self, arm: Arm, run: ArmRun, out: Path) -> tuple[RunScores, dict[str, Any]]:
        return run_head(arm, run.seed, self.folds, self.regions, self.settings.training, self.settings.first_seed)

    def chance(self) -> dict[str, dict[str, float]]:
        if self.settings.csv is not None:
            return {}
        split = read_split(self.folds[0], "attention")
        assert split.masks is not None
        return _levels(split.masks, split.labels)


@dataclass(frozen=True)
class EndToEndExperiment:
    """Whole networks; `masks` is the file of true regions of the faces for scoring attention."""

    settings: Ablation
    masks: Path

    @property
    def description(self) -> str:
        faces, network = self.settings.faces, self.settings.network
        return (
            f"Synthetic faces of {network.image_size} pixels, {faces.train} to train and {faces.test} to test, "
            f"{network.backbone} trained from random weights, best validation epoch"
        )

    def run(self, arm: Arm, run: ArmRun, out: Path) -> tuple[RunScores, dict[str, Any]]:
        return run_network(arm, run.seed, self.settings, np.load(self.masks), run.path(out).with_suffix(""))

    def chance(self) -> dict[str, dict[str, float]]:
        return _levels(np.load(self.masks), attention_faces(self.settings).labels)


def prepare(settings: Ablation, cache: Path, workers: int) -> Experiment:
    """Compute the data shared by all runs of a protocol, or load it from `cache`."""
    if settings.csv is not None:
        return _csv_experiment(settings, cache, workers)
    if settings.protocol == "heads":
        return HeadsExperiment(settings, (synthetic_features(settings, cache, workers),), REGIONS, "Synthetic faces")
    folder = cache / cache_key(settings)
    folder.mkdir(parents=True, exist_ok=True)
    return EndToEndExperiment(settings, _masks_file(settings, folder / "masks.npy", workers))


def _csv_experiment(settings: Ablation, cache: Path, workers: int) -> HeadsExperiment:
    data = csv_data(settings)
    data.setup("fit")
    folds = csv_features(settings, cache, workers)
    faces = f"Faces of {Path(data.csv).name}, {len(folds)} subject-exclusive folds, predictions pooled"
    if data.left_out:
        faces += f", without the classes of fewer than {MIN_CLASS_FACES} faces ({', '.join(data.left_out)})"
    return HeadsExperiment(settings, tuple(folds), data.faces.regions, faces)


def _masks_file(settings: Ablation, path: Path, workers: int) -> Path:
    if path.is_file():
        return path
    size: Any = settings.network.image_size
    network = SMANet(REGIONS, **asdict(settings.network)).eval()
    grid = network.feature_maps(torch.zeros(1, 3, size, size)).shape[2:]
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.save(file, true_masks(attention_faces(settings), size, (grid[0], grid[1]), workers))
    os.replace(unfinished, path)
    return path


def _levels(masks: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, float]]:
    levels = chance_levels(torch.from_numpy(masks), torch.from_numpy(labels == 1))
    return {
        guess: dict(zip(REGION_MEASURES, scores.nanmean(1).tolist(), strict=True)) for guess, scores in levels.items()
    }
