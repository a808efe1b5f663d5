"""`python -m benchmarks.one_sample`: a single sample on one thread and on all of them, in milliseconds.

Medians of interleaved calls in float32; writes results/cpu_one_sample.json.
"""

import argparse
import json
from collections.abc import Callable

import torch
from rich.progress import track

from benchmarks.baselines import Tensors, with_backend
from benchmarks.compare import CPU, RESULTS
from benchmarks.environment import disable_malloc_trim, environment
from benchmarks.passes import PASSES, Timed
from benchmarks.shapes import LAYOUTS, SHAPES, inputs, merge_rows, rounds_at
from benchmarks.timing import interleaved, medians
from sma_models.utils.markdown_table import table_lines

ONE_SAMPLE_SHAPES = ("S1", "S2", "S3", "S4", "S6", "S8")  # a sample of S7 is one of S3
TABLE = RESULTS / "cpu_one_sample.json"


def on_threads(count: int, timed: Timed) -> Timed:
    return Timed(timed.run, lambda: torch.set_num_threads(count))


def measure(
    make: Callable[..., Timed], merge: str, tensors: Tensors, counts: tuple[int, ...], rounds: int
) -> list[float]:
    """Milliseconds by number of threads."""
    timed = make(with_backend("sma_attention", "cpu", merge=merge), tensors)
    times = medians(interleaved({str(count): on_threads(count, timed) for count in counts}, rounds, CPU))
    return [round(1e3 * seconds, 4) for seconds in times.values()]


def table(results: dict) -> str:
    return "\n".join(table_lines(results["columns"], (tuple(map(str, row)) for row in results["rows"])))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.one_sample",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=99, help="calls of each kind (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="store the times")
    args = parser.parse_args()
    disable_malloc_trim()
    facts, counts = environment(CPU), (1, torch.get_num_threads())
    rows = []
    for shape, merge in track(merge_rows(ONE_SAMPLE_SHAPES), "Measuring"):
        for layout, memory_format in LAYOUTS.items():
            tensors = inputs(SHAPES[shape]._replace(batch=1), torch.float32, memory_format, CPU)
            for name in ("forward", "forward+backward"):
                alone, shared = measure(PASSES[name], merge, tensors, counts, rounds_at(shape, args.rounds))
                rows.append([shape, merge, layout, name, alone, shared, round(alone / shared, 2)])
    columns = ["shape", "merge", "layout", "pass", "1 thread, ms", f"{counts[1]} threads, ms", "ratio"]
    results = {"environment": facts, "columns": columns, "rows": rows}
    print(table(results))
    if args.write:
        TABLE.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
