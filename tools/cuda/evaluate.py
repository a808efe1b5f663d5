"""Turns an instruction into a function that updates the registers of one thread.

Registers are a dictionary: "R4", "UR5", "P0", "UP0"; a missing or None value is unknown. Unknown operands give unknown
results, unless the known ones decide.
"""

import re
from collections.abc import Callable

from tools.cuda import semantics
from tools.cuda.sass import Instruction

State = dict[str, semantics.Value]
Getter = Callable[[State], semantics.Value]
PREDICATE = re.compile(r"!?U?P[\dT]")
REGISTER = re.compile(r"([-~]?)(U?R(?:\d+|Z))(?:\.\w+)*")
RESULT = re.compile(r"U?R\d+|U?RZ|U?P[\dT]")
CONSTANT = re.compile(r"([-~]?)c\[0x0\]\[(?:(U?R\w+)\+?)?(-?0x[0-9a-f]+)?\]")
GENERIC = re.compile(r"(?:desc\[UR\d+\])?\[(R\d+)\.64(?:\+(-?0x[0-9a-f]+))?\]")
READ_BYTES = {"U8": 1, "U16": 2, "64": 8, "128": 16}
# Constant memory: where a kernel's argument starts, and where its address for generic loads is. The address is ours.
ARGUMENT, ARGUMENT_POINTER = 0x210, 0x198
ARGUMENT_ADDRESS = 1 << 40
# Their first operand is not a result.
NO_RESULT = {"ST", "STS", "STG", "STL", "RED", "BRA", "RET", "CALL", "WARPSYNC", "LDGSTS", "NANOSLEEP", "BRX", "BAR"}


def names_in(operand: str) -> list[str]:
    """The registers and predicates that an operand reads."""
    return re.findall(r"U?R\d+|U?P\d", operand)


def after(name: str, step: int) -> str:
    """The register `step` after `name`."""
    kind, number = re.fullmatch(r"(U?R)(\d+|Z)", name).groups()
    return name if number == "Z" or not step else f"{kind}{int(number) + step}"


def width(instruction: Instruction) -> int:
    """Registers that one operand for a result names."""
    base, suffixes = instruction.base, instruction.suffixes
    if base in ("HMMA", "IMMA") or "128" in suffixes or (base == "LDSM" and "4" in suffixes):
        return 4
    if "64" in suffixes or "WIDE" in suffixes or (base == "LDSM" and "2" in suffixes):
        return 2
    return 2 if base in ("DADD", "DMUL", "DFMA") or instruction.opcode in ("CS2R", "F2I.U64.TRUNC") else 1


def result_operands(instruction: Instruction) -> int:
    """How many of the operands, the first ones, name results."""
    operands = instruction.operands
    if instruction.base in NO_RESULT or not operands or not RESULT.fullmatch(operands[0]):
        return 0
    if PREDICATE.fullmatch(operands[0]):
        return 2 if len(operands) > 1 and RESULT.fullmatch(operands[1]) else 1
    count = 1
    if instruction.base.removeprefix("U") in ("IADD3", "LEA", "IMAD"):
        while count < len(operands) and re.fullmatch(r"U?P[\dT]", operands[count]):
            count += 1
    return count


def results(instruction: Instruction) -> list[str | None]:
    """Every register that the instruction writes, None for those that discard it."""
    if instruction.base == "R2P":
        return [f"P{i}" for i in range(7) if int(instruction.operands[2], 16) >> i & 1]
    names = []
    for operand in instruction.operands[: result_operands(instruction)]:
        count = 1 if PREDICATE.fullmatch(operand) else width(instruction)
        if operand.endswith(("Z", "PT")):
            names += [None] * count
        elif PREDICATE.fullmatch(operand):
            names.append(operand)
        else:
            names += [after(operand, step) for step in range(count)]
    return names


def wide_source(instruction: Instruction) -> str | None:
    """The source operand that is 64 bits wide."""
    base, suffixes = instruction.base.removeprefix("U"), instruction.suffixes
    if base == "IMAD" and ("WIDE" in suffixes or "HI" in suffixes):
        return [operand for operand in instruction.operands if not PREDICATE.fullmatch(operand)][3]
    return instruction.operands[1] if base == "I2F" and "U64" in suffixes else None


