"""Figures of a card: each function makes one part of the report and returns what JSON can hold."""

import itertools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.directions import DIRECTIONS, Timed
from benchmarks.peers import Peer, Tensors, check, compiled, peers
from benchmarks.shapes import SHAPES, Shape, floor_bytes, inputs
from benchmarks.timing import bytes_of, copy_bandwidth, interleaved, medians, peak_memory

BEYOND_CACHE = 3  # copies of the inputs fill this many times the L2 cache, so that no call finds them there
MOST_COPIES = 32


def shape_of(name: str, device: torch.device) -> Shape:
    """The standard shape; a small one in its stead where the report is only tried out on a CPU."""
    shape = SHAPES[name]
    return shape if device.type == "cuda" else shape._replace(batch=2, values=16, embed=8, side=min(shape.side, 8))


def copies_of(shape: Shape, dtype: torch.dtype, layout: torch.memory_format, device: torch.device) -> list[Tensors]:
    one = inputs(shape, dtype, layout, device)
    cache = torch.cuda.get_device_properties(device).L2_cache_size if device.type == "cuda" else 0
    count = min(MOST_COPIES, 1 + BEYOND_CACHE * cache // bytes_of(list(one.values())))
    return [one, *(inputs(shape, dtype, layout, device, seed=seed) for seed in range(1, count))]


def in_turn(timed: list[Timed]) -> Timed:
    """A call that takes the next of `timed` each time."""
    order: Iterator[Timed] = itertools.cycle(timed)
    return Timed(lambda made: made[0].run(made[1]), lambda: (following := next(order), following.prepare()))


def captured(timed: list[Timed], device: torch.device) -> Timed:
    """All of `timed`, one after another, as one CUDA graph."""
    stream = torch.cuda.Stream(device)
    with torch.cuda.stream(stream):
        for _ in range(3):
            for one in timed:
                one()
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [one() for one in timed]

    def replay(_) -> list[Tensor]:
        graph.replay()
        return kept[-1]  # and with it every tensor that the graph writes stays

    return Timed(replay)


class Attempts:
    """Calls whose failures are results: `errors` holds them by name, and the other names go on."""

    def __init__(self):
        self.errors: dict[str, str] = {}

    def each(self, makers: dict[str, Any], make: Callable[[str, Any], Any]) -> dict[str, Any]:
        found = {}
        for name, maker in makers.items():
            try:
                found[name] = make(name, maker)
            except Exception as error:
                self.errors[name] = f"{type(error).__name__}: {error}"[:500]
        return found


def speed(
    shape_name: str, dtype: torch.dtype, layout: torch.memory_format, device: torch.device, rounds: int = 21
) -> list[dict]:
    """Rows of forward and of both directions: milliseconds of every peer called eagerly and captured, and memory."""
    shape = shape_of(shape_name, device)
    copies = copies_of(shape, dtype, layout, device)
    makers = peers("sma_attention", device)
    if device.type == "cuda":
        makers["torch.compile max-autotune"] = lambda: compiled("sma_attention", mode="max-autotune-no-cudagraphs")
    eager = makers["eager"]()
    attempts = Attempts()

    def checked(name: str, maker: Callable[[], Peer]) -> Peer:
        peer = maker()
        check({"eager": eager, name: peer}, copies[0])
        return peer

    found = attempts.each(makers, checked)
    rows = []
    for direction in ("forward", "forward+backward"):
        row = {"function": "sma_attention", "shape": shape_name, "dtype": str(dtype).removeprefix("torch.")}
        row |= {"layout": "nhwc" if layout == torch.channels_last else "nchw", "direction": direction}
        row["floor_bytes"] = floor_bytes(shape, dtype, direction)
        rows.append(row | _row(found, DIRECTIONS[direction], copies, device, rounds, attempts))
    return rows


def _row(
    found: dict[str, Peer],
    direction: Callable[[Peer, Tensors], Timed],
    copies: list[Tensors],
    device: torch.device,
    rounds: int,
    attempts: Attempts,
) -> dict:
    prepared = attempts.each(found, lambda _, peer: [direction(peer, tensors) for tensors in copies])
    row: dict = {
        "milliseconds": _milliseconds({name: in_turn(timed) for name, timed in prepared.items()}, rounds, device),
        "peak_bytes": {name: peak_memory(timed[0], device) for name, timed in prepared.items()},
    }
    if device.type == "cuda":
        graphs = attempts.each(prepared, lambda _, timed: captured(timed, device))
        times = _milliseconds(graphs, rounds, device)
        row["milliseconds_captured"] = {name: taken / len(copies) for name, taken in times.items()}
    return row | {"errors": dict(attempts.errors)}


def _milliseconds(runs: dict[str, Timed], rounds: int, device: torch.device) -> dict[str, float]:
    return {name: 1e3 * seconds for name, seconds in medians(interleaved(runs, rounds, device)).items()}


def bandwidth(device: torch.device) -> dict[str, float]:
    """Bytes a second of a large copy: the floor of every figure."""
    return {"copy_bytes_per_second": copy_bandwidth(device, 2**30 if device.type == "cuda" else 2**22)}


def launches(shape_name: str, device: torch.device) -> dict[str, int]:
    """Kernels that one training step of each peer launches."""
    tensors = inputs(shape_of(shape_name, device), torch.bfloat16, torch.contiguous_format, device)
    activity = torch.profiler.ProfilerActivity
    found = {}
    for name, make in peers("sma_attention", device).items():
        timed = DIRECTIONS["forward+backward"](make(), tensors)
        timed()
        with torch.profiler.profile(
            activities=[activity.CPU, *([activity.CUDA] * (device.type == "cuda"))]
        ) as profiler:
            timed()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        on_card = torch.autograd.DeviceType.CUDA
        found[name] = sum(
            event.device_type == on_card and "mem" not in event.name.lower() for event in profiler.events()
        )
    return found


def preferences(rows: list[dict]) -> dict[str, str]:
    """The faster of the two backends in a training step, shape by shape: what `auto` should take."""
    taken: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["direction"] == "forward+backward":
            for name in ("cuda", "triton"):
                time = row.get("milliseconds_captured", {}).get(name)
                if time is not None:
                    taken.setdefault(row["shape"], {}).setdefault(name, []).append(time)
    return {shape: min(times, key=lambda name: statistics.mean(times[name])) for shape, times in taken.items() if times}
