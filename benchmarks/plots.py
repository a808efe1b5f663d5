"""Plots of benchmark results."""

import math
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLORS = plt.get_cmap("tab10").colors


def bars(results: dict, path: Path, pass_name: str = "forward+backward") -> None:
    """Speed-up over eager, and share of the copy bandwidth, of each implementation of `sma_attention`, in one pass.

    `results`: {"rows": [...], "copy_bytes_per_second": ...} as from `compare` and the GPU report. A missing time leaves a
    gap.
    """
    rows = [row for row in results["rows"] if row["function"] == "sma_attention" and row["pass"] == pass_name]
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
        bounds = [1e3 * row["lower_bound_bytes"] / bandwidth for row in rows]
        color = COLORS[index % len(COLORS)]
        above.bar(
            centers, [slow / taken for slow, taken in zip(eager, times, strict=True)], width, label=name, color=color
        )
        below.bar(
            centers, [lower_bound / taken for lower_bound, taken in zip(bounds, times, strict=True)], width, color=color
        )
    above.axhline(1, color="0.5", linewidth=0.8)
    above.set_ylabel("times as fast as eager")
    below.set_ylabel("share of the copy bandwidth\n(lower bound of bytes ÷ time)")
    for axes in (above, below):
        axes.set_xticks(range(len(rows)), labels, fontsize=7)
    above.set_title(f"sma_attention, {pass_name}")
    above.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def lines(sweeps: dict[str, dict[str, list]], path: Path) -> None:
    """Milliseconds over one size at a time. `sweeps`: {size: {"sizes": [...], implementation: [milliseconds, ...]}}"""
    figure, all_axes = plt.subplots(1, len(sweeps), figsize=(3.4 * len(sweeps), 3.2), layout="constrained")
    for axes, (size, series) in zip(all_axes, sweeps.items(), strict=True):
        for index, (implementation, times) in enumerate((n, t) for n, t in series.items() if n != "sizes"):
            axes.plot(series["sizes"], times, "o-", markersize=3, label=implementation, color=COLORS[index])
        axes.set(xscale="log", yscale="log", xlabel=size, xticks=series["sizes"])
        axes.set_xticklabels(series["sizes"])
        axes.minorticks_off()
    all_axes[0].set_ylabel("milliseconds, forward + backward")
    all_axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
