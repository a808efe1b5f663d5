"""Pictures of the tables."""

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = plt.get_cmap("tab10").colors


def bars(results: dict, path: Path, direction: str = "forward+backward") -> None:
    """Speed-up over eager, and share of the floor, of each peer of `sma_attention` in one direction.

    `results`: {"rows": [...], "copy_bytes_per_second": ...} as `compare` and the GPU report have them. A time that is not
    there leaves a gap.
    """
    rows = [row for row in results["rows"] if row["function"] == "sma_attention" and row["direction"] == direction]
    names = list(dict.fromkeys(name for row in rows for name in row["milliseconds"] if name != "sdpa pooling"))
    if not names:
        return
    labels = ["\n".join(row[name] for name in ("shape", "dtype", "layout", "merge") if name in row) for row in rows]
    figure, (above, below) = plt.subplots(2, 1, figsize=(max(7, 0.9 * len(rows)), 8), layout="constrained")
    width = 0.8 / len(names)
    bandwidth = results.get("copy_bytes_per_second") or math.nan
    for index, name in enumerate(names):
        centers = [position + (index - (len(names) - 1) / 2) * width for position in range(len(rows))]
        times = [row["milliseconds"].get(name, math.nan) for row in rows]
        eager = [row["milliseconds"].get("eager", math.nan) for row in rows]
        floors = [1e3 * row["floor_bytes"] / bandwidth for row in rows]
        colour = COLOURS[index % len(COLOURS)]
        above.bar(
            centers, [slow / taken for slow, taken in zip(eager, times, strict=True)], width, label=name, color=colour
        )
        below.bar(centers, [floor / taken for floor, taken in zip(floors, times, strict=True)], width, color=colour)
    above.axhline(1, color="0.5", linewidth=0.8)
    above.set_ylabel("times as fast as eager")
    below.set_ylabel("share of the copy bandwidth\n(bytes of the floor ÷ time)")
    for axes in (above, below):
        axes.set_xticks(range(len(rows)), labels, fontsize=7)
    above.set_title(f"sma_attention, {direction}")
    above.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def lines(found: dict[str, dict[str, list]], path: Path) -> None:
    """Milliseconds over one size at a time. `found`: {size: {"sizes": [...], peer: [milliseconds, ...]}}"""
    figure, all_axes = plt.subplots(1, len(found), figsize=(3.4 * len(found), 3.2), layout="constrained")
    for axes, (size, series) in zip(all_axes, found.items(), strict=True):
        for index, (peer, times) in enumerate((n, t) for n, t in series.items() if n != "sizes"):
            axes.plot(series["sizes"], times, "o-", markersize=3, label=peer, color=COLOURS[index])
        axes.set(xscale="log", yscale="log", xlabel=size, xticks=series["sizes"])
        axes.set_xticklabels(series["sizes"])
        axes.minorticks_off()
    all_axes[0].set_ylabel("milliseconds, forward + backward")
    all_axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
