"""Interleaved times and peak memory, on a CPU or on a card."""

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
    """Seconds of one call: by the wall on a CPU, by events in the stream on a card."""

    def on_cpu(timed: Timed) -> float:
        made = timed.prepare()
        start = time.perf_counter()
        timed.run(made)
        return time.perf_counter() - start

    def on_card(timed: Timed) -> float:
        made = timed.prepare()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        timed.run(made)
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    return on_card if device.type == "cuda" else on_cpu


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python collects its garbage at odd moments; `timeit` holds it off as well."""
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
    """Seconds of each, at least `rounds` of them, in turns, so that a slow spell of the machine hits all alike.

    In a turn each runs `in_a_row` times and once before, uncounted: that one finds the caches full of its predecessor's
    data, the heap as that one left it and the other threads asleep, and so measures the predecessor as well. The order
    of a turn is drawn anew each time.
    """
    order, seconds = random.Random(seed), _clock(device)
    for run in runs.values():
        for _ in range(warm_up):
            run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    with _no_collection():
        for _ in range(math.ceil(rounds / in_a_row)):
            for name in order.sample(list(runs), len(runs)):
                _, *counted = (seconds(runs[name]) for _ in range(1 + in_a_row))
                taken[name] += counted
    return taken


def medians(taken: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(times) for name, times in taken.items()}


def bytes_of(tensors: list[Tensor]) -> int:
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def peak_memory(timed: Timed, device: torch.device) -> int:
    """Bytes that a call holds at its peak beyond the tensors that it returns. On a card the allocator tells the peak alone,
    and all that is returned is taken off; on a CPU only what was there at the peak is."""
    timed()  # what is allocated once is not counted
    made = timed.prepare()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        kept = timed.run(made)
        return torch.cuda.max_memory_allocated(device) - before - bytes_of(kept)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = timed.run(made)
    events = sorted(_memory_events(profiler.profiler.kineto_results.experimental_event_tree()))
    returned = {tensor.untyped_storage().data_ptr() for tensor in kept}
    made_at = {address: moment for moment, address, size in events if address in returned and size > 0}
    held = peak = 0
    for moment, address, size in events:
        if made_at.get(address) != moment:
            held += size
            peak = max(peak, held)
    return peak


def _memory_events(tree: list) -> Iterator[tuple[int, int, int]]:
    """Nanosecond, address and bytes (negative where freed) of all below."""
    for event in tree:
        if event.name == "[memory]":
            yield event.start_time_ns, event.extra_fields.ptr, event.extra_fields.alloc_size
        yield from _memory_events(event.children)


def copy_bandwidth(device: torch.device, size: int = 2**28) -> float:
    """Bytes a second, read and written, of a copy far larger than the caches."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = Timed(lambda _: [target.copy_(source)])
    return 2 * size / medians(interleaved({"copy": copy}, 11, device))["copy"]


def arithmetic_speed(device: torch.device, size: int = 512) -> float:
    """Operations a second of PyTorch's product of two float32 matrices that stay in the caches."""
    left, right, out = (torch.ones(size, size, device=device) for _ in range(3))
    product = Timed(lambda _: [torch.mm(left, right, out=out)])
    return 2 * size**3 / medians(interleaved({"product": product}, 41, device))["product"]
