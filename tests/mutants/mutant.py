"""A deliberate fault in one source file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """Replaces `old`, which occurs once in `file`, by `new`; `tests` are pytest arguments that must then fail."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()  # of the test process


def models(file: str, old: str, new: str, *tests: str) -> Mutant:
    """A mutant of `file`, without ending, in sma_models."""
    return Mutant(f"sma_models/{file}.py", old, new, tests)


def data(file: str, old: str, new: str, *tests: str) -> Mutant:
    """A mutant of `file`, without ending, in sma_models/data."""
    return models(f"data/{file}", old, new, *tests)
