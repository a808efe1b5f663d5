"""Microseconds of a launch, from the cycles of its warps."""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol

from tools.cuda.evaluate import ARGUMENT, ARGUMENT_ADDRESS, ARGUMENT_POINTER
from tools.cuda.sass import Kernel
from tools.cuda.walk import Walker
from tools.cuda.warp_timing import UNITS, Costs, WarpTimer

CYCLES_PER_US = 1980  # the H200's highest clock
BYTES_PER_US = 4.1e6  # that an H200 copies
PROCESSORS = 132
SCHEDULERS = 4
LAUNCH_US = 1.2  # a kernel that does nothing
LANES = 32
SAMPLE = 8  # threads whose bytes are counted
BLOCK_SIZE, GRID_SIZE = 0x0, 0xC  # in constant memory


class Launch(Protocol):
    blocks: int
    threads: int
    shared: int
    argument: bytes


@dataclass
class Prediction:
    microseconds: float
    instructions: int  # of warp 0 of block 0
    cycles: int  # of that warp, alone on its processor
    per_processor: int  # blocks that fit on one at once
    lines: Counter[str] = field(default_factory=Counter)  # its cycles, by the kernel's statement and that within
    files: Counter[str] = field(default_factory=Counter)  # its cycles, by the source file of the innermost function
    guesses: Counter[str] = field(default_factory=Counter)  # its branches that depend on data, by source line
    unmodelled: set[str] = field(default_factory=set)  # opcodes that a branch depends on and that are not known


def blocks_per_processor(kernel: Kernel, launch: Launch) -> int:
    """Blocks for which a Hopper SM has registers, shared memory and warps."""
    warps = ceil(launch.threads / LANES)
    registers = ceil(kernel.registers / 8) * 8 * LANES * warps
    shared = ceil((launch.shared + 1024) / 128) * 128
    return min(65536 // registers, 228 * 1024 // shared, 64 // warps, 32)


def constant_memory(launch: Launch) -> bytes:
    memory = bytearray(ARGUMENT)
    memory[BLOCK_SIZE : BLOCK_SIZE + 4] = launch.threads.to_bytes(4, "little")
    memory[GRID_SIZE : GRID_SIZE + 4] = launch.blocks.to_bytes(4, "little")
    memory[ARGUMENT_POINTER : ARGUMENT_POINTER + 8] = ARGUMENT_ADDRESS.to_bytes(8, "little")
    return bytes(memory) + launch.argument


def walk_thread(walker: Walker, thread: int, counts: Counter[tuple[str, ...]] | None = None) -> list[Costs]:
    """Costs of a thread's warp between its barriers. `counts` receives its cycles by source lines, the innermost first;
    those of a basic block at its last one."""
    timer = WarpTimer(walker.blocks)
    parts = [Costs()]
    for index, executed in walker.walk({"SR_TID.X": thread, "SR_CTAID.X": 0, "SR_CgaCtaId": 0}):
        costs = timer.run(index, executed)
        parts[-1].add(costs)
        last = walker.blocks[index].last
        if counts is not None:
            counts[tuple(last.where)] += costs.cycles
        if last.base == "BAR":
            parts.append(Costs())
    return parts


def block_cycles(first: list[Costs], last: list[Costs], warps: int) -> float:
    """Cycles of a block between whose barriers the first warp has the most to do and the last one the least, if a
    scheduler has `warps` warps: the first warp's own, or those of the busiest unit."""
    total = 0.0
    for index, most in enumerate(first):
        least = last[min(index, len(last) - 1)]
        shared = [most.instructions + least.instructions, *(most.units[unit] + least.units[unit] for unit in UNITS)]
        total += max(most.cycles, warps / 2 * max(shared))
    return total


def streamed_bytes(walker: Walker, launch: Launch) -> float:
    """Bytes of all asynchronous copies and stores, estimated from a few threads of different warps and lanes: at the edges
    of an array many threads copy nothing."""
    threads = [min(step * launch.threads // SAMPLE + 2 * step, launch.threads - 1) for step in range(SAMPLE)]
    per_thread = [sum(part.bytes for part in walk_thread(walker, thread)) for thread in threads]
    return sum(per_thread) / len(per_thread) * launch.threads * launch.blocks


def predict(kernel: Kernel, launch: Launch) -> Prediction:
    walker = Walker(kernel, constant_memory(launch))
    counts: Counter[tuple[str, ...]] = Counter()
    first = walk_thread(walker, 0, counts)
    guesses = walker.guesses.copy()
    last = walk_thread(walker, launch.threads - LANES)
    per_processor = blocks_per_processor(kernel, launch)
    warps = ceil(launch.threads / LANES) / SCHEDULERS
    full_waves, rest = divmod(launch.blocks, PROCESSORS * per_processor)
    cycles = full_waves * block_cycles(first, last, warps * per_processor)
    if rest:
        cycles += block_cycles(first, last, warps * ceil(rest / PROCESSORS))
    microseconds = cycles / CYCLES_PER_US
    total = Costs()
    for part in first:
        total.add(part)
    if total.bytes * launch.threads * launch.blocks / BYTES_PER_US > microseconds:
        microseconds = max(microseconds, streamed_bytes(walker, launch) / BYTES_PER_US)
    lines, files = Counter(), Counter()
    for frames, cycles in counts.items():
        lines[" > ".join(reversed(frames[-2:]))] += cycles
        files[frames[0].split(":")[0]] += cycles
    return Prediction(
        microseconds=LAUNCH_US + microseconds,
        instructions=total.instructions,
        cycles=total.cycles,
        per_processor=per_processor,
        lines=lines,
        files=files,
        guesses=guesses,
        unmodelled=walker.unmodelled,
    )
