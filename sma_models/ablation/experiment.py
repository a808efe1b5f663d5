"""The tiers behind one interface: what is prepared once, and how an arm with a seed is run."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from sma_models.ablation.arms import Arm
from sma_models.ablation.attention_metrics import REGION_MEASURES, chance_levels
from sma_models.ablation.config import Ablation
from sma_models.ablation.datasets import FEWEST, attention_faces, own_data
from sma_models.ablation.end_to_end import run_network
from sma_models.ablation.evaluation import RunScores
from sma_models.ablation.feature_cache import cache_key, drawn_features, own_features, read_part, true_masks
from sma_models.ablation.frozen_features import run_head
from sma_models.ablation.run_files import Run
from sma_models.models.sma_net import SMANet
from sma_models.synthetic import AUS

REGIONS = tuple(f"AU{number}" for number in AUS)


class Experiment(Protocol):
    """A tier that has been prepared; it is sent to other processes."""

    @property
    def description(self) -> str:
        """What was measured on, as tables say it."""

    def run(self, arm: Arm, run: Run, out: Path) -> tuple[RunScores, dict[str, Any]]:
        """Scores of one arm and seed, and facts on it: parameters, seconds a step."""

    def chance(self) -> dict[str, dict[str, float]]:
        """What constant maps score, by guess and measure."""


@dataclass(frozen=True)
class Heads:
    """Heads on the features that lie in `folds`, one folder a fold."""

    settings: Ablation
    folds: tuple[Path, ...]
    regions: tuple[str, ...]
    faces: str

    @property
    def description(self) -> str:
        parts = [read_part(folder, "train") for folder in self.folds]
        tested = sum(len(read_part(folder, "test")) for folder in self.folds)
        height, width = parts[0].maps.shape[1:3]
        return (
            f"{self.faces}; {np.mean([len(part) for part in parts]):.0f} to train and {tested} to test; features of "
            f"{height}x{width} positions of {self.settings.network.backbone}, stage {self.settings.network.stage}, trained "
            f"with average pooling and frozen; kept as float16, which moves them by "
            f"{max(part.rounding for part in parts):.1e} (relative); heads of the last epoch"
        )

    def run(self, arm: Arm, run: Run, out: Path) -> tuple[RunScores, dict[str, Any]]:
        return run_head(arm, run.seed, self.folds, self.regions, self.settings.training, self.settings.start)

    def chance(self) -> dict[str, dict[str, float]]:
        if self.settings.csv is not None:
            return {}
        part = read_part(self.folds[0], "attention")
        assert part.masks is not None
        return _levels(part.masks, part.labels)


@dataclass(frozen=True)
class EndToEnd:
    """Whole networks; `masks` is the file with the true regions of the faces on which attention is scored."""

    settings: Ablation
    masks: Path

    @property
    def description(self) -> str:
        faces, network = self.settings.faces, self.settings.network
        return (
            f"Drawn faces of {network.image_size} pixels, {faces.train} to train and {faces.test} to test, "
            f"{network.backbone} trained from nothing, best validation epoch"
        )

    def run(self, arm: Arm, run: Run, out: Path) -> tuple[RunScores, dict[str, Any]]:
        return run_network(arm, run.seed, self.settings, np.load(self.masks), run.path(out).with_suffix(""))

    def chance(self) -> dict[str, dict[str, float]]:
        return _levels(np.load(self.masks), attention_faces(self.settings).labels)


def prepare(settings: Ablation, cache: Path, workers: int) -> Experiment:
    """Make, or find in `cache`, what all runs of a tier need."""
    if settings.csv is not None:
        return _own_heads(settings, cache, workers)
    if settings.tier == "heads":
        return Heads(settings, (drawn_features(settings, cache, workers),), REGIONS, "Drawn faces")
    folder = cache / cache_key(settings)
    folder.mkdir(parents=True, exist_ok=True)
    return EndToEnd(settings, _masks_file(settings, folder / "masks.npy", workers))


def _own_heads(settings: Ablation, cache: Path, workers: int) -> Heads:
    data = own_data(settings)
    data.setup("fit")
    folds = own_features(settings, cache, workers)
    faces = f"Faces of {Path(data.csv).name}, {len(folds)} folds with people of their own, answers pooled"
    if data.left_out:
        faces += f", without {', '.join(data.left_out)}, of which there are fewer than {FEWEST}"
    return Heads(settings, tuple(folds), data.faces.regions, faces)


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
