"""The report's figure: speed-up over eager PyTorch and share of the copy bandwidth."""

from pathlib import Path
from typing import Any

from benchmarks.gpu_report.markdown import CONFIGURATION, agrees, by_configuration
from benchmarks.plots import bars


def draw(results: dict[str, Any], path: Path) -> None:
    """Times captured in CUDA graphs if there are any, else those of eager calls."""
    quantity = "captured_us" if any("captured_us" in row for row in results["rows"]) else "called_us"
    rows = []
    for configuration, cells in by_configuration(results["rows"]).items():
        milliseconds = {name: row[quantity] / 1e3 for name, row in cells.items() if quantity in row and agrees(row)}
        if "eager" in milliseconds:
            facts = dict(zip(CONFIGURATION, configuration, strict=True))
            lower_bound = next(iter(cells.values()))["lower_bound_bytes"]
            rows.append(
                {**facts, "function": "sma_attention", "milliseconds": milliseconds, "lower_bound_bytes": lower_bound}
            )
    bars({"rows": rows, "copy_bytes_per_second": results["environment"].get("copy_bytes_per_second")}, path)
