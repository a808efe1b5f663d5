"""`python -m benchmarks.performance_tables NAME`: a table of docs/performance.md, or its summary, from the committed
results."""

import argparse
import json
import textwrap
from collections.abc import Callable
from typing import Any

from benchmarks import one_sample, roofline
from benchmarks.compare import RESULTS
from benchmarks.module import MODULE
from benchmarks.result_rows import current_names
from sma_models.utils.markdown_table import table_lines


def roofline_table() -> str:
    return roofline.table(json.loads((RESULTS / "cpu_limits.json").read_text())["rows"])


def one_sample_table() -> str:
    return one_sample.table(json.loads(one_sample.TABLE.read_text()))


OPERATOR = "sma_attention"
STEP = ("float32", "forward+backward")
Case = tuple[str, ...]  # function, shape, merge, layout, dtype, pass
Row = dict[str, Any]


def comparison() -> tuple[dict[Case, Row], dict[str, str]]:
    """The rows of `benchmarks.compare`, and the environment."""
    results = current_names(json.loads((RESULTS / "cpu.json").read_text()))
    keys = ("function", "shape", "merge", "layout", "dtype", "pass")
    rows = {tuple(row[key] for key in keys): row for row in map(current_names, results["rows"])}
    return rows, results["environment"]


def ratio_table(rows: dict[Case, Row]) -> str:
    """Times of the baselines as multiples of the fused kernels', memory of these as a share of eager's, and the module."""

    def multiple(function: str, implementation: str, *case: str) -> str:
        if (function, *case) not in rows:
            return "–"
        times = rows[function, *case]["milliseconds"]
        return f"{times[implementation] / times['cpu']:.2f}"

    header = ("shape", "merge", "layout", "eager", "torch.compile", "eager, bfloat16", "eager, forward alone", "memory")
    cells = []
    for case in dict.fromkeys(case[1:4] for case in rows if case[0] == OPERATOR):
        peak = rows[OPERATOR, *case, *STEP]["peak_bytes"]
        cells.append(
            (
                *case,
                multiple(OPERATOR, "eager", *case, *STEP),
                multiple(OPERATOR, "torch.compile", *case, *STEP),
                multiple(OPERATOR, "eager", *case, "bfloat16", "forward+backward"),
                multiple(OPERATOR, "eager", *case, "float32", "forward"),
                f"{peak['cpu'] / peak['eager']:.2f}",
                multiple(MODULE, "eager", *case, *STEP),
                multiple(MODULE, "convolution", *case, *STEP),
            )
        )
    return "\n".join(table_lines((*header, "module, eager", "module, its convolution"), cells))


def summary(rows: dict[Case, Row], facts: dict[str, str]) -> str:
    """What the kernels gain on a CPU, in the operator and, where it was compared, in the module."""

    def extent(function: str, implementation: str, unit: str) -> str:
        """The smallest and the largest time of another implementation, as multiples of the fused kernels'."""
        cases = (row["milliseconds"] for case, row in rows.items() if case[0] == function and case[4:] == STEP)
        multiples = [times[implementation] / times["cpu"] for times in cases]
        return f"{min(multiples):{unit}} to {max(multiples):{unit}}"

    def compared(function: str, part: int) -> str:
        return ", ".join(sorted({case[part] for case in rows if case[0] == function}))

    text = (
        f"On a CPU, forward and backward of `sma_attention` take eager PyTorch {extent(OPERATOR, 'eager', '.1f')} times as "
        f"long as the fused kernels ({compared(OPERATOR, 1)}; merge {compared(OPERATOR, 2)}; float32; {facts['threads']} "
        f"threads, {facts['cpu']})."
    )
    if any(case[0] == MODULE for case in rows):
        text += (
            " **The module `SMAAttention` gains less**: it computes the features by a 1x1 convolution, which is PyTorch's on "
            f"every backend. The convolution takes {extent(MODULE, 'convolution', '.0%')} of the fused module's time, and the "
            f"module takes {extent(MODULE, 'eager', '.1f')} times as long with eager PyTorch ({compared(MODULE, 1)}; merge "
            f"{compared(MODULE, 2)})."
        )
    return textwrap.fill(text, 128, break_long_words=False, break_on_hyphens=False)


TABLES: dict[str, Callable[[], str]] = {
    "summary": lambda: summary(*comparison()),
    "roofline": roofline_table,
    "ratios": lambda: ratio_table(comparison()[0]),
    "one-sample": one_sample_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance_tables", description=__doc__)
    parser.add_argument("name", choices=TABLES)
    print(TABLES[parser.parse_args().name]())


if __name__ == "__main__":
    main()
