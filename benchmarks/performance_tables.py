"""`python -m benchmarks.performance_tables NAME`: a table of docs/performance.md, from the committed results."""

import argparse
import json

from benchmarks import one_sample, roofline
from benchmarks.compare import RESULTS
from benchmarks.result_rows import current_names
from sma_models.utils.markdown_table import table_lines


def roofline_table() -> str:
    return roofline.table(json.loads((RESULTS / "cpu_limits.json").read_text())["rows"])


def one_sample_table() -> str:
    return one_sample.table(json.loads(one_sample.TABLE.read_text()))


def ratio_table() -> str:
    """Times of the `sma_attention` baselines as multiples of the fused kernels, and memory of these as a share of eager's."""
    results = map(current_names, json.loads((RESULTS / "cpu.json").read_text())["rows"])
    rows = {
        tuple(row[name] for name in ("shape", "layout", "dtype", "pass")): row
        for row in results
        if row["function"] == "sma_attention"
    }
    both = "forward+backward"

    def slower(implementation: str, *case: str) -> str:
        times = rows[case]["milliseconds"]
        return f"{times[implementation] / times['cpu']:.2f}"

    header = ("shape", "layout", "eager", "torch.compile", "eager, bfloat16", "eager, forward alone", "memory")
    cells = []
    for shape, layout in dict.fromkeys(case[:2] for case in rows):
        peak = rows[shape, layout, "float32", both]["peak_bytes"]
        cells.append(
            (
                shape,
                layout,
                slower("eager", shape, layout, "float32", both),
                slower("torch.compile", shape, layout, "float32", both),
                slower("eager", shape, layout, "bfloat16", both),
                slower("eager", shape, layout, "float32", "forward"),
                f"{peak['cpu'] / peak['eager']:.2f}",
            )
        )
    return "\n".join(table_lines(header, cells))


TABLES = {"roofline": roofline_table, "ratios": ratio_table, "one-sample": one_sample_table}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance_tables", description=__doc__)
    parser.add_argument("name", choices=TABLES)
    print(TABLES[parser.parse_args().name]())


if __name__ == "__main__":
    main()
