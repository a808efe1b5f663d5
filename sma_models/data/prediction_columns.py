"""The columns that `sma-net predict` writes; some are named after action units or classes."""

from collections.abc import Sequence
from typing import Literal

BOX = ("x", "y", "width", "height")
_FACE = ("source", "frame", "time_s", "face", "found", *BOX, "score")


def prediction_columns(kind: Literal["au", "expression"], regions: Sequence[str], smoothing: bool) -> list[str]:
    """The columns in order. smoothing: add a smoothed column per region. Raises ValueError if two columns share a name."""
    columns = [*_FACE]
    for region in regions:
        columns += [region] if kind == "expression" else [region, f"{region}_on"]
    columns += ["expression"] if kind == "expression" else []
    columns += [f"{region}_smooth" for region in regions] if smoothing else []
    duplicates = sorted({name for name in columns if columns.count(name) > 1})
    if duplicates:
        raise ValueError(
            f"a class must not be named like a column of the predictions, as {', '.join(duplicates)} would be; the others are "
            f"{', '.join([*_FACE, 'expression'])}, and names of classes with _smooth"
        )
    return columns
