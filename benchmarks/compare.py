"""`python -m benchmarks.compare`: fused, eager, compiled and SDPA side by side, interleaved, as ratios of one run.

Writes JSON with the environment, every median, its quartiles and the memory; a Markdown table; bar plots.
"""

import argparse
import json
import statistics
from pathlib import Path

from rich.progress import track

from benchmarks.agreement import check
from benchmarks.baselines import available_backends, implementations, unused_outputs
from benchmarks.environment import disable_malloc_trim, environment
from benchmarks.jobs import CPU, DTYPES, FUNCTIONS, Job, jobs
from benchmarks.passes import PASSES
from benchmarks.plots import bars
from benchmarks.shapes import CPU_BATCH, CPU_SHAPES, LAYOUTS, lower_bound_bytes, on_cpu, rounds_at
from benchmarks.timing import bytes_of, copy_bandwidth, interleaved, peak_memory
from sma_models.utils.markdown_table import table_lines

RESULTS = Path(__file__).parent / "results"
CONFIGURATION = ("shape", "dtype", "layout", "merge", "pass")


def measure(job: Job, rounds: int) -> list[dict]:
    """One row per pass: milliseconds (median, quartiles) of each implementation, and peak bytes beyond its outputs."""
    tensors = job.tensors()
    candidates = {name: make() for name, make in implementations(job.function, CPU, **job.settings).items()}
    check(candidates, tensors)
    rows = []
    for pass_name, make_timed in PASSES.items():
        runs = {name: make_timed(implementation, tensors) for name, implementation in candidates.items()}
        seconds = interleaved(runs, rounds_at(job.shape, rounds), CPU)
        row = {**job._asdict(), "pass": pass_name}
        row["milliseconds"] = {name: round(1e3 * statistics.median(times), 4) for name, times in seconds.items()}
        row["quartiles"] = {
            name: [round(1e3 * cut, 4) for cut in statistics.quantiles(times, n=4)[::2]]
            for name, times in seconds.items()
        }
        if pass_name != "backward":  # meaningless alone: eager frees tensors of the forward there
            spare = bytes_of(unused_outputs(job.function, tensors, **job.settings))
            row["peak_bytes"] = {
                name: peak_memory(run, CPU) - (spare if name in (*available_backends(CPU), "eager") else 0)
                for name, run in runs.items()
            }
        if job.function == "sma_attention":
            row["lower_bound_bytes"] = lower_bound_bytes(on_cpu(job.shape), DTYPES[job.dtype], pass_name)
        rows.append(row)
    return rows


def table(rows: list[dict]) -> str:
    """By function: times of the first implementation, of the others as multiples, and its memory as a share of eager's."""
    tables = []
    for function in dict.fromkeys(row["function"] for row in rows):
        of_function = [row for row in rows if row["function"] == function]
        first, *others = of_function[0]["milliseconds"]
        header = [*CONFIGURATION, f"{first}, ms", *(f"{name} ÷ {first}" for name in others), "memory"]
        cells = []
        for row in of_function:
            times, peaks = row["milliseconds"], row.get("peak_bytes", {})
            ratios = [f"{times[name] / times[first]:.2f}" for name in others]
            share = f"{peaks[first] / peaks['eager']:.2f}" if peaks.get("eager") else ""
            cells.append([*(row[name] for name in CONFIGURATION), f"{times[first]:.2f}", *ratios, share])
        tables += [f"\n### {function}\n", *table_lines(header, cells)]
    return "\n".join(tables).strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--functions", nargs="+", default=FUNCTIONS, choices=FUNCTIONS)
    parser.add_argument("--shapes", nargs="+", default=CPU_SHAPES, choices=CPU_SHAPES)
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS), choices=LAYOUTS)
    parser.add_argument("--rounds", type=int, default=41, help="timings per implementation, a quarter of long calls")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu.json")
    args = parser.parse_args()
    disable_malloc_trim()
    calls = jobs(args.functions, args.shapes, args.dtypes, args.layouts)
    rows = [row for job in track(calls, "Measuring") for row in measure(job, args.rounds)]
    results = {
        "environment": environment(CPU),
        "batch": CPU_BATCH,
        "rounds": args.rounds,
        "copy_bytes_per_second": round(copy_bandwidth(CPU)),
        "rows": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(table(rows) + "\n")
    bars({**results, "rows": [row for row in rows if row["dtype"] == "float32"]}, args.out.with_suffix(".png"))
    print(table(rows))


if __name__ == "__main__":
    main()
