"""The report's figure: speed-up over eager PyTorch and share of the copy bandwidth."""

from pathlib import Path
from typing import Any

from benchmarks.gpu_report.markdown import CONFIGURATION, agrees, by_configuration
from benchmarks.plots import bars


def draw(results: dict[str, Any], path: Path) -> None:
    """Captured times where there are any, else those of eager calls."""
    quantity = "captured_us" if any("captured_us" in row for row in results["rows"]) else "called_us"
    rows = []
    for configuration, cells in by_configuration(results["rows"]).items():
        taken = {name: row[quantity] / 1e3 for name, row in cells.items() if quantity in row and agrees(row)}
        if "eager" in taken:
            facts = dict(zip(CONFIGURATION, configuration, strict=True))
            floor = next(iter(cells.values()))["floor_bytes"]
            rows.append({**facts, "function": "sma_attention", "milliseconds": taken, "floor_bytes": floor})
    bars({"rows": rows, "copy_bytes_per_second": results["environment"].get("copy_bytes_per_second")}, path)
