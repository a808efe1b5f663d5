"""What the integer instructions of a GPU compute, for one thread. Floating-point data are unknown (None), except in the
conversions and reciprocals by which the compiler divides integers.

Every operation takes the suffixes of the opcode, its source numbers, its source predicates, and whether its first
result is a predicate; it returns its results in the order of the operands, or None if they are unknown. Numbers are
32-bit and unsigned.
"""

import itertools
import math
import struct
from collections.abc import Callable

MASK = 0xFFFFFFFF
Value = int | float | bool | None
Suffixes = tuple[str, ...]


def signed(value: int) -> int:
    value &= MASK
    return value - (1 << 32) if value >> 31 else value


def float_of(bits: int) -> float:
    return struct.unpack("<f", struct.pack("<I", bits & MASK))[0]


def bits_of(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


def lookup(table: int, a: int, b: int, c: int) -> int:
    """Each bit of the result is the bit of `table` that the bits of the operands select."""
    result = 0
    for index in range(8):
        if table >> index & 1:
            result |= (a if index & 4 else ~a) & (b if index & 2 else ~b) & (c if index & 1 else ~c)
    return result & MASK


def strict(operation: Callable) -> Callable:
    """Unknown if any operand is."""

    def checked(suffixes, numbers, predicates, first_is_predicate):
        if None in numbers or None in predicates:
            return None
        return operation(suffixes, numbers, predicates)

    return checked


def add(suffixes, numbers, predicates):
    """Sum and its two carries. A negative operand is 2^32 - x, so that it carries as in hardware."""
    total = sum(numbers) + sum(predicates)
    return total & MASK, total >> 32 > 0, total >> 32 > 1


def multiply_add(suffixes, numbers, predicates):
    a, b, c = numbers[:3]
    is_wide = "WIDE" in suffixes or "HI" in suffixes
    product = (a & MASK) * (b & MASK) if "U32" in suffixes or not is_wide else signed(a) * signed(b)
    total = product + (c & MASK) + sum(predicates) + (numbers[3] << 32 if is_wide else 0)
    low, high, carry = total & MASK, total >> 32 & MASK, total >> 64 > 0
    return (high, carry) if "HI" in suffixes else (low, high, carry)


def shift(suffixes, numbers, predicates):
    low, count, high = numbers
    is_64 = "U64" in suffixes or "S64" in suffixes
    count = min(count, 63 if is_64 else 32)
    arithmetic = "S32" in suffixes or "S64" in suffixes
    wide = (signed(high) if arithmetic else high & MASK) << 32 | low & MASK
    if suffixes[0] == "L":
        return ((wide << count >> 32 if "HI" in suffixes else low << count) & MASK,)
    return (wide >> count >> (32 if "HI" in suffixes else 0) & MASK,)


def scaled_add(suffixes, numbers, predicates):
    """(a << count) + b, or the high half of it for a 64-bit a, and the carry."""
    if "HI" not in suffixes:
        a, b, count = numbers
        shifted = a << count & MASK
    elif "SX32" in suffixes:
        a, b, count = numbers
        shifted = signed(a) << count >> 32 & MASK
    else:
        a, b, high, count = numbers
        shifted = ((high & MASK) << 32 | a & MASK) << count >> 32 & MASK
    total = shifted + b + sum(predicates)
    return total & MASK, total >> 32 > 0


COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "LT": lambda a, b: a < b,
    "LE": lambda a, b: a <= b,
    "GT": lambda a, b: a > b,
    "GE": lambda a, b: a >= b,
    "EQ": lambda a, b: a == b,
    "NE": lambda a, b: a != b,
}


def compared(suffixes: Suffixes, numbers, lower) -> bool | None:
    """With EX, of the upper halves of 64-bit numbers whose lower halves compared as `lower`."""
    if None in numbers:
        return None
    a, b = (value & MASK if "U32" in suffixes else signed(value) for value in numbers)
    if "EX" in suffixes and a == b:
        return lower
    return COMPARISONS[suffixes[0]](a, b)


def compare(suffixes, numbers, predicates, first_is_predicate):
    result, other = compared(suffixes, numbers, predicates[-1]), predicates[0]
    if "AND" in suffixes:
        if False in (result, other):
            return (False,)
        return None if None in (result, other) else (True,)
    if "OR" in suffixes:
        if True in (result, other):
            return (True,)
        return None if None in (result, other) else (False,)
    return None if None in (result, other) else (result != other,)


def select(suffixes, numbers, predicates, first_is_predicate):
    if predicates[0] is None:
        return None
    value = numbers[0] if predicates[0] else numbers[1]
    return None if value is None else (value & MASK,)


def combine_predicates(suffixes, numbers, predicates, first_is_predicate):
    """The results of two tables, if they do not depend on unknown predicates."""
    options = [(False, True) if value is None else (value,) for value in predicates]
    outcomes = []
    for table in numbers:
        values = {bool(lookup(table, *(-int(p) for p in case)) & 1) for case in itertools.product(*options)}
        outcomes.append(values.pop() if len(values) == 1 else None)
    return tuple(outcomes)


