"""Text files that users bring: UTF-8, tables with the columns that are expected, and errors that name file and line."""

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
    """A CSV file. rows: cells by column, stripped; lines: number of the line that each row ends on."""

    columns: list[str]
    rows: list[dict[str, str]]
    lines: list[int]


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark. ValueError names file and line of what is no UTF-8."""
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
    """Line number and stripped cells of every row of a CSV file that is not empty; rows may differ in length.

    ValueError names the file and the line on which a row starts whose quotes do not match or whose cells are too long.
    """
    # Strict: a quote that is never closed would make one cell of the rest of the file.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), skipinitialspace=True, strict=True)
    last = 0
    try:
        for row in reader:
            last = reader.line_num
            if row:
                yield last, [cell.strip() for cell in row]
    except csv.Error as error:
        # The reader's own number is where it gave up: after an open quote, the end of the file.
        raise ValueError(f"{path}, line {last + 1}: not valid CSV: {error}") from error


def read_table(path: Path, known: Collection[str]) -> Table:
    """A CSV file with a header. Action units are named without zeros in front, AU01 as AU1.

    known: names of the columns that mean something beside AU1, AU2, ...; others may be there, and mean nothing.
    ValueError names the file, and the line where the header is not what is wrong.
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
    """The names of the columns. ValueError if one is there twice, or is nearly that of a column that means something.

    A plural, such as folds, is nearly its singular where that is not there itself.
    """
    columns = []
    for cell in header:
        meant = _meant(cell, known) or _meant(cell.removesuffix("s"), set(known) - set(header))
        if meant is not None and meant != _spelt(cell):
            raise ValueError(f"{path}: column {cell!r} is nearly {meant!r}; rename it to that or to something else")
        # Spreadsheets leave columns without a name; nothing looks for one.
        if cell and _spelt(cell) in columns:
            raise ValueError(f"{path}: column {_spelt(cell)!r} is there twice; got {', '.join(header)}")
        columns.append(_spelt(cell))
    return columns


def _spelt(name: str) -> str:
    unit = _UNIT.fullmatch(name)
    return f"AU{int(unit[1])}" if unit else name


def _meant(name: str, known: Collection[str]) -> str | None:
    """The column that has this name but for case, spaces, dashes and underscores, or None."""
    plain = _plain(name)
    unit = _UNIT.fullmatch(plain.upper())
    return f"AU{int(unit[1])}" if unit else next((column for column in known if _plain(column) == plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def refuse_lookalikes(source: str, what: str, names: Collection[str]) -> None:
    """ValueError if two names differ in case, spaces, or how a letter is encoded, so that they may well be meant to be one."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(_look(name), name)
        if other != name:
            # Two accents may differ in their bytes alone.
            shown = repr if other.isascii() and name.isascii() else ascii
            raise ValueError(
                f"{source}: {what} {shown(other)} and {shown(name)} differ in case or spaces alone; expected one of them"
            )


def _look(name: str) -> str:
    """A name without case, with single spaces, letters composed and what has no width left out."""
    visible = "".join(letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return " ".join(visible.split()).casefold()


def read_json(path: Path) -> Any:
    """The content of a JSON file. ValueError names file and line."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: not valid JSON: {error.msg}") from error


def check_yaml(path: Path) -> None:
    """ValueError names file and line of what is not valid YAML, and of a setting that is there twice."""
    try:
        root = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise ValueError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}") from error
    _refuse_twice(path, root)


def _refuse_twice(path: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(path, item)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = yaml.serialize(key).strip()
            if name in seen:
                raise ValueError(f"{path}, line {key.start_mark.line + 1}: {key.value} is there twice")
            seen.add(name)
            _refuse_twice(path, value)
