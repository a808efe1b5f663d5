"""`python -m benchmarks.gpu_report.measure SHAPE DTYPE LAYOUT MERGE IMPLEMENTATION`: one cell of the tables of times.

In a process of its own, since an illegal access kills the CUDA context of its process. Each quantity is printed as soon
as it is measured, so that what fails or hangs later takes no earlier one along.
"""

import argparse
import importlib
import itertools
import statistics
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.agreement import differences, results_of
from benchmarks.baselines import Peer, Tensors, compiled, sdpa_pooling, through
from benchmarks.gpu_report.commands import emit
from benchmarks.gpu_report.markdown import AGREEMENT
from benchmarks.passes import DIRECTIONS, Timed
from benchmarks.shapes import LAYOUTS, SHAPES, Shape, floor_bytes, inputs
from benchmarks.timing import bytes_of, interleaved, medians, peak_memory

TIMED_DIRECTIONS = ("forward", "forward+backward")
BEYOND_CACHE = 3  # copies of the inputs fill this many times the L2 cache, so that no call finds its inputs there
MAX_COPIES = 32
ROUNDS = 21
PROFILED_CALLS = 5


class Cell(NamedTuple):
    """What one process times: the fields of a row of times but its direction."""

    shape: str
    dtype: str
    layout: str
    merge: str
    implementation: str

    @property
    def label(self) -> str:
        return " ".join(self)


def implementation_of(name: str, merge: str) -> Peer:
    """A backend, a baseline, or "module:function", which maps a dictionary of tensors to (pooled, diversity)."""
    if ":" in name:
        module, function = name.split(":")
        return getattr(importlib.import_module(module), function)
    if name == "eager":
        return through("sma_attention", "reference", merge=merge)
    if name == "torch.compile":
        return compiled("sma_attention", merge=merge)
    if name == "max-autotune":
        return compiled("sma_attention", mode="max-autotune-no-cudagraphs", merge=merge)
    if name == "sdpa pooling":
        return sdpa_pooling
    return through("sma_attention", name, merge=merge)


def shape_of(name: str, device: torch.device) -> Shape:
    """The standard shape; on a CPU, where the report is only tried out, a small one in its stead."""
    shape = SHAPES[name]
    return shape if device.type == "cuda" else shape._replace(batch=2, values=16, embed=8, side=min(shape.side, 8))


def copies_of(
    shape: Shape, dtype: torch.dtype, layout: torch.memory_format, device: torch.device, most: int = MAX_COPIES
) -> list[Tensors]:
    first = inputs(shape, dtype, layout, device)
    cache = torch.cuda.get_device_properties(device).L2_cache_size if device.type == "cuda" else 0
    count = min(most, 1 + BEYOND_CACHE * cache // bytes_of(list(first.values())))
    return [first, *(inputs(shape, dtype, layout, device, seed=seed) for seed in range(1, count))]


def in_turn(calls: list[Timed]) -> Timed:
    """A call that takes the next of `calls` each time."""
    order: Iterator[Timed] = itertools.cycle(calls)
    return Timed(lambda prepared: prepared[0].run(prepared[1]), lambda: (call := next(order), call.prepare()))


def captured(calls: list[Timed], device: torch.device) -> Timed:
    """All of `calls`, one after another, as one CUDA graph."""
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for _ in range(3):
            for call in calls:
                call()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = [call() for call in calls]

    def replay(_) -> list[Tensor]:
        graph.replay()
        return results[-1]  # the closure holds every tensor that the graph writes

    return Timed(replay)


def _microseconds(call: Timed, device: torch.device) -> float:
    return round(1e6 * medians(interleaved({"call": call}, ROUNDS, device))["call"], 2)


def kernels(call: Timed, device: torch.device) -> list[dict[str, Any]]:
    """Every kernel and copy of one call on the GPU: median microseconds and launches per call, the slowest first."""
    activity = torch.profiler.ProfilerActivity
    for _ in range(2):
        call()
    with torch.profiler.profile(activities=[activity.CPU, *([activity.CUDA] * (device.type == "cuda"))]) as profile:
        for _ in range(PROFILED_CALLS):
            call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    times: dict[str, list[float]] = {}
    for event in profile.events():
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation:
            times.setdefault(event.name, []).append(event.time_range.elapsed_us())
    rows = [
        {"kernel": name, "us": round(statistics.median(taken), 2), "launches": len(taken) / PROFILED_CALLS}
        for name, taken in times.items()
    ]
    return sorted(rows, key=lambda row: -row["us"] * row["launches"])


def quantities(calls: list[Timed], device: torch.device) -> dict[str, Callable[[], Any]]:
    """What is measured, in the order of its importance."""
    measures: dict[str, Callable[[], Any]] = {"called_us": lambda: _microseconds(in_turn(calls), device)}
    if device.type == "cuda":
        measures["captured_us"] = lambda: round(_microseconds(captured(calls, device), device) / len(calls), 3)
    measures["kernels"] = lambda: kernels(in_turn(calls), device)
    measures["peak_bytes"] = lambda: peak_memory(calls[0], device)
    return measures


def measure(arguments: argparse.Namespace) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() and not arguments.cpu else "cpu")
    shape, dtype = shape_of(arguments.shape, device), getattr(torch, arguments.dtype)
    cell = {name: getattr(arguments, name) for name in Cell._fields}
    copies = copies_of(
        shape, dtype, LAYOUTS[arguments.layout], device, most=1 if arguments.compile_only else MAX_COPIES
    )
    implementation = implementation_of(arguments.implementation, arguments.merge)
    wrong = []
    if arguments.implementation not in ("eager", "sdpa pooling"):
        expected = results_of(implementation_of("eager", arguments.merge), copies[0])
        wrong = differences(results_of(implementation, copies[0]), expected)
    if arguments.compile_only:
        DIRECTIONS["forward"](implementation, copies[0])()
        return
    for direction in TIMED_DIRECTIONS:
        row = {**cell, "direction": direction, "floor_bytes": floor_bytes(shape, dtype, direction)}
        if wrong:  # timed all the same, and marked: how fast it is may be all that a short loan can tell
            emit(row={**row, "errors": {AGREEMENT: f"not what eager PyTorch computes: {'; '.join(wrong)}"}})
        calls = [DIRECTIONS[direction](implementation, tensors) for tensors in copies]
        for name, quantity in quantities(calls, device).items():
            try:
                emit(row={**row, name: quantity()})
            except Exception as error:
                traceback.print_exc()
                emit(row={**row, "errors": {name: f"{type(error).__name__}: {error}"[:500]}})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_report.measure", description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("dtype", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("layout", choices=LAYOUTS)
    parser.add_argument("merge", choices=("max", "mean", "none"))
    parser.add_argument("implementation", help="cuda, triton, cpu, eager, torch.compile, ... or module:function")
    parser.add_argument("--cpu", action="store_true", help="small shapes on the CPU, to try the report out")
    parser.add_argument("--compile-only", action="store_true", help="fill the compilers' caches and measure nothing")
    parser.add_argument("--wait", action="store_true", help="wait for a line on standard input before using the GPU")
    arguments = parser.parse_args()
    if arguments.wait and not sys.stdin.readline():
        return  # the report has gone
    measure(arguments)


if __name__ == "__main__":
    main()
