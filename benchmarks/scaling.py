"""`python -m benchmarks.scaling`: time over B, L, C and K, one at a time from a common middle; JSON and a picture."""

import argparse
import json
from pathlib import Path

import torch
from rich.progress import track

from benchmarks.baselines import fused, through
from benchmarks.compare import CPU, RESULTS
from benchmarks.environment import keep_heap, machine
from benchmarks.passes import forward_backward
from benchmarks.plots import lines
from benchmarks.shapes import Shape, inputs
from benchmarks.timing import interleaved, medians

MIDDLE = Shape(16, 512, 14, 12, 4, 64, "middle of the sweeps")
SWEEPS = {
    "B": [MIDDLE._replace(batch=size) for size in (1, 2, 4, 8, 16, 32)],
    "L": [MIDDLE._replace(side=size) for size in (4, 7, 14, 28)],
    "C": [MIDDLE._replace(values=size) for size in (64, 128, 256, 512, 1024, 2048)],
    "K": [MIDDLE._replace(channels=size) for size in (1, 2, 4, 8)],
}
SIZE = {"B": "batch", "L": "side", "C": "values", "K": "channels"}


def sweep(name: str, rounds: int) -> dict[str, list]:
    found: dict[str, list] = {"sizes": []}
    for shape in track(SWEEPS[name], f"Sweeping {name}"):
        size = getattr(shape, SIZE[name])
        found["sizes"].append(size**2 if name == "L" else size)
        tensors = inputs(shape, torch.float32, torch.contiguous_format, CPU)
        runs = {peer: forward_backward(through("sma_attention", peer), tensors) for peer in (*fused(CPU), "reference")}
        for peer, seconds in medians(interleaved(runs, rounds, CPU)).items():
            found.setdefault("eager" if peer == "reference" else peer, []).append(round(1e3 * seconds, 4))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="timings of each peer (default 21)")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu_scaling.json")
    chosen = parser.parse_args()
    keep_heap()
    found = {name: sweep(name, chosen.rounds) for name in SWEEPS}
    middle = {name: value for name, value in MIDDLE._asdict().items() if name != "what"}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({"machine": machine(CPU), "middle": middle, "sweeps": found}, indent=1) + "\n")
    lines(found, chosen.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
