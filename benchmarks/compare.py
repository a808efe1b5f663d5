"""`python -m benchmarks.compare`: fused, eager, compiled and SDPA side by side, interleaved, as ratios of one run.

Writes JSON with the machine, the versions, every median, its quartiles and the memory; a Markdown table; bar plots.
"""

import argparse
import json
import statistics
from pathlib import Path

import torch
from rich.progress import track

from benchmarks.agreement import check
from benchmarks.baselines import fused, peers, unused_outputs
from benchmarks.environment import keep_heap, machine
from benchmarks.passes import DIRECTIONS
from benchmarks.plots import bars
from benchmarks.shapes import CPU_BATCH, LAYOUTS, floor_bytes, inputs, on_cpu
from benchmarks.timing import bytes_of, copy_bandwidth, interleaved, peak_memory
from tests.cases import FUNCTIONS

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
RESULTS = Path(__file__).parent / "results"
CPU = torch.device("cpu")


def measure(function: str, shape_name: str, dtype: str, layout: str, rounds: int) -> list[dict]:
    """A row each direction: milliseconds (median, quartiles) of every peer, and bytes held beyond what all must write."""
    shape = on_cpu(shape_name)
    tensors = inputs(shape, DTYPES[dtype], LAYOUTS[layout], CPU, function)
    found = {name: make() for name, make in peers(function, CPU).items()}
    check(found, tensors)
    rows = []
    for direction, prepare in DIRECTIONS.items():
        runs = {name: prepare(peer, tensors) for name, peer in found.items()}
        taken = interleaved(runs, rounds, CPU)
        row = {"function": function, "shape": shape_name, "dtype": dtype, "layout": layout, "direction": direction}
        row["milliseconds"] = {name: round(1e3 * statistics.median(times), 4) for name, times in taken.items()}
        row["quartiles"] = {
            name: [round(1e3 * cut, 4) for cut in statistics.quantiles(times, n=4)[::2]]
            for name, times in taken.items()
        }
        if direction != "backward":  # eager frees in its backward what the forward kept: the sum tells
            spare = bytes_of(unused_outputs(tensors)) if function == "sma_attention" else 0
            row["peak_bytes"] = {
                name: peak_memory(run, CPU) - (spare if name in (*fused(CPU), "eager") else 0)
                for name, run in runs.items()
            }
        if function == "sma_attention":
            row["floor_bytes"] = floor_bytes(shape, DTYPES[dtype], direction)
        rows.append(row)
    return rows


def table(rows: list[dict]) -> str:
    """Times of the first peer, and of the others as multiples of it; memory of the first as a share of eager's."""
    first, *others = rows[0]["milliseconds"]
    head = [
        "shape",
        "dtype",
        "layout",
        "direction",
        f"{first}, ms",
        *(f"{name} ÷ {first}" for name in others),
        "memory",
    ]
    lines = []
    for function in dict.fromkeys(row["function"] for row in rows):
        lines += [f"\n### {function}\n", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for row in (row for row in rows if row["function"] == function):
            times, peak = row["milliseconds"], row.get("peak_bytes", {})
            ratios = [f"{times[name] / times[first]:.2f}" if name in times else "" for name in others]
            share = f"{peak[first] / peak['eager']:.2f}" if peak.get("eager") else ""
            cells = [row["shape"], row["dtype"], row["layout"], row["direction"], f"{times[first]:.2f}", *ratios, share]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines).strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS), choices=FUNCTIONS)
    parser.add_argument("--shapes", nargs="+", default=["S1", "S2", "S3", "S4"])
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS), choices=LAYOUTS)
    parser.add_argument("--rounds", type=int, default=41, help="timings of each peer (default 41)")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu.json")
    chosen = parser.parse_args()
    keep_heap()
    jobs = [
        (function, shape, dtype, layout)
        for function in chosen.functions
        for shape in chosen.shapes
        for dtype in chosen.dtypes
        for layout in chosen.layouts
    ]
    rows = [row for job in track(jobs, "Measuring") for row in measure(*job, chosen.rounds)]
    found = {
        "machine": machine(CPU),
        "batch": CPU_BATCH,
        "rounds": chosen.rounds,
        "copy_bytes_per_second": round(copy_bandwidth(CPU)),
        "rows": rows,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    chosen.out.with_suffix(".md").write_text(table(rows) + "\n")
    bars(found, chosen.out.with_suffix(".png"))
    print(table(rows))


if __name__ == "__main__":
    main()
