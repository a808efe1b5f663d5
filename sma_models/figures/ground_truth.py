"""Attention of a network on synthetic faces, next to the true region of each action unit."""

from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sma_models.data import SyntheticFaceData
from sma_models.data.synthetic import SyntheticTable
from sma_models.data.transforms import Augment, canvas_size
from sma_models.faces.overlay import overlay_heatmap
from sma_models.figures.collect import VIEW, center_crop
from sma_models.models.sma_net import SMANet

# Each action unit takes three columns: face, attention and true region.
_UNITS_PER_ROW = 3


def draw_ground_truth(network: SMANet, data: SyntheticFaceData) -> Figure:
    """For each action unit the test face where it is strongest, the attention and the true region."""
    table = data.faces
    assert isinstance(table, SyntheticTable)
    figure = Figure(
        figsize=(3.3 * _UNITS_PER_ROW, 1.25 * -(-len(table.regions) // _UNITS_PER_ROW)), layout="constrained"
    )
    cells = figure.subplots(-(-len(table.regions) // _UNITS_PER_ROW), 3 * _UNITS_PER_ROW, squeeze=False)
    for axis in cells.flat:
        axis.set_axis_off()
    for unit, name in enumerate(table.regions):
        index = strongest(table, data.splits.test, unit)
        row, unit_column = divmod(unit, _UNITS_PER_ROW)
        images = (
            ("face", center_crop(table.image(index, canvas_size(VIEW)))),
            (name, _overlay(table, index, attention_map(network, table, index, unit))),
            ("true region", _overlay(table, index, _region(table, index, unit))),
        )
        for column, (title, image) in enumerate(images):
            axis = cells[row, 3 * unit_column + column]
            axis.imshow(image)
            axis.set_title(title, fontsize=7, pad=2)
    return figure


def strongest(table: SyntheticTable, rows: NDArray[np.int64], unit: int) -> int:
    """The first row with the highest intensity of the unit."""
    intensities = table.intensities()[rows, unit]
    return int(rows[int(intensities.argmax())])


@torch.no_grad()
def attention_map(network: SMANet, table: SyntheticTable, index: int, unit: int) -> NDArray[np.float32]:
    """Attention of one region on one face, float32 [VIEW,VIEW], scaled to peak 1; its strongest map if unmerged."""
    size: Any = network.config.image_size
    image = torch.from_numpy(table.image(index, canvas_size(size))).permute(2, 0, 1)
    output = network(Augment("none", size)(image, (0, 0, 0))[None])
    attention = output.attention.attention[0, unit].float()
    flat = attention.amax(0) if attention.ndim == 3 else attention
    large = cv2.resize(flat.numpy(), (VIEW, VIEW), interpolation=cv2.INTER_CUBIC)
    return np.clip(large / large.max(), 0, 1).astype(np.float32)


def _region(table: SyntheticTable, index: int, unit: int) -> NDArray[np.float32]:
    return center_crop(table.true_regions(index, canvas_size(VIEW))[unit]).astype(np.float32)


def _overlay(table: SyntheticTable, index: int, strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The face in gray with a color overlay of `strength` [VIEW,VIEW] in 0..1."""
    face = center_crop(table.image(index, canvas_size(VIEW)))
    gray = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return overlay_heatmap(gray, strength, 0.75)  # type: ignore[arg-type]