def used(instruction: Instruction) -> list[str]:
    """Every register that the results or the guard depend on."""
    names = [name for operand in instruction.operands[result_operands(instruction) :] for name in names_in(operand)]
    if instruction.base == "P2R":
        names += [f"P{i}" for i in range(7)]
    wide = wide_source(instruction)
    if wide and REGISTER.fullmatch(wide):
        names += [after(name, 1) for name in names_in(wide)]
    if instruction.base == "LD":
        names += [after(address[1], 1) for operand in instruction.operands if (address := GENERIC.fullmatch(operand))]
    return names + names_in(instruction.guard or "")


class Evaluator:
    """Compiles instructions for a thread with these kernel arguments and special registers."""

    def __init__(self, constants: bytes, special: dict[str, int]):
        self.constants = constants
        self.special = special

    def getter(self, operand: str, step: int = 0, size: int = 4) -> Getter:
        """Reads an operand; with step=1 the upper half of a wide one."""
        if PREDICATE.fullmatch(operand):
            return self._predicate(operand)
        if constant := CONSTANT.fullmatch(operand):
            return self._constant(constant, 4 * step, size)
        if address := GENERIC.fullmatch(operand):
            return self._generic(address[1], int(address[2] or "0", 16), size)
        if register := REGISTER.fullmatch(operand):
            return self._register(register[1], after(register[2], step))
        if operand.startswith("SR"):
            value = self.special.get(operand)
        elif re.fullmatch(r"-?0x[0-9a-f]+", operand):
            value = int(operand, 16) >> 32 * step & semantics.MASK
        else:
            value = float(operand) if re.fullmatch(r"-?[\d.]+(e[-+]?\d+)?", operand) else None
        return lambda state: value

    @staticmethod
    def _predicate(operand: str) -> Getter:
        negated, name = operand.startswith("!"), operand.lstrip("!")
        if name.endswith("PT"):
            return lambda state: not negated
        if negated:
            return lambda state: None if (value := state.get(name)) is None else not value
        return lambda state: state.get(name)

    @staticmethod
    def _register(sign: str, name: str) -> Getter:
        if name.endswith("Z"):
            value = {"": 0, "-": 1 << 32, "~": semantics.MASK}[sign]
            return lambda state: value
        if sign == "-":
            return lambda state: None if (value := state.get(name)) is None else (1 << 32) - value
        if sign == "~":
            return lambda state: None if (value := state.get(name)) is None else value ^ semantics.MASK
        return lambda state: state.get(name)

    def _constant(self, match: re.Match, shift: int, size: int) -> Getter:
        index = self._register("", match[2]) if match[2] else lambda state: 0
        sign, offset = match[1], int(match[3] or "0", 16) + shift

        def get(state: State) -> semantics.Value:
            at = index(state)
            if at is None:
                return None
            value = self._read((at + offset) & semantics.MASK, size)
            if value is None:
                return None
            return (1 << 32) - value if sign == "-" else value ^ semantics.MASK if sign else value

        return get

    def _read(self, at: int, size: int) -> int | None:
        inside = at >= 0 and at + size <= len(self.constants)
        return int.from_bytes(self.constants[at : at + size], "little") if inside else None

    def _generic(self, register: str, offset: int, size: int) -> Getter:
        """A load that may read the kernel's argument; other memory is unknown."""

        def get(state: State) -> semantics.Value:
            low, high = state.get(register), state.get(after(register, 1))
            if low is None or high is None:
                return None
            return self._read((high << 32 | low) + offset - ARGUMENT_ADDRESS + ARGUMENT, size)

        return get

    def bind(self, instruction: Instruction) -> Callable[[State], None]:
        """The effect of the instruction, if its guard holds."""
        names = results(instruction)
        sources = [operand for operand in instruction.operands[result_operands(instruction) :] if operand != "PR"]
        if instruction.base == "P2R":
            sources += [f"P{i}" for i in range(7)]
        size = next((READ_BYTES[suffix] for suffix in instruction.suffixes if suffix in READ_BYTES), 4)
        predicates = [self.getter(source) for source in sources if PREDICATE.fullmatch(source)]
        numbers = [self.getter(source, 0, size) for source in sources if not PREDICATE.fullmatch(source)]
        if wide := wide_source(instruction):
            numbers.append(self.getter(wide, 1))
        operation = semantics.OPERATIONS.get(instruction.base.removeprefix("U"))
        first_is_predicate = bool(instruction.operands and PREDICATE.fullmatch(instruction.operands[0]))

        def run(state: State) -> None:
            values = ()
            if operation is not None:
                read = [get(state) for get in numbers], [get(state) for get in predicates]
                values = operation(instruction.suffixes, *read, first_is_predicate) or ()
            for index, name in enumerate(names):
                if name is not None:
                    state[name] = values[index] if index < len(values) else None

        return run
