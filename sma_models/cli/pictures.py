"""Curves of a run, and where a network looks."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sma_models.data import SyntheticFaceData
from sma_models.data.augment import Augment, canvas_size
from sma_models.data.synthetic import SyntheticTable
from sma_models.network import SMANet

# Each row of the grid holds this many action units, each as face, attention and true region.
_ACROSS = 3
_SHOWN = 192  # pixels of a picture in the grid


def draw_curves(metrics: Path, out: Path) -> None:
    """Draw losses and scores per epoch from a CSV log into a PNG file."""
    with metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axis, names in (
        (left, ("train/task", "val/task", "train/diversity")),
        (right, ("val/f1", "val/f1_half", "val/auc", "val/constant")),
    ):
        for name in names:
            points = [(int(row["epoch"]) + 1, float(row[name])) for row in rows if row.get(name)]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
        axis.set_xlabel("epoch")
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    left.set_title("loss")
    right.set_title("mean over action units")
    figure.savefig(out, dpi=120)


def draw_faces(network: SMANet, data: SyntheticFaceData, out: Path) -> None:
    """Draw into a PNG, for each action unit, a test face that shows it, the attention and the true region."""
    table = data.faces
    assert isinstance(table, SyntheticTable)
    figure = Figure(figsize=(3.3 * _ACROSS, 1.25 * -(-len(table.regions) // _ACROSS)), layout="constrained")
    cells = figure.subplots(-(-len(table.regions) // _ACROSS), 3 * _ACROSS, squeeze=False)
    for axis in cells.flat:
        axis.set_axis_off()
    for unit, name in enumerate(table.regions):
        index = strongest(table, data.parts.test, unit)
        row, block = divmod(unit, _ACROSS)
        shown = (
            ("face", _crop(table.picture(index, canvas_size(_SHOWN)))),
            (name, _overlay(table, index, attention_map(network, table, index, unit))),
            ("true region", _overlay(table, index, _region(table, index, unit))),
        )
        for place, (title, picture) in enumerate(shown):
            axis = cells[row, 3 * block + place]
            axis.imshow(picture)
            axis.set_title(title, fontsize=7, pad=2)
    figure.savefig(out, dpi=200)


def strongest(table: SyntheticTable, rows: NDArray[np.int64], unit: int) -> int:
    """The first of the rows among those in which the unit is most intense."""
    intensities = table.intensities()[rows, unit]
    return int(rows[int(intensities.argmax())])


@torch.no_grad()
def attention_map(network: SMANet, table: SyntheticTable, index: int, unit: int) -> NDArray[np.float32]:
    """Attention of one region on one face, float32 [_SHOWN,_SHOWN], scaled to peak 1; its strongest map if unmerged."""
    size: Any = network.config.image_size
    picture = torch.from_numpy(table.picture(index, canvas_size(size))).permute(2, 0, 1)
    output = network(Augment("none", size)(picture, (0, 0, 0))[None])
    attention = output.head.attention[0, unit].float()
    flat = attention.amax(0) if attention.ndim == 3 else attention
    large = cv2.resize(flat.numpy(), (_SHOWN, _SHOWN), interpolation=cv2.INTER_CUBIC)
    return np.clip(large / large.max(), 0, 1).astype(np.float32)


def _region(table: SyntheticTable, index: int, unit: int) -> NDArray[np.float32]:
    return _crop(table.true_regions(index, canvas_size(_SHOWN))[unit]).astype(np.float32)


def _crop(picture: NDArray[Any]) -> NDArray[Any]:
    """The centre that the network sees in evaluation."""
    margin = (picture.shape[0] - _SHOWN) // 2
    return picture[margin : margin + _SHOWN, margin : margin + _SHOWN]


def _overlay(table: SyntheticTable, index: int, strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The face in grey, with `strength` [_SHOWN,_SHOWN] in 0..1 laid over it in colour."""
    face = _crop(table.picture(index, canvas_size(_SHOWN)))
    grey = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    heat = cv2.applyColorMap((strength * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = 0.75 * strength[..., None]
    return (grey * (1 - weight) + heat * weight).astype(np.uint8)
