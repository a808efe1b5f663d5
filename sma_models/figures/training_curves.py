"""Curves of losses, scores and measures of attention over epochs."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sma_models.figures.style import BLUE, CYAN, GRAY, GREEN, PURPLE, RED
from sma_models.metrics.scores import current_names
from sma_models.utils.run_dir import LOG


class _Line(NamedTuple):
    column: str  # of metrics.csv
    label: str
    color: str
    style: str = "-"


_PANELS = {
    "loss": (
        _Line("train/task", "training", BLUE),
        _Line("val/task", "validation", RED),
        _Line("train/diversity", "diversity term, training", GRAY, "--"),
    ),
    "score on validation subjects": (
        _Line("val/f1", "F1, mean of AUs", BLUE),
        _Line("val/f1_at_0_5", "F1 at ½", PURPLE),
        _Line("val/auc", "AUC", GREEN),
        _Line("val/f1_always_positive", "F1, always present", GRAY, "--"),
        _Line("val/macro_f1", "macro-F1", BLUE),
        _Line("val/accuracy", "accuracy", CYAN),
        _Line("val/majority_macro_f1", "macro-F1, majority guess", GRAY, "--"),
        _Line("val/majority_accuracy", "accuracy, majority guess", GRAY, ":"),
    ),
    "attention": (
        _Line("val/cosine_before", "cosine within a region, before refinement", BLUE),
        _Line("val/cosine_after", "the same, after refinement", RED),
        _Line("val/moved", "displacement of maps by refinement", GRAY, "--"),
    ),
}


def draw_curves(logs: Sequence[Path]) -> Figure:
    """Curves of one run, or of several in the same colors, from their metrics.csv."""
    tables = [_epochs(log) for log in logs]
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    for axis, (title, lines) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        for line in lines:
            _draw(axis, line, [table[line.column] for table in tables if line.column in table])
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
        else:
            axis.text(0.5, 0.5, "nothing was logged", transform=axis.transAxes, ha="center", color=GRAY)
    return figure


def _draw(axis: Axes, line: _Line, curves: list[list[tuple[int, float]]]) -> None:
    for number, points in enumerate(curves):
        axis.plot(
            *zip(*points, strict=True),
            color=line.color,
            linestyle=line.style,
            marker="o",
            markersize=3,
            alpha=1 if len(curves) == 1 else 0.4,
            label=line.label if number == 0 else None,
        )


def _epochs(log: Path) -> dict[str, list[tuple[int, float]]]:
    """(epoch counted from 1, value) of every column that has any."""
    with log.open(newline="", encoding="utf-8") as file:
        rows = [current_names(row) for row in csv.DictReader(file)]
    columns: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if value:
                columns.setdefault(name, []).append((int(row["epoch"]) + 1, float(value)))
    return columns


def find_log(checkpoint: Path) -> Path | None:
    """The metrics.csv of the training run of a checkpoint: next to it, or above its folder `checkpoints`."""
    candidates = (
        checkpoint.parent / LOG,
        checkpoint.parent.parent / LOG if checkpoint.parent.name == "checkpoints" else None,
    )
    return next((path for path in candidates if path is not None and path.is_file()), None)
