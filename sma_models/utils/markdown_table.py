"""Markdown tables from lists of cells."""

from collections.abc import Iterable, Sequence


def table_row(*cells: object) -> str:
    """One line of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def table_lines(header: Sequence[object], rows: Iterable[Iterable[object]]) -> list[str]:
    """The header, the rule below it, and one line per row."""
    return [table_row(*header), table_row(*["---"] * len(header)), *(table_row(*row) for row in rows)]
