"""Figure of the correlation matrix that refines the maps, labeled by region."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

_NAMED_CELLS = 20  # largest number of regions whose percentages fit their cells


def draw_correlation(title: str, correlation: NDArray[np.float32], regions: Sequence[str]) -> Figure:
    """S [N,N] with N = R·K maps in blocks of regions, and next to it the contributions between regions [R,R].

    A row has the weights of all maps in one refined map, before the gate; rows sum to 1. The color scale expands small values.
    """
    whole = np.asarray(correlation, np.float64)
    channels = len(whole) // len(regions)
    shares = region_shares(whole, channels)
    side = max(5.0, 0.42 * len(regions) + 1.2)
    figure = Figure(figsize=(2 * side + 1.6, side + 0.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    norm = PowerNorm(0.5, 0, 1)
    heatmap = left.imshow(whole, cmap="viridis", norm=norm, interpolation="nearest")
    left.set_title(f"S: {channels} channels per region, {len(whole)} maps", fontsize=10)
    middles = np.arange(len(regions)) * channels + (channels - 1) / 2
    for edge in np.arange(1, len(regions)) * channels - 0.5:
        left.axhline(edge, color="white", linewidth=0.5)
        left.axvline(edge, color="white", linewidth=0.5)
    right.imshow(shares, cmap="viridis", norm=norm, interpolation="nearest")
    right.set_title("summed over the channels of a region, in %", fontsize=10)
    if len(regions) <= _NAMED_CELLS:
        for (row, column), share in np.ndenumerate(shares):
            color = "black" if norm(share) > 0.6 else "white"
            right.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7.5, color=color)
    for axis, places in ((left, middles), (right, np.arange(len(regions)))):
        axis.set_xticks(places, regions, rotation=90, fontsize=8)
        axis.set_yticks(places, regions, fontsize=8)
        axis.set_xlabel("takes from")
        axis.set_ylabel("refined map of")
    figure.colorbar(heatmap, ax=[left, right], label="share", shrink=0.8)
    figure.suptitle(title, fontsize=11)
    return figure


def region_shares(correlation: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
    """S [N,N] by region, [R,R]: the total weight of a region's maps in the refined maps of another, averaged over these."""
    regions = len(correlation) // channels
    return correlation.reshape(regions, channels, regions, channels).sum(3).mean(1)
