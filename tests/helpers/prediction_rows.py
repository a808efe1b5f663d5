"""`sma-net predict` run by the tests, and the rows that it writes."""

import csv
import re
from contextlib import nullcontext

import pytest

from sma_models.cli import main


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def run(checkpoint, *arguments, empty=()):
    """The written rows; `empty` names the sources without rows, for which the command fails at its end."""
    out = checkpoint.parent / "rows.csv"
    message = f"nothing could be read from {', '.join(map(str, empty))}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$") if empty else nullcontext():
        main(["predict", str(checkpoint), *map(str, arguments), "--out", str(out), "--workers", "2", "--batch", "4"])
    return read(out)
