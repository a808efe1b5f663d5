"""`python -m benchmarks.scaling`: time over B, L, C and K, one at a time from a common center, with both merges; writes
JSON and a plot."""

import argparse
import json
from pathlib import Path

import torch
from rich.progress import track

from benchmarks.baselines import available_backends, with_backend
from benchmarks.compare import CPU, RESULTS
from benchmarks.environment import disable_malloc_trim, environment
from benchmarks.passes import forward_backward
from benchmarks.plots import lines
from benchmarks.shapes import Shape, inputs
from benchmarks.timing import interleaved, medians

CENTER = Shape(16, 512, 14, 14, 12, 4, 64, "center of the sweeps")
SWEEPS = {
    "B": [CENTER._replace(batch=size) for size in (1, 2, 4, 8, 16, 32)],
    "L": [CENTER._replace(height=size, width=size) for size in (4, 7, 14, 28)],
    "C": [CENTER._replace(values=size) for size in (64, 128, 256, 512, 1024, 2048)],
    "K": [CENTER._replace(channels=size) for size in (1, 2, 4, 8)],
}
SIZE = {"B": "batch", "L": "positions", "C": "values", "K": "channels"}


def sweep(dimension: str, rounds: int) -> dict[str, list]:
    series: dict[str, list] = {"sizes": []}
    for shape in track(SWEEPS[dimension], f"Sweeping {dimension}"):
        series["sizes"].append(getattr(shape, SIZE[dimension]))
        tensors = inputs(shape, torch.float32, torch.contiguous_format, CPU)
        runs = {
            f"{'eager' if backend == 'reference' else backend}, {merge}": forward_backward(
                with_backend("sma_attention", backend, merge=merge), tensors
            )
            for backend in (*available_backends(CPU), "reference")
            for merge in shape.merges
        }
        for name, seconds in medians(interleaved(runs, rounds, CPU)).items():
            series.setdefault(name, []).append(round(1e3 * seconds, 4))
    return series


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="timings per implementation (default 21)")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu_scaling.json")
    args = parser.parse_args()
    disable_malloc_trim()
    sweeps = {name: sweep(name, args.rounds) for name in SWEEPS}
    center = {name: value for name, value in CENTER._asdict().items() if name not in ("what", "merges")}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(
        json.dumps({"environment": environment(CPU), "center": center, "sweeps": sweeps}, indent=1) + "\n"
    )
    lines(sweeps, args.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
