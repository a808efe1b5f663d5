"""`make bench-gate`: fails if a change made the CPU kernels slower, beyond the noise between repeats.

Compares ratios, fused ÷ eager of the same run, with those committed for this instruction set and number of threads.
`--write` stores the ratios of this machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

import torch
from rich.progress import track

from benchmarks.baselines import Implementation, with_backend
from benchmarks.compare import CPU, RESULTS
from benchmarks.environment import ROOT, disable_malloc_trim, environment
from benchmarks.passes import forward_backward
from benchmarks.shapes import CPU_SHAPES, LAYOUTS, inputs, merge_rows, on_cpu, rounds_at, row_name
from benchmarks.timing import interleaved, medians

TABLE = RESULTS / "gate.json"
ROWS = [(shape, merge, layout) for shape, merge in merge_rows(CPU_SHAPES) for layout in LAYOUTS]
REPEATS = 5
LEAST_MARGIN = 0.10  # below 10 % a change is indistinguishable from noise


@dataclass(frozen=True)
class Ratios:
    """Fused ÷ eager over several repeats: median and range."""

    median: float
    spread: float

    @staticmethod
    def of(repeats: list[float]) -> "Ratios":
        return Ratios(round(statistics.median(repeats), 4), round(max(repeats) - min(repeats), 4))


def regression(committed: Ratios, measured: Ratios) -> str | None:
    """Why `measured` is a regression, or None. A regression exceeds `committed` by more than either spread and 10 %."""
    margin = max(committed.spread, measured.spread, LEAST_MARGIN * committed.median)
    if measured.median <= committed.median + margin:
        return None
    return f"{measured.median:.3f} of eager's time, committed {committed.median:.3f}, margin {margin:.3f}"


def ratio(shape: str, merge: str, layout: str, candidate: Implementation | None = None, rounds: int = 11) -> float:
    """Fused ÷ eager, forward and backward in float32."""
    tensors = inputs(on_cpu(shape), torch.float32, LAYOUTS[layout], CPU)
    fused, eager = (with_backend("sma_attention", backend, merge=merge) for backend in ("cpu", "reference"))
    fused = candidate or fused
    runs = {"fused": forward_backward(fused, tensors), "eager": forward_backward(eager, tensors)}
    times = medians(interleaved(runs, rounds_at(shape, rounds), CPU))
    return times["fused"] / times["eager"]


def measure(repeats: int = REPEATS) -> dict[str, Ratios]:
    """Every row, each repeat in a new process, since the placement of memory lasts as long as a process."""
    command = [sys.executable, "-m", "benchmarks.gate", "--once"]
    repeat_ratios = []
    for _ in track(range(repeats), "Measuring"):
        process = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        repeat_ratios.append(json.loads(process.stdout))
    return {row: Ratios.of([repeat[row] for repeat in repeat_ratios]) for row in repeat_ratios[0]}


def hardware_class() -> str:
    facts = environment(CPU)
    return f"{facts['instructions']}, {facts['threads']} threads"


def judge(committed: dict[str, list], measured: dict[str, Ratios]) -> dict[str, str]:
    """Regressions by row; {} if there is none. Rows without committed ratios are not judged."""
    known = {row: ratios for row, ratios in measured.items() if row in committed}
    reasons = {row: regression(Ratios(*committed[row]), ratios) for row, ratios in known.items()}
    return {row: why for row, why in reasons.items() if why}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--write", action="store_true", help="store the ratios of this machine")
    parser.add_argument("--once", action="store_true", help="print the ratios of one repeat as JSON")
    args = parser.parse_args()
    disable_malloc_trim()
    if args.once:
        ratios = {f"{row_name(shape, merge)} {layout}": ratio(shape, merge, layout) for shape, merge, layout in ROWS}
        print(json.dumps(ratios))
        return
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    hardware = hardware_class()
    if not args.write and hardware not in table:
        raise SystemExit(
            f"no ratios are committed for {hardware}; known: {', '.join(table) or 'none'}. --write stores them"
        )
    measured = measure()
    if args.write:
        rows = {row: [ratios.median, ratios.spread] for row, ratios in measured.items()}
        table[hardware] = {"environment": environment(CPU), "rows": rows}
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        return
    slower = judge(table[hardware]["rows"], measured)
    for row in measured.keys() - table[hardware]["rows"]:
        print(f"not judged: {row}: no ratio is committed; --write stores it")
    for row, reason in slower.items():
        print(f"slower: {row}: {reason}")
    if slower:
        raise SystemExit(1)
    print(f"no regression on {hardware}")


if __name__ == "__main__":
    main()
