"""Where a network looks on drawn faces, beside where each action unit truly shows."""

from typing import Any

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sma_models.data import SyntheticFaceData
from sma_models.data.synthetic import SyntheticTable
from sma_models.data.transforms import Augment, canvas_size
from sma_models.faces.overlay import lay_over
from sma_models.figures.collect import VIEW, centre
from sma_models.models.sma_net import SMANet

# Each row of the grid holds this many action units, each as face, attention and true region.
_ACROSS = 3


def draw_faces(network: SMANet, data: SyntheticFaceData) -> Figure:
    """For each action unit a test face that shows it, the attention and the true region."""
    table = data.faces
    assert isinstance(table, SyntheticTable)
    figure = Figure(figsize=(3.3 * _ACROSS, 1.25 * -(-len(table.regions) // _ACROSS)), layout="constrained")
    cells = figure.subplots(-(-len(table.regions) // _ACROSS), 3 * _ACROSS, squeeze=False)
    for axis in cells.flat:
        axis.set_axis_off()
    for unit, name in enumerate(table.regions):
        index = strongest(table, data.splits.test, unit)
        row, block = divmod(unit, _ACROSS)
        shown = (
            ("face", centre(table.picture(index, canvas_size(VIEW)))),
            (name, _overlay(table, index, attention_map(network, table, index, unit))),
            ("true region", _overlay(table, index, _region(table, index, unit))),
        )
        for place, (title, picture) in enumerate(shown):
            axis = cells[row, 3 * block + place]
            axis.imshow(picture)
            axis.set_title(title, fontsize=7, pad=2)
    return figure


def strongest(table: SyntheticTable, rows: NDArray[np.int64], unit: int) -> int:
    """The first of the rows among those in which the unit is most intense."""
    intensities = table.intensities()[rows, unit]
    return int(rows[int(intensities.argmax())])


@torch.no_grad()
def attention_map(network: SMANet, table: SyntheticTable, index: int, unit: int) -> NDArray[np.float32]:
    """Attention of one region on one face, float32 [VIEW,VIEW], scaled to peak 1; its strongest map if unmerged."""
    size: Any = network.config.image_size
    picture = torch.from_numpy(table.picture(index, canvas_size(size))).permute(2, 0, 1)
    output = network(Augment("none", size)(picture, (0, 0, 0))[None])
    attention = output.attention.attention[0, unit].float()
    flat = attention.amax(0) if attention.ndim == 3 else attention
    large = cv2.resize(flat.numpy(), (VIEW, VIEW), interpolation=cv2.INTER_CUBIC)
    return np.clip(large / large.max(), 0, 1).astype(np.float32)


def _region(table: SyntheticTable, index: int, unit: int) -> NDArray[np.float32]:
    return centre(table.true_regions(index, canvas_size(VIEW))[unit]).astype(np.float32)


def _overlay(table: SyntheticTable, index: int, strength: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The face in grey, with `strength` [VIEW,VIEW] in 0..1 laid over it in colour."""
    face = centre(table.picture(index, canvas_size(VIEW)))
    grey = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return lay_over(grey, strength, 0.75)  # type: ignore[arg-type]
