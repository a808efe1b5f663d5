"""Shared style of the figures. The colors are safe for red-green color blindness (Paul Tol's "bright" scheme)."""

from pathlib import Path

from matplotlib.figure import Figure

BLUE, CYAN, GREEN, PURPLE, RED, GRAY = "#4477aa", "#66ccee", "#228833", "#aa3377", "#ee6677", "#777777"
DPI = 150


def save(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the file name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name("part_" + path.name)
    figure.savefig(unfinished, dpi=DPI)
    unfinished.replace(path)
