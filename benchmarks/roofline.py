"""`python -m benchmarks.roofline`: what bounds a training step of the head on this CPU.

Beside the measured time stand what the bytes of the floor take at the measured copy bandwidth; what PyTorch takes to read
values and features twice and to write as much once, and nothing else; what the operations of the floor take at the speed of
PyTorch's matrix product; what the kernels take where a sample lies in the caches, times B ÷ threads; and what the same call
takes on a tensor with hardly any arithmetic: that of Python and PyTorch. The last column is half the time of
`torch.compile`: what was aimed at.
"""

import argparse
import json
from pathlib import Path

import torch
from rich.progress import track

from benchmarks import instructions
from benchmarks.baselines import Tensors, compiled, through
from benchmarks.compare import CPU, LAYOUTS, RESULTS
from benchmarks.environment import keep_heap, machine
from benchmarks.passes import Timed, forward_backward
from benchmarks.shapes import Shape, floor_bytes, floor_operations, inputs, on_cpu
from benchmarks.timing import arithmetic_speed, copy_bandwidth, interleaved, medians

TINY = Shape(batch=1, values=4, side=2, regions=1, channels=2, embed=2, what="hardly any arithmetic")


def touched(tensors: Tensors) -> Timed:
    """Values and features, read twice by sums; as much written once, with zeros."""
    maps = [tensors["values"].detach(), tensors["features"].detach()]
    gradients = [torch.empty_like(tensor) for tensor in maps]

    def run(_) -> list[torch.Tensor]:
        sums = [tensor.sum() for _ in ("forward", "backward") for tensor in maps]
        return sums + [gradient.zero_() for gradient in gradients]

    return Timed(run)


def measure(program: Path, shape_name: str, layout: str, bandwidth: float, speed: float, rounds: int) -> dict:
    """Milliseconds of forward and backward in float32."""
    shape = on_cpu(shape_name)
    tensors = inputs(shape, torch.float32, LAYOUTS[layout], CPU)
    torch.compiler.reset()
    peers = {
        "cpu": through("sma_attention", "cpu"),
        "eager": through("sma_attention", "reference"),
        "torch.compile": compiled("sma_attention"),
    }
    runs = {name: forward_backward(peer, tensors) for name, peer in peers.items()}
    runs["reads and writes"] = touched(tensors)
    runs["call"] = forward_backward(peers["cpu"], inputs(TINY, torch.float32, LAYOUTS[layout], CPU))
    times = medians(interleaved(runs, rounds, CPU))
    warm = sum(instructions.warm_seconds(program, shape_name, layout, way) for way in ("forward", "backward"))
    found = {
        "bytes of the floor": floor_bytes(shape, torch.float32, "forward+backward") / bandwidth,
        "reads and writes": times.pop("reads and writes"),
        "operations of the floor": floor_operations(shape) / speed,
        "kernels in cache": warm * shape.batch / torch.get_num_threads(),
        "call": times.pop("call"),
        **times,
        "half of torch.compile": times["torch.compile"] / 2,
    }
    milliseconds = {name: round(1e3 * seconds, 3) for name, seconds in found.items()}
    return {"shape": shape_name, "layout": layout, "milliseconds": milliseconds}


def table(rows: list[dict]) -> str:
    names = list(rows[0]["milliseconds"])
    lines = [f"| shape | layout | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for row in rows:
        times = " | ".join(f"{row['milliseconds'][name]:.2f}" for name in names)
        lines.append(f"| {row['shape']} | {row['layout']} | {times} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.roofline", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=41, help="timings of each peer (default 41)")
    parser.add_argument("--default-heap", action="store_true", help="let the C library give memory back to the system")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu_limits.json")
    chosen = parser.parse_args()
    if not chosen.default_heap:
        keep_heap()
    program, bandwidth, speed = instructions.build(), copy_bandwidth(CPU), arithmetic_speed(CPU)
    jobs = [(shape, layout) for shape in ("S1", "S2", "S3", "S4") for layout in LAYOUTS]
    rows = [measure(program, *job, bandwidth, speed, chosen.rounds) for job in track(jobs, "Measuring")]
    found = {
        "machine": machine(CPU),
        "copy_bytes_per_second": round(bandwidth),
        "operations_per_second": round(speed),
        "rows": rows,
    }
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
