"""Reads text, CSV, JSON and YAML files of users, with errors that name file and line."""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_UNIT = re.compile(r"AU0*([0-9]+)")


class Table(NamedTuple):
    """A CSV file. rows: stripped cells by column; lines: line number at which each row ends."""

    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark. Raises ValueError with file and line of invalid UTF-8."""
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path}: expected UTF-8 text; got UTF-16 (save the file as UTF-8)")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line_at(content, error.start)
        wrong = f"byte 0x{content[error.start]:02X}"
        raise ValueError(f"{path}, line {line}: expected UTF-8 text; got {wrong} (save the file as UTF-8)") from None
    if "\0" in text:
        line = _line_at(content, content.index(b"\0"))
        raise ValueError(f"{path}, line {line}: expected UTF-8 text; got a zero byte, as in UTF-16 or binary files")
    return text


def _line_at(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def csv_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped cells of every non-empty row of a CSV file; rows may differ in length.

    Raises ValueError with the file and the first line of a row with unbalanced quotes or an overlong cell.
    """
    # Strict, or an unclosed quote would turn the rest of the file into one cell.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), skipinitialspace=True, strict=True)
    last = 0
    try:
        for row in reader:
            last = reader.line_num
            if row:
                yield last, [cell.strip() for cell in row]
    except csv.Error as error:
        # `reader.line_num` is where parsing failed: for an open quote, the end of the file.
        raise ValueError(f"{path}, line {last + 1}: not valid CSV: {error}") from error


def read_table(path: Path, known: Collection[str]) -> Table:
    """Reads a CSV file with a header. Leading zeros of action units are dropped, AU01 becomes AU1.

    known: names of the columns with a meaning besides AU1, AU2, ...; others are allowed and ignored.
    Raises ValueError with the file, and the line unless the header is wrong.
    """
    lines = csv_cells(path)
    _, header = next(lines, (1, []))
    columns = checked_header(path, header, known)
    table = Table(columns, [], [])
    for line, cells in lines:
        if len(cells) != len(columns):
            raise ValueError(f"{path}, line {line}: expected {len(columns)} cells; got {len(cells)}")
        table.rows.append(dict(zip(columns, cells, strict=True)))
        table.lines.append(line)
    return table


def checked_header(path: Path, header: list[str], known: Collection[str]) -> list[str]:
    """The column names. Raises ValueError for duplicates, and for names that nearly match a known column.

    A plural, such as folds, nearly matches its singular unless that is a column too.
    """
    columns = []
    for cell in header:
        intended = _intended(cell, known) or _intended(cell.removesuffix("s"), set(known) - set(header))
        if intended is not None and intended != _canonical(cell):
            raise ValueError(
                f"{path}: column {cell!r} resembles {intended!r}; rename it to that or to a different name"
            )
        # Spreadsheets leave columns without a name, which are ignored.
        if cell and _canonical(cell) in columns:
            raise ValueError(f"{path}: column {_canonical(cell)!r} occurs twice; got {', '.join(header)}")
        columns.append(_canonical(cell))
    return columns


def _canonical(name: str) -> str:
    unit = _UNIT.fullmatch(name)
    return f"AU{int(unit[1])}" if unit else name


def _intended(name: str, known: Collection[str]) -> str | None:
    """The known column with this name, ignoring case, spaces, dashes and underscores, or None."""
    normalized = _normalized(name)
    unit = _UNIT.fullmatch(normalized.upper())
    return (
        f"AU{int(unit[1])}" if unit else next((column for column in known if _normalized(column) == normalized), None)
    )


def _normalized(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def check_no_lookalikes(source: str, what: str, names: Collection[str]) -> None:
    """Raises ValueError if two names differ only in case, spaces or Unicode encoding, and so may mean the same."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(_appearance(name), name)
        if other != name:
            # Accented letters may differ only in their encoding.
            shown = repr if other.isascii() and name.isascii() else ascii
            raise ValueError(
                f"{source}: {what} {shown(other)} and {shown(name)} differ only in case or spaces; expected one of them"
            )


def _appearance(name: str) -> str:
    """A name in case-folded form, with single spaces, composed letters and without zero-width characters."""
    visible = "".join(letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return " ".join(visible.split()).casefold()


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises ValueError with file and line."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: not valid JSON: {error.msg}") from error


def check_yaml(path: Path) -> None:
    """Raises ValueError, with file and line, for invalid YAML and for a setting that occurs twice."""
    try:
        root = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        location = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise ValueError(f"{location}: not valid YAML: {getattr(error, 'problem', error)}") from error
    _check_duplicate_keys(path, root)


def _check_duplicate_keys(path: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_duplicate_keys(path, item)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = yaml.serialize(key).strip()
            if name in seen:
                raise ValueError(f"{path}, line {key.start_mark.line + 1}: {key.value} occurs twice")
            seen.add(name)
            _check_duplicate_keys(path, value)
