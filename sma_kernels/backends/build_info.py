"""What the build of the compiled module wrote down, read without loading it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "_build.json"


def read() -> dict[str, Any]:
    """Build facts, or {} where nothing was built: torch, cuda, architectures, compiler, left_out, ..."""
    return _read(FILE)


@cache  # every call on a GPU asks several times
def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.exists() else {}
