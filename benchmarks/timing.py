"""Interleaved timing and peak memory, on a CPU or a GPU."""

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from benchmarks.passes import Timed


def _clock(device: torch.device) -> Callable[[Timed], float]:
    """Measures the seconds of one call: wall time on a CPU, stream events on a GPU."""

    def on_cpu(timed: Timed) -> float:
        made = timed.prepare()
        start = time.perf_counter()
        timed.run(made)
        return time.perf_counter() - start

    def on_gpu(timed: Timed) -> float:
        made = timed.prepare()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        timed.run(made)
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    return on_gpu if device.type == "cuda" else on_cpu


@contextmanager
def _no_collection() -> Iterator[None]:
    """Disables the garbage collection of Python, as `timeit` does."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def interleaved(
    runs: dict[str, Timed], rounds: int, device: torch.device, seed: int = 0, warm_up: int = 3, in_a_row: int = 3
) -> dict[str, list[float]]:
    """At least `rounds` times in seconds of each, measured in turns, so that slow phases of the machine affect all alike.

    In each turn, all run `in_a_row` times in random order, each after one uncounted run. Otherwise a run would find the
    caches, the heap and the threads in the state left by its predecessor, which would affect its time.
    """
    order, seconds = random.Random(seed), _clock(device)
    for run in runs.values():
        for _ in range(warm_up):
            run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    with _no_collection():
        for _ in range(math.ceil(rounds / in_a_row)):
            for name in order.sample(list(runs), len(runs)):
                _, *counted = (seconds(runs[name]) for _ in range(1 + in_a_row))
                times[name] += counted
    return times


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in times.items()}


def bytes_of(tensors: list[Tensor]) -> int:
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def peak_memory(timed: Timed, device: torch.device) -> int:
    """Peak bytes of a call beyond the tensors that it returns. The CUDA allocator reports the peak only, so all returned
    tensors are subtracted there; on a CPU only those that exist at the peak."""
    timed()  # one-time allocations are not counted
    made = timed.prepare()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        results = timed.run(made)
        return torch.cuda.max_memory_allocated(device) - before - bytes_of(results)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        results = timed.run(made)
    events = sorted(_memory_events(profiler.profiler.kineto_results.experimental_event_tree()))
    returned = {tensor.untyped_storage().data_ptr() for tensor in results}
    made_at = {address: moment for moment, address, size in events if address in returned and size > 0}
    held = peak = 0
    for moment, address, size in events:
        if made_at.get(address) != moment:
            held += size
            peak = max(peak, held)
    return peak


def _memory_events(tree: list) -> Iterator[tuple[int, int, int]]:
    """Nanosecond, address and bytes (negative if freed) of all memory events of a tree."""
    for event in tree:
        if event.name == "[memory]":
            yield event.start_time_ns, event.extra_fields.ptr, event.extra_fields.alloc_size
        yield from _memory_events(event.children)


def copy_bandwidth(device: torch.device, size: int = 2**28) -> float:
    """Bytes per second, read and written, of a copy far larger than the caches."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = Timed(lambda _: [target.copy_(source)])
    return 2 * size / medians(interleaved({"copy": copy}, 11, device))["copy"]


def arithmetic_speed(device: torch.device, size: int = 512) -> float:
    """Operations per second of PyTorch's product of two float32 matrices in the caches."""
    left, right, out = (torch.ones(size, size, device=device) for _ in range(3))
    product = Timed(lambda _: [torch.mm(left, right, out=out)])
    return 2 * size**3 / medians(interleaved({"product": product}, 41, device))["product"]
