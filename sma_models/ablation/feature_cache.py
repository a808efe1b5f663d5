"""Feature maps of the heads protocol, computed once and cached on disk."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.data import DataLoader

from sma_models.ablation.backbone import train_backbone
from sma_models.ablation.config import Ablation
from sma_models.ablation.datasets import arm_data, attention_faces, backbone_data, csv_data
from sma_models.data.data_module import FaceDataModule
from sma_models.data.face_dataset import FaceDataset
from sma_models.data.face_table import FaceTable
from sma_models.data.samplers import EvaluationSampler
from sma_models.data.synthetic import SyntheticTable
from sma_models.data.transforms import Augment, canvas_size
from sma_models.models.sma_net import SMANet

_BATCH = 64
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class FeatureSplit:
    """Features of one split.

    maps:     float16 [n,H,W,C], memory-mapped; rounding changed them by `rounding` (relative, 2-norm)
    labels:   int8 [n,R] of action units or int64 [n] of classes; subjects: str [n]
    masks:    float32 [n,R,H,W], coverage of each position by the true region; None if unknown
    """

    maps: NDArray[np.float16]
    labels: NDArray[Any]
    subjects: NDArray[np.str_]
    masks: NDArray[np.float32] | None
    rounding: float

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: NDArray[np.int64] | slice) -> Tensor:
        """Feature maps float32 [b,C,H,W], in channels_last memory, of some rows."""
        return torch.from_numpy(self.maps[rows].astype(np.float32)).permute(0, 3, 1, 2)


def synthetic_features(settings: Ablation, cache: Path, workers: int) -> Path:
    """The folder in `cache` with the features of the synthetic faces of these settings; computes missing ones.

    An interrupted training of the backbone, or computation of a split, resumes.
    """
    folder = cache / cache_key(settings)
    if not _complete(folder, (*SPLITS, "attention")):
        network = train_backbone(settings, backbone_data(settings, workers), folder)
        write_splits(folder, network, arm_data(settings), workers)
        table = attention_faces(settings)
        write_split(folder / "attention", network, table, np.arange(len(table)), workers)
    return folder


def csv_features(settings: Ablation, cache: Path, workers: int) -> list[Path]:
    """As `synthetic_features`, one folder per fold of the CSV file; each backbone is trained on its fold alone."""
    folder = cache / cache_key(settings)
    # The name of a fold may contain any characters, even slashes.
    folders = {fold: folder / quote(fold, safe=" ") for fold in csv_data(settings, workers).fold_names()}
    for fold, fold_folder in folders.items():
        if not _complete(fold_folder, SPLITS):
            data = csv_data(settings, workers, fold)
            write_splits(fold_folder, train_backbone(settings, data, fold_folder), data, workers)
    return list(folders.values())


def cache_key(settings: Ablation) -> str:
    """A hash of everything that features depend on."""
    network = {
        name: getattr(settings.network, name)
        for name in ("backbone", "stage", "output_stride", "image_size", "mean", "std")
    }
    csv_digest = None if settings.csv is None else hashlib.sha256(Path(settings.csv).read_bytes()).hexdigest()
    facts = {
        "start": settings.first_seed,
        "faces": asdict(settings.faces) if settings.csv is None else [str(settings.csv), csv_digest],
        "network": network,
        "backbone": asdict(settings.backbone),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _complete(folder: Path, splits: Sequence[str]) -> bool:
    return all((folder / f"{name}.npz").is_file() for name in splits)


def write_splits(folder: Path, network: SMANet, data: FaceDataModule, workers: int) -> None:
    """Compute the training, validation and test split."""
    folder.mkdir(parents=True, exist_ok=True)
    data.setup("fit")
    for name in SPLITS:
        write_split(folder / name, network, data.faces, getattr(data.splits, name), workers)


def write_split(path: Path, network: SMANet, faces: FaceTable, rows: NDArray[np.int64], workers: int) -> None:
    """Compute path.npy and path.npz unless they exist; the latter is written last, and marks both as complete."""
    if path.with_suffix(".npz").is_file():
        return
    size: Any = network.config.image_size
    dataset = FaceDataset(faces, rows, size, "none", seed=0)
    loader = DataLoader(dataset, _BATCH, sampler=EvaluationSampler(dataset, 1, 0), num_workers=workers)
    unfinished = path.with_suffix(".unfinished")
    maps: Any = None
    error = norm = 0.0
    done = 0
    for batch in track(loader, f"features of {path.parent.name}/{path.name}"):
        with torch.inference_mode():
            features = network.feature_maps(batch["image"]).permute(0, 2, 3, 1).numpy()
        if maps is None:
            maps = np.lib.format.open_memmap(unfinished, "w+", np.float16, (len(rows), *features.shape[1:]))
        maps[done : done + len(features)] = features
        error += float(np.square(features - maps[done : done + len(features)]).sum(dtype=np.float64))
        norm += float(np.square(features).sum(dtype=np.float64))
        done += len(features)
    maps.flush()
    os.replace(unfinished, path.with_suffix(".npy"))
    facts = {
        "labels": faces.labels[rows],
        "subjects": faces.subjects[rows],
        "rounding": np.sqrt(error / norm),
    }
    if path.name == "attention" and isinstance(faces, SyntheticTable):
        facts["masks"] = true_masks(faces, size, maps.shape[1:3], workers)
    with unfinished.open("wb") as file:
        np.savez(file, **facts)
    os.replace(unfinished, path.with_suffix(".npz"))


def true_masks(faces: SyntheticTable, size: int, grid: tuple[int, int], workers: int) -> NDArray[np.float32]:
    """Coverage [n,R,*grid] of each position by the true regions, for the center crop that the network sees at `size` pixels."""
    loader = DataLoader(_Masks(faces, size, grid), _BATCH, num_workers=workers)
    return torch.cat(list(track(loader, "true regions"))).numpy()


class _Masks(torch.utils.data.Dataset[Tensor]):
    def __init__(self, faces: SyntheticTable, size: int, grid: tuple[int, int]):
        self.faces, self.canvas, self.grid = faces, canvas_size(size), grid
        self.center_crop = Augment("none", size)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> Tensor:
        regions = torch.from_numpy(self.faces.true_regions(index, self.canvas))
        return adaptive_avg_pool2d(self.center_crop(regions, (0, 0, 0)).float(), self.grid)


def read_split(folder: Path, name: str) -> FeatureSplit:
    """Read a split written by `write_split`."""
    with np.load(folder / f"{name}.npz") as facts:
        masks = facts.get("masks")
        return FeatureSplit(
            np.load(folder / f"{name}.npy", mmap_mode="r"),
            facts["labels"],
            facts["subjects"],
            masks,
            float(facts["rounding"]),
        )
