"""Cycles of one warp, from the control codes of the instructions that it executes and assumed latencies.

A warp issues in order: an instruction waits for its scoreboards, and the next one for the cycles that this one asks for.
From one basic block to the next only the remaining waits matter, so each block is timed once per combination of them.
"""

from collections import Counter
from dataclasses import dataclass, field

from tools.cuda.sass import Instruction
from tools.cuda.walk import TIMED, Block, switches

# The latencies are rounded results of a fit to the kernels' times on an H200 (validation.json), started from
# published ones. So they also stand for what is not modelled: misses of the instruction cache, bank conflicts.
#
# Cycles until a scoreboard is released. Instructions without one have fixed latencies, which the stalls cover.
LATENCY = {
    **{"LDS": 33, "LDSM": 38, "LDL": 40, "LDC": 35, "ULDC": 10, "SHFL": 26, "S2R": 30, "S2UR": 30, "CS2R": 20},
    **{"MUFU": 24, "I2F": 20, "F2I": 20, "F2F": 20, "FCHK": 20, "POPC": 18, "FLO": 18, "R2UR": 12},
    **{"LDG": 350, "LD": 190, "ATOMG": 700, "ATOMS": 60},
}
OTHER_LATENCY = 20
OPERANDS_READ = 12
COPY = 1000  # an asynchronous copy, from global to shared memory
BARRIER = 80
CLUSTER_BARRIER = 400
JUMP = 14  # a branch that is taken
SCOREBOARDS = 6
MOST_GROUPS = 8  # of copies that a wait may leave in flight
# Cycles for which an instruction occupies its unit of a scheduler, or a scheduler's share of a unit of the SM.
UNITS = {
    "matrix": {"HMMA": 8},
    "memory": dict.fromkeys(("LDS", "STS", "LDG", "LD", "STG", "ST", "LDGSTS", "SHFL"), 10) | {"LDSM": 40},
    "special": dict.fromkeys(("MUFU", "I2F", "F2I", "F2F"), 8),
}
BYTES = {"128": 16, "64": 8, "U16": 2, "S16": 2, "U8": 1, "S8": 1}

# Cycles until each scoreboard, the latest copy and each committed group of copies is free.
State = tuple[tuple[int, ...], int, tuple[int, ...]]


@dataclass
class Costs:
    """What a sequence of instructions costs a warp alone, and what it takes of the units shared with other warps."""

    cycles: int = 0
    instructions: int = 0
    units: Counter[str] = field(default_factory=Counter)
    bytes: int = 0  # streamed between global memory and the thread

    def add(self, other: "Costs") -> None:
        self.cycles += other.cycles
        self.instructions += other.instructions
        self.units.update(other.units)
        self.bytes += other.bytes


class WarpTimer:
    """Times the blocks of one warp, in the order of its `run` calls."""

    def __init__(self, blocks: list[Block]):
        self.blocks = blocks
        self.state: State = ((0,) * SCOREBOARDS, 0, ())
        self.expected = 0  # the block that would follow without a jump
        self._timed: dict[tuple, tuple[Costs, State]] = {}

    def run(self, index: int, executed: tuple[bool, ...]) -> Costs:
        key = (index, executed, self.state, index == self.expected)
        if key not in self._timed:
            self._timed[key] = self._time(self.blocks[index], executed, 0 if index == self.expected else JUMP)
        costs, self.state = self._timed[key]
        self.expected = index + 1
        return costs

    def _time(self, block: Block, executed: tuple[bool, ...], now: int) -> tuple[Costs, State]:
        boards, copy, groups = (list(part) if isinstance(part, tuple) else part for part in self.state)
        costs = Costs(instructions=len(block.instructions))
        flags = iter(executed)
        for instruction in block.instructions:
            control, base = instruction.control, instruction.base
            now = max([now, *(boards[i] for i in control.waits)])
            runs = next(flags) if base in TIMED and switches(instruction) else True
            if base == "LDGSTS" and runs:
                copy = max(copy, now + COPY)
            elif base == "LDGDEPBAR":
                groups.append(copy)
            elif base == "DEPBAR":
                complete = len(groups) - int(instruction.operands[1], 16)
                now = max([now, *groups[: max(complete, 0)]])
                groups = groups[max(complete, 0) :]
            elif base == "BAR":
                now += BARRIER
            elif base == "UCGABAR_WAIT":
                now += CLUSTER_BARRIER
            if control.write is not None and runs and base != "LDGDEPBAR":
                boards[control.write] = max(boards[control.write], now + LATENCY.get(base, OTHER_LATENCY))
            if control.read is not None and runs:
                boards[control.read] = max(boards[control.read], now + OPERANDS_READ)
            if runs:
                self._occupy(instruction, costs)
            now += max(1, control.stall)
        costs.cycles = now
        remaining = tuple(max(0, board - now) for board in boards)
        in_flight = tuple(max(0, group - now) for group in groups[-MOST_GROUPS:])
        return costs, (remaining, max(0, copy - now), in_flight)

    @staticmethod
    def _occupy(instruction: Instruction, costs: Costs) -> None:
        for unit, cycles in UNITS.items():
            costs.units[unit] += cycles.get(instruction.base, 0)
        if instruction.base in ("LDGSTS", "STG", "ST"):
            costs.bytes += next((BYTES[suffix] for suffix in instruction.suffixes if suffix in BYTES), 4)
