"""Figures of scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from sma_models.figures.style import BLUE, RED


def draw_aus(title: str, regions: Sequence[str], f1: ArrayLike, constant: ArrayLike, spread: Any = None) -> Figure:
    """F1 [R] of each action unit next to the constant guess [R]; `spread` [R] is its standard deviation over seeds.

    NaN has no bar.
    """
    figure, axis = _figure(title, regions)
    places = np.arange(len(regions))
    heights, errors = (None if values is None else np.nan_to_num(np.asarray(values, float)) for values in (f1, spread))
    axis.bar(places, heights, yerr=errors, label="F1", color=BLUE, capsize=3)
    axis.step(places, np.asarray(constant, float), where="mid", color=RED, label="always present")
    axis.set_xticks(places, regions, rotation=45)
    axis.set_ylim(0, 1)
    axis.legend()
    return figure


def draw_confusion(title: str, regions: Sequence[str], confusion: ArrayLike) -> Figure:
    """Each row of a confusion matrix [R,R], rows true, as shares of its class."""
    figure, axis = _figure(title, regions)
    counts = np.asarray(confusion, float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    for (row, column), value in np.ndenumerate(shares):
        axis.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.5 else "black")
    axis.set_xticks(range(len(regions)), regions, rotation=45)
    axis.set_yticks(range(len(regions)), regions)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    return figure


def _figure(title: str, regions: Sequence[str]) -> tuple[Figure, Any]:
    figure = Figure(figsize=(max(6, 0.5 * len(regions)), 4.5), layout="constrained")
    axis = figure.subplots()
    axis.set_title(title, fontsize=9, wrap=True)
    return figure, axis
