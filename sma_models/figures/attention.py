"""Attention per region and channel over the face, before and after refinement."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sma_models.data.images import RGBImage
from sma_models.faces.overlay import overlay_heatmap
from sma_models.figures.collect import VIEW, RegionView

_STRENGTH = 0.8
_GAP, _GROUP = 10, 34  # pixels between images, and between groups of images
_INCH = 190  # pixels of the grid per inch of the figure
_LEFT, _RIGHT, _TOP, _BOTTOM = 1.05, 1.6, 1.15, 0.9  # inches around the grid
_COLUMN = 130  # pixels of a column of numbers
_OUTLINE = (64, 224, 255)


def draw_attention(title: str, views: Sequence[RegionView]) -> Figure:
    """One row per region: the face, its maps before and after refinement, the pooling map, and where the maps differ.

    Colors of the maps run from 0 to the row's highest value, so that the maps of a row can be compared.
    """
    grid, groups = _grid(views)
    height, width = grid.shape[0] / _INCH, grid.shape[1] / _INCH
    figure = Figure(figsize=(_LEFT + width + _RIGHT, _TOP + height + _BOTTOM))
    whole = figure.get_size_inches()
    axis = figure.add_axes((_LEFT / whole[0], _BOTTOM / whole[1], width / whole[0], height / whole[1]))
    axis.imshow(grid, interpolation="nearest", extent=(0, grid.shape[1], grid.shape[0], 0))
    axis.set_axis_off()
    for row, view in enumerate(views):
        middle = row * (VIEW + _GAP) + VIEW / 2
        weight = "bold" if view.on else "normal"
        verdict = "called" if view.on else "not called"
        axis.text(-12, middle - 22, view.name, ha="right", va="center", fontsize=12, weight=weight)
        axis.text(-12, middle + 24, f"p = {view.probability:.2f}\n{verdict}", ha="right", va="center", fontsize=8)
        for column, text in enumerate(_numbers(view)):
            axis.text(grid.shape[1] + _COLUMN * (column + 0.6), middle, text, ha="center", va="center", fontsize=9)
    _draw_headings(axis, groups)
    for column, text in enumerate(("peak ÷\nmean", "cosine of\nchannels")[: len(_numbers(views[0]))]):
        axis.text(grid.shape[1] + _COLUMN * (column + 0.6), -8, text, ha="center", va="bottom", fontsize=9)
    figure.text(0.5, 1 - 0.25 / whole[1], title, ha="center", va="center", fontsize=13)
    if any(view.true_region is not None for view in views):
        text = "outlined: the pixels that change with the action unit"
        figure.text(0.5, 1 - 0.48 / whole[1], text, ha="center", va="center", fontsize=9)
    _draw_color_scale(figure, 0.30, "inferno", "attention, in % of the highest of the row")
    if len(views[0].after) > 1:
        _draw_color_scale(figure, 0.70, "cividis", "deviation of the refined maps, in the same %")
    return figure


class _Group(NamedTuple):
    """Images under one heading: their pixel columns from `start` to `stop`, and a caption for each."""

    title: str
    start: int
    stop: int
    columns: tuple[str, ...]


def _grid(views: Sequence[RegionView]) -> tuple[RGBImage, list[_Group]]:
    """All images on one white canvas, and the groups of columns."""
    channels = len(views[0].before)
    numbers = tuple(str(number + 1) for number in range(channels))
    headings = [
        ("face", ("",)),
        ("channels, before refinement", numbers),
        ("channels, refined", numbers),
        ("used", ("",)),
    ]
    headings += [("differ", ("",))] if channels > 1 else []
    groups, left = [], 0
    for title, columns in headings:
        width = len(columns) * (VIEW + _GAP) - _GAP
        groups.append(_Group(title, left, left + width, columns))
        left += width + _GROUP
    canvas = np.full((len(views) * (VIEW + _GAP) - _GAP, left - _GROUP, 3), 255, np.uint8)
    for row, view in enumerate(views):
        top = row * (VIEW + _GAP)
        for group, images in zip(groups, _row_images(view), strict=True):
            for column, image in enumerate(images):
                start = group.start + column * (VIEW + _GAP)
                canvas[top : top + VIEW, start : start + VIEW] = image
    return canvas, groups


def _row_images(view: RegionView) -> list[list[RGBImage]]:
    """The images of a row, group by group."""
    highest = max(float(maps.max()) for maps in (view.before, view.after, view.used))
    gray = cv2.cvtColor(cv2.cvtColor(view.face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)

    def over(attention: NDArray[np.float32]) -> RGBImage:
        return overlay_heatmap(gray, _shade(enlarged(attention), highest), _STRENGTH)  # type: ignore[arg-type]

    groups = [[_outlined(view)], [over(m) for m in view.before], [over(m) for m in view.after], [over(view.used)]]
    return [*groups, [_difference(view.after, highest)]] if len(view.after) > 1 else groups


def _shade(values: NDArray[np.float32], highest: float) -> NDArray[np.float32]:
    """Position on the color scale, 0 to 1; not linear, since maps are sharp: all but their peaks would be dark."""
    return np.sqrt(np.clip(values / max(highest, 1e-12), 0, 1))


def enlarged(attention: NDArray[np.float32]) -> NDArray[np.float32]:
    """One map [h,w] at the size of the face."""
    return cv2.resize(attention, (VIEW, VIEW), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _difference(maps: NDArray[np.float32], highest: float) -> RGBImage:
    """Standard deviation over the channels of maps [K,h,w], in a second color map."""
    shades = np.rint(255 * _shade(enlarged(maps.std(0)), highest)).astype(np.uint8)
    return cv2.applyColorMap(shades, cv2.COLORMAP_CIVIDIS)[..., ::-1]  # type: ignore[return-value]


def _outlined(view: RegionView) -> RGBImage:
    if view.true_region is None:
        return view.face
    outlines, _ = cv2.findContours(view.true_region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(view.face.copy(), outlines, -1, _OUTLINE, 1, cv2.LINE_AA)  # type: ignore[return-value]


def _numbers(view: RegionView) -> list[str]:
    """Sharpness of the pooling map, and similarity of the channels before and after refinement."""
    peak = f"{view.used.max() / max(float(view.used.mean()), 1e-12):.0f} ×"
    return [peak, f"{cosine(view.before):.2f} → {cosine(view.after):.2f}"] if len(view.before) > 1 else [peak]


def cosine(maps: NDArray[np.float32]) -> float:
    """Mean cosine similarity between different maps of [K,h,w]: 1 if equal, 0 without overlap."""
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    return float((unit @ unit.T)[~np.eye(len(maps), dtype=bool)].mean())


def _draw_headings(axis: Any, groups: list[_Group]) -> None:
    for title, start, stop, columns in groups:
        axis.text((start + stop) / 2, -38, title, ha="center", va="bottom", fontsize=10)
        for column, name in enumerate(columns):
            axis.text(start + column * (VIEW + _GAP) + VIEW / 2, -8, name, ha="center", va="bottom", fontsize=9)


def _draw_color_scale(figure: Figure, position: float, colormap: str, label: str) -> None:
    """A color scale at the bottom of the figure, centered at this share of its width."""
    width, height = figure.get_size_inches()
    axis = figure.add_axes((position - 1.6 / width, 0.4 / height, 3.2 / width, 0.12 / height))
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), colormap), cax=axis, orientation="horizontal")
    shares = (0.0, 0.05, 0.25, 0.5, 1.0)
    bar.set_ticks([share**0.5 for share in shares], labels=[f"{share:.0%}" for share in shares], fontsize=8)
    axis.set_title(label, fontsize=8, pad=3)
