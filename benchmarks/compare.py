"""`python -m benchmarks.compare`: fused, eager, compiled and SDPA side by side, interleaved, as ratios of one run.

Prints a Markdown table and writes JSON with the machine, the versions and every median.
"""

import argparse
import json
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.progress import track

from benchmarks.peers import Peer, peers
from benchmarks.shapes import CPU_BATCH, inputs, on_cpu

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
FOLDER = Path(__file__).parent / "results"


def forward(peer: Peer, tensors: dict) -> Callable[[], object]:
    def run():
        with torch.no_grad():
            peer(tensors)

    return run


def forward_backward(peer: Peer, tensors: dict) -> Callable[[], object]:
    cotangents = [torch.randn_like(out) for out in peer(tensors)]
    wanted = list(tensors.values())

    def run():
        torch.autograd.grad(peer(tensors), wanted, cotangents, allow_unused=True)

    return run


def medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, in turns, so that a slow spell of the machine hits all alike.

    The order of a turn is drawn anew each time: in a fixed one the caches that a run finds are always the same
    predecessor's, and whoever follows the largest peer pays for it.
    """
    order = random.Random(0)
    for run in runs.values():
        for _ in range(3):
            run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name in order.sample(list(runs), len(runs)):
            start = time.perf_counter()
            runs[name]()
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def check(found: dict[str, Peer], tensors: dict) -> None:
    """No row is timed whose results are not the eager ones."""
    expected = found["eager"](tensors)
    for name, peer in found.items():
        if name == "sdpa pooling":
            continue
        for got, wanted in zip(peer(tensors), expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=0.02, atol=0.02 if got.dtype != torch.float32 else 1e-3)


def measure(shape_name: str, dtype: str, layout: str, rounds: int) -> list[dict]:
    tensors = inputs(on_cpu(shape_name), DTYPES[dtype], LAYOUTS[layout])
    found = {name: make() for name, make in peers().items()}
    check(found, tensors)
    rows = []
    for direction, prepare in (("forward", forward), ("forward+backward", forward_backward)):
        times = medians({name: prepare(peer, tensors) for name, peer in found.items()}, rounds)
        rows.append(
            {
                "shape": shape_name,
                "dtype": dtype,
                "layout": layout,
                "direction": direction,
                "milliseconds": {name: round(1e3 * seconds, 4) for name, seconds in times.items()},
            }
        )
    return rows


def machine() -> dict[str, str]:
    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in facts.splitlines() if line.startswith("model name")), "")
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=FOLDER.parent
    )
    return {
        "cpu": model or platform.processor(),
        "threads": str(torch.get_num_threads()),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "revision": revision.stdout.strip(),
    }


def table(rows: list[dict], peer: str = "cpu") -> str:
    others = [name for name in rows[0]["milliseconds"] if name != peer]
    head = ["shape", "dtype", "layout", "direction", f"{peer} ms", *(f"{name} / {peer}" for name in others)]
    lines = [" | ".join(["", *head, ""]).strip(), "|" + "---|" * len(head)]
    for row in rows:
        times = row["milliseconds"]
        ratios = [f"{times[name] / times[peer]:.2f}" for name in others]
        cells = [row["shape"], row["dtype"], row["layout"], row["direction"], f"{times[peer]:.2f}", *ratios]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=["S1", "S2", "S3", "S4"])
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS), choices=LAYOUTS)
    parser.add_argument("--rounds", type=int, default=41, help="timings of each peer (default 41)")
    parser.add_argument("--out", type=Path, default=FOLDER / "cpu.json")
    chosen = parser.parse_args()
    jobs = [(s, d, layout) for s in chosen.shapes for d in chosen.dtypes for layout in chosen.layouts]
    rows = [row for job in track(jobs, "Measuring") for row in measure(*job, chosen.rounds)]
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    found = {"machine": machine(), "batch": CPU_BATCH, "rounds": chosen.rounds, "rows": rows}
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    chosen.out.with_suffix(".md").write_text(table(rows) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
