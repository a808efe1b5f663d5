"""`python -m benchmarks.gpu_report.measure SHAPE DTYPE LAYOUT MERGE IMPLEMENTATION`: one cell of the tables of times.

Runs in a separate process, since an illegal access kills the CUDA context. Each quantity is printed as soon as it is
measured, so that later failures or hangs lose no earlier one.
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

from benchmarks.agreement import differences, outputs_and_gradients
from benchmarks.baselines import PARTS, Implementation, Tensors, compiled, sdpa_pooling, with_backend
from benchmarks.gpu_report.commands import emit
from benchmarks.gpu_report.markdown import AGREEMENT
from benchmarks.passes import PASSES, Timed
from benchmarks.shapes import LAYOUTS, SHAPES, Shape, inputs, lower_bound_bytes
from benchmarks.timing import bytes_of, interleaved, medians, peak_memory

TIMED_PASSES = ("forward", "forward+backward")
BEYOND_CACHE = 3  # size of all copies of the inputs, in L2 caches, so that no call finds its inputs there
MAX_COPIES = 32
ROUNDS = 21
PROFILED_CALLS = 5


class Cell(NamedTuple):
    """The configuration that one process times, in all passes."""

    shape: str
    dtype: str
    layout: str
    merge: str
    implementation: str

    @property
    def label(self) -> str:
        return " ".join(self)


def implementation_of(name: str, merge: str) -> Implementation:
    """A backend, a baseline, or "module:function", which maps a dictionary of tensors to (pooled, diversity)."""
    if ":" in name:
        module, function = name.split(":")
        return getattr(importlib.import_module(module), function)
    if name == "eager":
        return with_backend("sma_attention", "reference", merge=merge)
    if name == "torch.compile":
        return compiled("sma_attention", merge=merge)
    if name == "max-autotune":
        return compiled("sma_attention", mode="max-autotune-no-cudagraphs", merge=merge)
    if name == "sdpa pooling":
        return sdpa_pooling
    return with_backend("sma_attention", name, merge=merge)


def shape_of(name: str, device: torch.device) -> Shape:
    """The standard shape, or a small one for a dry run on a CPU."""
    shape = SHAPES[name]
    if device.type == "cuda":
        return shape
    return shape._replace(batch=2, values=16, embed=8, height=min(shape.height, 8), width=min(shape.width, 8))


def copies_of(
    shape: Shape, dtype: torch.dtype, layout: torch.memory_format, device: torch.device, most: int = MAX_COPIES
) -> list[Tensors]:
    first = inputs(shape, dtype, layout, device)
    cache = torch.cuda.get_device_properties(device).L2_cache_size if device.type == "cuda" else 0
    count = min(most, 1 + BEYOND_CACHE * cache // bytes_of(list(first.values())))
    return [first, *(inputs(shape, dtype, layout, device, seed=seed) for seed in range(1, count))]


def in_turn(calls: list[Timed]) -> Timed:
    """A call that cycles through `calls`."""
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
    """All kernels and copies of one call on the GPU: median microseconds and launches per call, slowest first."""
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
        {"kernel": name, "us": round(statistics.median(durations), 2), "launches": len(durations) / PROFILED_CALLS}
        for name, durations in times.items()
    ]
    return sorted(rows, key=lambda row: -row["us"] * row["launches"])


def quantities(calls: list[Timed], device: torch.device) -> dict[str, Callable[[], Any]]:
    """The measured quantities, most important first."""
    measures: dict[str, Callable[[], Any]] = {"called_us": lambda: _microseconds(in_turn(calls), device)}
    if device.type == "cuda":
        measures["captured_us"] = lambda: round(_microseconds(captured(calls, device), device) / len(calls), 3)
    measures["kernels"] = lambda: kernels(in_turn(calls), device)
    measures["peak_bytes"] = lambda: peak_memory(calls[0], device)
    return measures


def measure(args: argparse.Namespace) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() and not args.cpu else "cpu")
    shape, dtype = shape_of(args.shape, device), getattr(torch, args.dtype)
    cell = {name: getattr(args, name) for name in Cell._fields}
    copies = copies_of(shape, dtype, LAYOUTS[args.layout], device, most=1 if args.compile_only else MAX_COPIES)
    implementation = implementation_of(args.implementation, args.merge)
    wrong = []
    if args.implementation not in ("eager", *PARTS):
        expected = outputs_and_gradients(implementation_of("eager", args.merge), copies[0])
        wrong = differences(outputs_and_gradients(implementation, copies[0]), expected)
    if args.compile_only:
        PASSES["forward"](implementation, copies[0])()
        return
    for pass_name in TIMED_PASSES:
        row = {**cell, "pass": pass_name, "lower_bound_bytes": lower_bound_bytes(shape, dtype, pass_name)}
        if wrong:  # still timed, but marked: time on the GPU may be scarce
            emit(row={**row, "errors": {AGREEMENT: f"differs from eager PyTorch: {'; '.join(wrong)}"}})
        calls = [PASSES[pass_name](implementation, tensors) for tensors in copies]
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
    parser.add_argument("--cpu", action="store_true", help="small shapes on the CPU, for a dry run")
    parser.add_argument("--compile-only", action="store_true", help="fill the compilers' caches and measure nothing")
    parser.add_argument("--wait", action="store_true", help="wait for a line on standard input before using the GPU")
    args = parser.parse_args()
    if args.wait and not sys.stdin.readline():
        return  # the report has ended
    measure(args)


if __name__ == "__main__":
    main()
