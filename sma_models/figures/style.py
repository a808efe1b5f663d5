"""What the figures share. The colours can be told apart without red and green (Paul Tol's "bright" scheme)."""

from pathlib import Path

from matplotlib.figure import Figure

BLUE, CYAN, GREEN, PURPLE, RED, GREY = "#4477aa", "#66ccee", "#228833", "#aa3377", "#ee6677", "#777777"
DPI = 150


def save(figure: Figure, path: Path) -> None:
    """Write a figure as the kind of file that the name says; it is there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("part_" + path.name)
    figure.savefig(part, dpi=DPI)
    part.replace(path)
