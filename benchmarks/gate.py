"""`make bench-gate`: has a change made the CPU kernels slower, beyond what repeats of one program differ by?

Compares ratios, fused ÷ eager of the same run, with those committed for this class of machines (instruction set and number
of threads). `--write` commits the ratios of this machine.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track

from benchmarks.compare import CPU, LAYOUTS, RESULTS
from benchmarks.directions import forward_backward
from benchmarks.machine import machine
from benchmarks.peers import Peer, through
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


def measure(
    shape_name: str, layout: str, fused: Peer | None = None, repeats: int = REPEATS, rounds: int = 11
) -> Ratios:
    """Forward and backward in float32, B = 16."""
    tensors = inputs(on_cpu(shape_name), torch.float32, LAYOUTS[layout], CPU)
    peers = {"fused": fused or through("sma_attention", "cpu"), "eager": through("sma_attention", "reference")}
    runs = {name: forward_backward(peer, tensors) for name, peer in peers.items()}
    found = [medians(interleaved(runs, rounds, CPU, seed)) for seed in range(repeats)]
    return Ratios.of([times["fused"] / times["eager"] for times in found])


def machine_class() -> str:
    facts = machine(CPU)
    return f"{facts['instructions']}, {facts['threads']} threads"


def judge(committed: dict[str, list], measured: Callable[[str, str], Ratios]) -> dict[str, str]:
    """Regressions by row; {} if there is none."""
    found = {}
    for shape, layout in track(ROWS, "Measuring"):
        why = regression(Ratios(*committed[f"{shape} {layout}"]), measured(shape, layout))
        if why:
            found[f"{shape} {layout}"] = why
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--write", action="store_true", help="commit this machine's ratios")
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    kind = machine_class()
    if parser.parse_args().write:
        rows = {f"{shape} {layout}": measure(shape, layout) for shape, layout in track(ROWS, "Measuring")}
        table[kind] = {"machine": machine(CPU), "rows": {row: [r.median, r.spread] for row, r in rows.items()}}
        Path(TABLE).write_text(json.dumps(table, indent=1) + "\n")
        return
    if kind not in table:
        raise SystemExit(
            f"no ratios are committed for {kind}; known: {', '.join(table) or 'none'}. --write commits yours"
        )
    found = judge(table[kind]["rows"], measure)
    for row, why in found.items():
        print(f"slower: {row}: {why}")
    if found:
        raise SystemExit(1)
    print(f"no regression on {kind}")


if __name__ == "__main__":
    main()
