"""Follows one thread through a kernel's machine code: which basic blocks it executes, in order.

Branches depend on kernel arguments, block and thread index, which are known; so only the instructions that a branch
depends on are evaluated. Where a branch depends on data, see `Walker.guess`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tools.cuda import semantics
from tools.cuda.evaluate import PREDICATE, Evaluator, State, names_in, results, used
from tools.cuda.sass import Instruction, Kernel

ENDS = ("BRA", "RET", "CALL", "EXIT")
# Instructions for which a thread waits, unless their predicates switch them off.
TIMED = ("LDG", "LD", "LDGSTS", "LDS", "LDSM", "LDL", "MUFU", "LDC", "SHFL", "S2R", "STG", "ST")
# The beginnings of the names of instructions whose results are data: floating-point arithmetic, loads, and what the barrier
# of a grid counts.
DATA = ("F", "H", "D", "LD", "I2FP", "ATOM", "VOTE", "POPC")
MOST_BLOCKS = 1_000_000


@dataclass
class Block:
    index: int
    instructions: list[Instruction]
    successors: list[int] = field(default_factory=list)  # fall-through first
    steps: list[Callable[[State], None]] = field(default_factory=list)

    @property
    def last(self) -> Instruction:
        return self.instructions[-1]

    @property
    def decides(self) -> bool:
        """Whether the registers decide which block follows, or whether one does."""
        return (
            len(self.successors) > 1 or self.last.base == "RET" or (self.last.base == "EXIT" and bool(self.successors))
        )


def basic_blocks(kernel: Kernel) -> list[Block]:
    """A barrier also ends a block, because the warps of a thread block meet there."""
    code = kernel.instructions
    starts = {code[0].address}
    for instruction, following in zip(code, [*code[1:], None], strict=True):
        if instruction.target is not None and instruction.base != "BSSY":
            starts.add(instruction.target)
        if following is not None and (instruction.base in ENDS or instruction.base == "BAR"):
            starts.add(following.address)
    blocks: list[Block] = []
    for instruction in code:
        if instruction.address in starts:
            blocks.append(Block(len(blocks), []))
        blocks[-1].instructions.append(instruction)
    at = {block.instructions[0].address: block.index for block in blocks}
    returns = [block.index + 1 for block in blocks if block.last.base == "CALL"]
    for block in blocks:
        last = block.last
        always = last.guard is None and len(last.operands) <= 1
        if not (last.base in ("RET", "EXIT", "CALL", "BRA") and always) and block.index + 1 < len(blocks):
            block.successors.append(block.index + 1)
        if last.base in ("BRA", "CALL") and last.target is not None:
            block.successors.append(at[last.target])
        if last.base == "RET":
            block.successors += returns
    avoid_slow_paths(blocks, kernel.slow_paths)
    return blocks


def avoid_slow_paths(blocks: list[Block], ranges: tuple[tuple[int, int], ...]) -> None:
    """Removes the edges to blocks that only serve the library's functions for denormal and huge numbers."""

    def within(address: int | None) -> bool:
        return address is not None and any(start <= address < end for start, end in ranges)

    slow: set[int] = set()
    while True:
        more = {
            block.index
            for block in blocks
            if within(block.last.address)
            or (block.last.base == "CALL" and within(block.last.target))
            or (block.successors and slow.issuperset(block.successors))
        }
        if more <= slow:
            break
        slow |= more
    for block in blocks:
        if not slow.issuperset(block.successors):
            block.successors = [successor for successor in block.successors if successor not in slow]


def condition(instruction: Instruction) -> list[str]:
    """The operands that decide whether a branch is taken."""
    if instruction.opcode == "BRA.DIV":
        return ["!PT"]  # the lanes of a warp stay together
    predicates = [instruction.guard] if instruction.guard else []
    return predicates + [operand for operand in instruction.operands[:-1] if instruction.base == "BRA"]


def switches(instruction: Instruction) -> list[str]:
    """The predicates without which an instruction of TIMED does nothing: its guard, and that of a zero-filling copy."""
    predicates = [instruction.guard] if instruction.guard else []
    if instruction.base == "LDGSTS" and PREDICATE.fullmatch(instruction.operands[-1]):
        predicates.append(instruction.operands[-1])
    return predicates


