"""Which GPU backend `auto` tries first: the one that a committed table prefers at the standard shape nearest to the call.

The table states the basis of its preferences: times measured on a GPU, or else counted launches and bytes.
"""

import json
import math
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch

from sma_kernels.args import AttentionArgs

FILE = Path(__file__).with_name("preference.json")


@cache
def table() -> dict[str, Any]:
    """{"basis": text, "rows": {name: {"dtype": ..., "sizes": {batch, C, L, N}, "prefer": backend, ...}}}"""
    return json.loads(FILE.read_text())


def preferred(args: AttentionArgs) -> str:
    """The backend of the row whose sizes differ from the call's by the smallest factors.

    Rows are for bfloat16 or float32. Calls in float16 use those for float32: Triton splits the operands of both in two.
    """
    dtype = "bfloat16" if args.grid.dtype == torch.bfloat16 else "float32"
    channels = args.values.shape[1] if args.values is not None else 1
    return _preferred_at(
        dtype, args.grid.shape[0], channels, args.grid.shape[-2:].numel(), args.regions * args.channels
    )


@lru_cache  # the search would take several microseconds of every eager call
def _preferred_at(dtype: str, batch: int, channels: int, positions: int, maps: int) -> str:
    sizes = {"batch": batch, "C": channels, "L": positions, "N": maps}
    rows = list(table()["rows"].values())

    def distance(row: dict[str, Any]) -> float:
        return sum(abs(math.log(max(1, size) / row["sizes"][name])) for name, size in sizes.items())

    return min([row for row in rows if row["dtype"] == dtype] or rows, key=distance)["prefer"]
