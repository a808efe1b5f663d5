"""Figures of the results of an ablation."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sma_models.ablation.contrasts import AGREEMENT, SPREAD

_SHOWN, _NOT_SHOWN = "#4477aa", "#999999"
_TITLES = {
    "f1": "F1",
    "auc": "AUC",
    "accuracy": "accuracy",
    "energy": "attention energy\ninside the true region",
    AGREEMENT: "agreement of maps\nbetween initializations",
    SPREAD: "ratio of the spreads of F1\nbetween initializations",
}


def draw_contrasts(result: dict[str, Any], path: Path) -> None:
    """The pre-registered contrasts with their intervals, one panel per measure; gray if not shown."""
    rows = result["contrasts"]
    measures = [name for name in _TITLES if any(row["measure"] == name for row in rows)]
    across = min(3, len(measures))
    figure = Figure(figsize=(4.4 * across, 2.6 * -(-len(measures) // across) + 0.4), layout="constrained")
    panels = figure.subplots(-(-len(measures) // across), across, squeeze=False).ravel()
    for axis in panels[len(measures) :]:
        axis.set_axis_off()
    for axis, measure in zip(panels, measures, strict=False):
        panel_rows = [row for row in rows if row["measure"] == measure]
        neutral = panel_rows[0]["neutral"]
        for position, row in enumerate(panel_rows):
            _interval(axis, row, position, _NOT_SHOWN if row["verdict"] == "not shown" else _SHOWN)
            above = dict(xytext=(0, 9), textcoords="offset points", ha="center", fontsize=8)
            axis.annotate(row["verdict"], (neutral if row["value"] is None else row["value"], position), **above)
        axis.axvline(neutral, color="black", linewidth=0.8)
        sign = "÷" if neutral == 1 else "−"
        titles = {name: arm["title"] for name, arm in result["arms"].items()}
        _finish(
            axis,
            [f"({row['number']}) {titles[row['plus']]}\n{sign} {titles[row['minus']]}" for row in panel_rows],
            _TITLES[measure],
        )
    figure.suptitle(
        f"Pre-registered contrasts: paired over {len(result['seeds'])} seeds, 95 % intervals, p < 0.05 after Holm "
        f"({result['protocol']} protocol, {result['phase']})",
        fontsize=10,
    )
    figure.savefig(path, dpi=140)


def draw_arms(result: dict[str, Any], path: Path) -> None:
    """Mean and interval of each arm, with a small dot per seed, one panel per measure; dashed lines are chance levels."""
    arms = list(result["arms"].values())
    measures = [name for name in _TITLES if any(name in arm["measures"] for arm in arms)]
    figure = Figure(figsize=(3.2 * len(measures), 0.45 * len(arms) + 1.2), layout="constrained")
    for number, (axis, measure) in enumerate(
        zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True)
    ):
        for position, arm in enumerate(arms):
            summary = arm["measures"].get(measure)
            if summary is None or summary["mean"] is None:
                continue
            axis.plot(
                summary["seeds"], np.full(len(summary["seeds"]), position), "o", color=_SHOWN, alpha=0.25, markersize=3
            )
            _interval(axis, summary | {"value": summary["mean"]}, position, _SHOWN)
        for guess, level in result["chance"].items() if measure == "energy" else ():
            axis.axvline(level["energy"], color="#cc3311", linewidth=0.8, linestyle="--")
            # Two guesses score nearly alike: their names are on different sides of the line.
            side = "left" if guess == "all_units" else "right"
            turned = dict(rotation=90, fontsize=6, color="#cc3311", va="bottom", ha=side)
            axis.text(level["energy"], len(arms) - 0.45, guess.replace("_", " "), **turned)
        _finish(axis, [arm["title"] for arm in arms] if number == 0 else [""] * len(arms), _TITLES[measure])
    figure.savefig(path, dpi=140)


def _interval(axis: Any, row: dict[str, Any], position: int, color: str) -> None:
    low, value, high = np.array([row["low"], row["value"], row["high"]], np.float64)  # None becomes NaN
    axis.plot([low, high], [position, position], color=color, linewidth=2.2)
    axis.plot(value, position, "o", color=color, markersize=6)


def _finish(axis: Any, labels: list[str], title: str) -> None:
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_title(title, fontsize=9)
    axis.tick_params(axis="x", labelsize=8)
    axis.locator_params(axis="x", nbins=4)
    axis.grid(axis="x", alpha=0.3)
