"""`python -m benchmarks.roofline`: the bounds of a training step of the head on this CPU.

Beside the measured time:

memory bound      time of the minimal number of bytes at the measured copy bandwidth
reads and writes  time for PyTorch to read values and features twice and to write as much once
compute bound     time of the minimal number of operations at the speed of PyTorch's matrix product
kernels in cache  time of the kernels on a sample in the caches, times B ÷ threads (a sample of S6 fits in none)
overhead          time of the same call on tiny tensors: Python and PyTorch

The last column is half the time of `torch.compile`, the target.
"""

import argparse
import json
from pathlib import Path

import torch
from rich.progress import track

from benchmarks import instructions
from benchmarks.baselines import Tensors, compiled, with_backend
from benchmarks.compare import CPU, RESULTS
from benchmarks.environment import disable_malloc_trim, environment
from benchmarks.passes import Timed, forward_backward
from benchmarks.result_rows import current_names
from benchmarks.shapes import (
    CPU_SHAPES,
    LAYOUTS,
    Shape,
    inputs,
    lower_bound_bytes,
    lower_bound_operations,
    merge_rows,
    on_cpu,
    rounds_at,
)
from benchmarks.timing import arithmetic_speed, copy_bandwidth, interleaved, medians
from sma_models.utils.markdown_table import table_lines

# Columns of the committed results, and their present names.
_RENAMED = {"bytes of the floor": "memory bound", "operations of the floor": "compute bound", "call": "overhead"}
TINY = Shape(batch=1, values=4, height=2, width=2, regions=1, channels=2, embed=2, what="negligible arithmetic")


def read_and_write(tensors: Tensors) -> Timed:
    """Reads values and features twice, by sums, and writes as much once, with zeros."""
    maps = [tensors["values"].detach(), tensors["features"].detach()]
    gradients = [torch.empty_like(tensor) for tensor in maps]

    def run(_) -> list[torch.Tensor]:
        sums = [tensor.sum() for _ in ("forward", "backward") for tensor in maps]
        return sums + [gradient.zero_() for gradient in gradients]

    return Timed(run)


def measure(
    program: Path, shape_name: str, merge: str, layout: str, bandwidth: float, speed: float, rounds: int
) -> dict:
    """Milliseconds of forward and backward in float32."""
    shape = on_cpu(shape_name)
    tensors = inputs(shape, torch.float32, LAYOUTS[layout], CPU)
    torch.compiler.reset()
    implementations = {
        "cpu": with_backend("sma_attention", "cpu", merge=merge),
        "eager": with_backend("sma_attention", "reference", merge=merge),
        "torch.compile": compiled("sma_attention", merge=merge),
    }
    runs = {name: forward_backward(implementation, tensors) for name, implementation in implementations.items()}
    runs["reads and writes"] = read_and_write(tensors)
    runs["overhead"] = forward_backward(implementations["cpu"], inputs(TINY, torch.float32, LAYOUTS[layout], CPU))
    times = medians(interleaved(runs, rounds_at(shape_name, rounds), CPU))
    warm = sum(instructions.warm_seconds(program, shape_name, merge, layout, way) for way in ("forward", "backward"))
    seconds = {
        "memory bound": lower_bound_bytes(shape, torch.float32, "forward+backward") / bandwidth,
        "reads and writes": times.pop("reads and writes"),
        "compute bound": lower_bound_operations(shape, merge) / speed,
        "kernels in cache": warm * shape.batch / torch.get_num_threads(),
        "overhead": times.pop("overhead"),
        **times,
        "half of torch.compile": times["torch.compile"] / 2,
    }
    milliseconds = {name: round(1e3 * seconds, 3) for name, seconds in seconds.items()}
    return {"shape": shape_name, "merge": merge, "layout": layout, "milliseconds": milliseconds}


def table(rows: list[dict]) -> str:
    names = list(rows[0]["milliseconds"])
    case = ("shape", "merge", "layout")
    header = (*case, *(_RENAMED.get(name, name) for name in names))
    cells = (
        (*(row[part] for part in case), *(f"{row['milliseconds'][name]:.2f}" for name in names))
        for row in map(current_names, rows)
    )
    return "\n".join(table_lines(header, cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.roofline", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=41, help="timings per implementation (default 41)")
    parser.add_argument("--default-heap", action="store_true", help="let the C library return memory to the system")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu_limits.json")
    args = parser.parse_args()
    if not args.default_heap:
        disable_malloc_trim()
    program, bandwidth, speed = instructions.build(), copy_bandwidth(CPU), arithmetic_speed(CPU)
    jobs = [(shape, merge, layout) for shape, merge in merge_rows(CPU_SHAPES) for layout in LAYOUTS]
    rows = [measure(program, *job, bandwidth, speed, args.rounds) for job in track(jobs, "Measuring")]
    results = {
        "environment": environment(CPU),
        "copy_bytes_per_second": round(bandwidth),
        "operations_per_second": round(speed),
        "rows": rows,
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
