"""Which GPU backend `auto` tries first: the one that a committed table prefers at the standard shape nearest to the call.

The table says what its preferences rest on: launches and bytes that were counted, until a card has measured them.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from sma_kernels.head import Head

FILE = Path(__file__).with_name("choice.json")


@cache
def table() -> dict[str, Any]:
    """{"basis": text, "rows": {shape: {"sizes": {batch, C, L, N}, "prefer": backend, ...}}}"""
    return json.loads(FILE.read_text())


def preferred(head: Head) -> str:
    """The backend of the row whose sizes differ from the call's by the smallest factors."""
    sizes = {
        "batch": head.grid.shape[0],
        "C": head.values.shape[1] if head.values is not None else 1,
        "L": math.prod(head.grid.shape[-2:]),
        "N": head.regions * head.channels,
    }

    def distance(row: dict[str, Any]) -> float:
        return sum(abs(math.log(max(1, size) / row["sizes"][name])) for name, size in sizes.items())

    return min(table()["rows"].values(), key=distance)["prefer"]
