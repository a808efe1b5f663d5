"""Facts recorded by the build of the compiled module, which need not be loaded to read them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "_build.json"


def read() -> dict[str, Any]:
    """Build facts, or {} if nothing was built: torch, cuda, architectures, compiler, left_out, ..."""
    return _read(FILE)


@cache  # needed several times per call on a GPU
def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.exists() else {}
