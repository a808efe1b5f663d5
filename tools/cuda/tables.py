"""JSON of nested tables with one row per line, so that differences can be read."""

import json


def as_text(tables: dict[str, dict], indent: int = 0) -> str:
    """{table: {row: facts}}, of which the first line continues one that is indented by `indent`."""
    blank = " " * indent
    texts = []
    for table, rows in tables.items():
        lines = ",\n".join(f"{blank}  {json.dumps(name)}: {json.dumps(facts)}" for name, facts in rows.items())
        texts.append(f"{blank} {json.dumps(table)}: {{\n{lines}\n{blank} }}")
    return "{\n" + ",\n".join(texts) + f"\n{blank}}}"
