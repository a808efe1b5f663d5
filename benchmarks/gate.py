"""`make bench-gate`: has a change made the CPU kernels slower, beyond what repeats of one program differ by?

Compares ratios, fused ÷ eager of the same run, with those committed for this class of machines (instruction set and number
of threads). `--write` commits the ratios of this machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

import torch
from rich.progress import track

from benchmarks.baselines import Peer, through
from benchmarks.compare import CPU, LAYOUTS, RESULTS
from benchmarks.environment import ROOT, keep_heap, machine
from benchmarks.passes import forward_backward
from benchmarks.shapes import inputs, on_cpu
from benchmarks.timing import interleaved, medians

TABLE = RESULTS / "gate.json"
ROWS = [(shape, layout) for shape in ("S1", "S2", "S3", "S4") for layout in LAYOUTS]
REPEATS = 5
LEAST_MARGIN = 0.10  # a change below a tenth is not told from the weather


@dataclass(frozen=True)
class Ratios:
    """Fused ÷ eager of several repeats: their middle, and how far apart they lie."""

    median: float
    spread: float

    @staticmethod
    def of(repeats: list[float]) -> "Ratios":
        return Ratios(round(statistics.median(repeats), 4), round(max(repeats) - min(repeats), 4))


def regression(committed: Ratios, found: Ratios) -> str | None:
    """Why `found` is a regression, or None: it is above `committed` by more than both spread, and by more than a tenth."""
    margin = max(committed.spread, found.spread, LEAST_MARGIN * committed.median)
    if found.median <= committed.median + margin:
        return None
    return f"{found.median:.3f} of eager's time, committed {committed.median:.3f}, margin {margin:.3f}"


def ratio(shape_name: str, layout: str, fused: Peer | None = None, rounds: int = 11) -> float:
    """Fused ÷ eager, forward and backward in float32, B = 16."""
    tensors = inputs(on_cpu(shape_name), torch.float32, LAYOUTS[layout], CPU)
    peers = {"fused": fused or through("sma_attention", "cpu"), "eager": through("sma_attention", "reference")}
    runs = {name: forward_backward(peer, tensors) for name, peer in peers.items()}
    times = medians(interleaved(runs, rounds, CPU))
    return times["fused"] / times["eager"]


def measure(repeats: int = REPEATS) -> dict[str, Ratios]:
    """Every row, each repeat in a process of its own: where memory happens to lie lasts as long as a process."""
    command = [sys.executable, "-m", "benchmarks.gate", "--once"]
    found = []
    for _ in track(range(repeats), "Measuring"):
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
    return {row: Ratios.of([repeat[row] for repeat in found]) for row in found[0]}


def machine_class() -> str:
    facts = machine(CPU)
    return f"{facts['instructions']}, {facts['threads']} threads"


def judge(committed: dict[str, list], found: dict[str, Ratios]) -> dict[str, str]:
    """Regressions by row; {} if there is none."""
    reasons = {row: regression(Ratios(*committed[row]), ratios) for row, ratios in found.items()}
    return {row: why for row, why in reasons.items() if why}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--write", action="store_true", help="commit this machine's ratios")
    parser.add_argument("--once", action="store_true", help="print the ratios of one repeat as JSON")
    chosen = parser.parse_args()
    keep_heap()
    if chosen.once:
        print(json.dumps({f"{shape} {layout}": ratio(shape, layout) for shape, layout in ROWS}))
        return
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    kind = machine_class()
    if not chosen.write and kind not in table:
        raise SystemExit(
            f"no ratios are committed for {kind}; known: {', '.join(table) or 'none'}. --write commits yours"
        )
    found = measure()
    if chosen.write:
        table[kind] = {"machine": machine(CPU), "rows": {row: [r.median, r.spread] for row, r in found.items()}}
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        return
    slower = judge(table[kind]["rows"], found)
    for row, why in slower.items():
        print(f"slower: {row}: {why}")
    if slower:
        raise SystemExit(1)
    print(f"no regression on {kind}")


if __name__ == "__main__":
    main()