def needed_before(instruction: Instruction, needed: set[str], decides: bool) -> tuple[set[str], bool]:
    """Registers that matter before an instruction, given those after it, and whether the instruction matters."""
    if instruction.base in ENDS:
        if not decides:
            return needed, False
        names = [name for operand in condition(instruction) for name in names_in(operand)]
        return needed | set(names) | set(used(instruction) if instruction.base == "RET" else ()), False
    names = {name for name in results(instruction) if name}
    matters = bool(names & needed)
    if matters:
        needed = (needed if instruction.guard else needed - names) | set(used(instruction))
    if instruction.base in TIMED:
        needed = needed | {name for operand in switches(instruction) for name in names_in(operand)}
    return needed, matters


def control_slice(blocks: list[Block]) -> list[list[bool]]:
    """Which instructions of every block a branch depends on, directly or not."""
    before: list[set[str]] = [set() for _ in blocks]
    matters: list[list[bool]] = [[] for _ in blocks]
    changed = True
    while changed:
        changed = False
        for block in reversed(blocks):
            needed = set().union(*(before[successor] for successor in block.successors))
            flags = []
            for instruction in reversed(block.instructions):
                needed, flag = needed_before(instruction, needed, block.decides)
                flags.append(flag)
            matters[block.index] = flags[::-1]
            if needed != before[block.index]:
                before[block.index] = needed
                changed = True
    return matters


def is_modelled(instruction: Instruction) -> bool:
    return instruction.base.removeprefix("U") in semantics.OPERATIONS or instruction.base.startswith(DATA)


class Walker:
    """Walks threads with the same kernel arguments."""

    def __init__(self, kernel: Kernel, constants: bytes):
        self.kernel = kernel
        self.constants = constants
        self.blocks = basic_blocks(kernel)
        self.matters = control_slice(self.blocks)
        self.at = {block.instructions[0].address: block.index for block in self.blocks}
        self.executed: list[bool] = []  # for the current block's instructions with `switches`
        self.guesses: Counter[str] = Counter()  # branches that depend on data, by source line
        self.unmodelled = {
            instruction.opcode
            for block, flags in zip(self.blocks, self.matters, strict=True)
            for instruction, flag in zip(block.instructions, flags, strict=True)
            if flag and not is_modelled(instruction)
        }

    def walk(self, special: dict[str, int]) -> Iterator[tuple[int, tuple[bool, ...]]]:
        """(block, which of its switchable instructions are on), until the thread ends."""
        evaluator = Evaluator(self.constants, special)
        for block in self.blocks:
            self._bind(block, evaluator)
        state: State = {}
        current = 0
        for _ in range(MOST_BLOCKS):
            block = self.blocks[current]
            self.executed.clear()
            for step in block.steps:
                step(state)
            yield current, tuple(self.executed)
            following = self._next(block, state, evaluator)
            if following is None:
                return
            current = following
        raise RuntimeError(
            f"{self.kernel.symbol}: a thread does not end; guessed branches: {self.guesses.most_common(5)}"
        )

    def _bind(self, block: Block, evaluator: Evaluator) -> None:
        block.steps = []
        for instruction, matters in zip(block.instructions, self.matters[block.index], strict=True):
            if instruction.base in TIMED and switches(instruction):
                block.steps.append(self._noting(evaluator, switches(instruction)))
            if matters:
                block.steps.append(self._step(instruction, evaluator))

    def _noting(self, evaluator: Evaluator, predicates: list[str]) -> Callable[[State], None]:
        getters = [evaluator.getter(predicate) for predicate in predicates]

        def note(state: State) -> None:
            self.executed.append(all(get(state) is not False for get in getters))

        return note

    @staticmethod
    def _step(instruction: Instruction, evaluator: Evaluator) -> Callable[[State], None]:
        step = evaluator.bind(instruction)
        if instruction.guard is None:
            return step
        guard = evaluator.getter(instruction.guard)
        unknown = dict.fromkeys(name for name in results(instruction) if name)

        def guarded(state: State) -> None:
            holds = guard(state)
            if holds:
                step(state)
            elif holds is None:
                state.update(unknown)

        return guarded

    def _next(self, block: Block, state: State, evaluator: Evaluator) -> int | None:
        last = block.last
        if not block.decides:
            return block.successors[0] if block.successors else None
        operands = [evaluator.getter(operand)(state) for operand in condition(last)]
        taken = False if False in operands else None if None in operands else True
        if taken is None:
            taken = self.guess(block)
        if not taken:
            return block.index + 1
        if last.base == "EXIT":
            return None
        if last.base == "RET":
            return self.at[state[last.operands[0]]]
        return self.at[last.target]

    def guess(self, block: Block) -> bool:
        """A branch that depends on data: out of loops, else straight on."""
        self.guesses[block.last.where[0] if block.last.where else "?"] += 1
        return False
