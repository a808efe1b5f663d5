"""`python -m benchmarks.performance_tables NAME`: a table of docs/performance.md, from the committed results."""

import argparse
import json

from benchmarks import roofline
from benchmarks.compare import RESULTS


def of_limits() -> str:
    return roofline.table(json.loads((RESULTS / "cpu_limits.json").read_text())["rows"])


def of_ratios() -> str:
    """Of `sma_attention`: times of the peers as multiples of the fused kernels', and their memory as a share of eager's."""
    rows = {
        tuple(row[name] for name in ("shape", "layout", "dtype", "direction")): row
        for row in json.loads((RESULTS / "cpu.json").read_text())["rows"]
        if row["function"] == "sma_attention"
    }
    both = "forward+backward"

    def slower(peer: str, *case: str) -> str:
        times = rows[case]["milliseconds"]
        return f"{times[peer] / times['cpu']:.2f}"

    lines = [
        "| shape | layout | eager | torch.compile | eager, bfloat16 | eager, forward alone | memory |",
        "|---" * 7 + "|",
    ]
    for shape, layout in dict.fromkeys(case[:2] for case in rows):
        held = rows[shape, layout, "float32", both]["peak_bytes"]
        cells = [
            shape,
            layout,
            slower("eager", shape, layout, "float32", both),
            slower("torch.compile", shape, layout, "float32", both),
            slower("eager", shape, layout, "bfloat16", both),
            slower("eager", shape, layout, "float32", "forward"),
            f"{held['cpu'] / held['eager']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


TABLES = {"limits": of_limits, "ratios": of_ratios}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance_tables", description=__doc__)
    parser.add_argument("name", choices=TABLES)
    print(TABLES[parser.parse_args().name]())


if __name__ == "__main__":
    main()