def is_flag(mask: int) -> bool:
    """Whether one bit of 32 differs from the others."""
    return mask.bit_count() in (1, 31)


def combine(suffixes, numbers, predicates, first_is_predicate):
    # Predicates are kept as the bits of a register. An unknown one must not hide the others, so it counts as false.
    if numbers[0] is None and numbers[1] is not None and is_flag(numbers[1]):
        numbers = [0, *numbers[1:]]
    if None in numbers:
        return None
    a, b, c, table = numbers
    result = lookup(table, a, b, c)
    return (result != 0, result) if first_is_predicate else (result,)


def extreme(suffixes, numbers, predicates):
    """Minimum or maximum, after an addition if there are three numbers."""
    *terms, last = numbers
    convert = (lambda value: value & MASK) if "U32" in suffixes else signed
    result = (min if predicates[0] else max)(convert(sum(terms)), convert(last))
    return ((max(result, 0) if "RELU" in suffixes else result) & MASK,)


def permute(suffixes, numbers, predicates, first_is_predicate):
    """Selects four bytes. Halves of registers are written one by one, so an unknown half counts as zero beside a known."""
    a, selector, b = numbers
    if selector is None:
        return None
    selected = {(a, b)[selector >> 4 * byte + 2 & 1] for byte in range(4)}
    if selected == {None}:
        return None
    a, b = a or 0, b or 0
    data = ((b & MASK) << 32 | a & MASK).to_bytes(8, "little")
    result = 0
    for byte in range(4):
        nibble = selector >> 4 * byte & 15
        value = data[nibble & 7]
        if nibble & 8:
            value = 0xFF if value >> 7 else 0
        result |= value << 8 * byte
    return (result,)


def to_float(suffixes, numbers, predicates):
    low = numbers[0]
    value = numbers[1] << 32 | low if "U64" in suffixes else low if "U32" in suffixes else signed(low)
    bits = bits_of(float(value))
    return (bits + (float_of(bits) < value and "RP" in suffixes),)


def to_integer(suffixes, numbers, predicates):
    value = float_of(numbers[0])
    limit = (1 << 64) - 1 if "U64" in suffixes else MASK
    whole = 0 if math.isnan(value) or value < 0 else int(min(value, limit))
    return whole & MASK, whole >> 32


def reciprocal(suffixes, numbers, predicates):
    value = float_of(numbers[0])
    if suffixes != ("RCP",) or value == 0:
        return None
    return (bits_of(1 / value),)


def half_constants(suffixes, numbers, predicates):
    """A product with zero plus two 16-bit floats, given as decimals: so the compiler loads some constants."""
    a, b, high, low = numbers
    if a & MASK and b & MASK:
        return None
    return (int.from_bytes(struct.pack("<ee", low, high), "little"),)


def read(suffixes, numbers, predicates):
    return tuple(numbers[0] >> shift & MASK for shift in (0, 32, 64, 96))


def pack_predicates(suffixes, numbers, predicates, first_is_predicate):
    rest, mask = numbers
    if any(value is None and mask >> index & 1 for index, value in enumerate(predicates)):
        return None
    packed = sum(int(value or 0) << index for index, value in enumerate(predicates))
    return (packed & mask | rest & ~mask,)


def unpack_predicates(suffixes, numbers, predicates):
    value, mask = numbers
    return tuple(bool(value >> index & 1) for index in range(7) if mask >> index & 1)


OPERATIONS: dict[str, Callable] = {
    "IADD3": strict(add),
    "VIADD": strict(add),
    "IMAD": strict(multiply_add),
    "SHF": strict(shift),
    "LEA": strict(scaled_add),
    "ISETP": compare,
    "SEL": select,
    "PLOP3": combine_predicates,
    "LOP3": combine,
    "VIMNMX": strict(extreme),
    "IMNMX": strict(extreme),
    "VIADDMNMX": strict(extreme),
    "PRMT": permute,
    "I2F": strict(to_float),
    "F2I": strict(to_integer),
    "MUFU": strict(reciprocal),
    "HFMA2": strict(half_constants),
    "LDC": strict(read),
    "LD": strict(read),
    "CS2R": lambda suffixes, numbers, predicates, first: (0, 0),
    "IABS": strict(lambda suffixes, numbers, predicates: (abs(signed(numbers[0])),)),
    "MOV": lambda suffixes, numbers, predicates, first: tuple(numbers[:1]),
    "R2UR": lambda suffixes, numbers, predicates, first: tuple(numbers[:1]),
    "S2R": lambda suffixes, numbers, predicates, first: tuple(numbers[:1]),
    "S2UR": lambda suffixes, numbers, predicates, first: tuple(numbers[:1]),
    "P2R": pack_predicates,
    "R2P": strict(unpack_predicates),
    # All lanes of a warp hold what lane 0 holds.
    "SHFL": lambda suffixes, numbers, predicates, first: (True, numbers[0]),
    "ELECT": lambda suffixes, numbers, predicates, first: (True, 0),
    # Division needs no slow path; barriers of asynchronous copies have been reached.
    "FCHK": lambda suffixes, numbers, predicates, first: (False,),
    "SYNCS": lambda suffixes, numbers, predicates, first: (True,) if first else None,
}
