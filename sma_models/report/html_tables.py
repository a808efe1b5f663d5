"""Converts tables of the terminal and of Markdown files to blocks of a page."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.table import Table


@dataclass
class Block:
    """A heading, a paragraph, or a table: its header and its rows, the last `summary` of them highlighted."""

    heading: str = ""
    text: str = ""
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    summary: int = 0


def from_rich(table: Table) -> Block:
    """The rows below the table's section line become the summary; its caption becomes the text."""
    header = [str(column.header) for column in table.columns]
    rows = [list(row) for row in zip(*(map(str, column.cells) for column in table.columns), strict=True)]
    line = next((index + 1 for index, row in enumerate(table.rows) if row.end_section), len(rows))
    return Block(text=str(table.caption or ""), header=header, rows=rows, summary=len(rows) - line)


def from_markdown(text: str) -> list[Block]:
    """Headings, paragraphs, list items and tables of the Markdown that `sma-net crossval` writes."""
    blocks: list[Block] = []
    for line in text.replace("`", "").splitlines():
        cells = [cell.strip() for cell in line[1:-1].split("|")] if line.startswith("|") else []
        if cells and blocks and blocks[-1].header:
            if set(cells) != {"---"}:
                blocks[-1].rows.append(cells)
        elif cells:
            blocks.append(Block(header=cells))
        elif line.startswith("#"):
            blocks.append(Block(heading=line.lstrip("# ")))
        elif line:
            blocks.append(Block(text=line))
        else:
            blocks.append(Block())  # ends a table
    return [block for block in _without_bold(blocks) if block.heading or block.text or block.header]


def _without_bold(blocks: Iterable[Block]) -> Iterable[Block]:
    """Remove bold from cells; the first row in bold begins the summary."""
    for block in blocks:
        bold = next((index for index, row in enumerate(block.rows) if row[0].startswith("**")), len(block.rows))
        block.rows = [[cell.strip("*") for cell in row] for row in block.rows]
        block.summary = len(block.rows) - bold
        yield block
