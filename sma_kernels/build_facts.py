"""What the build of the compiled module wrote down, read without loading it."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("_build.json")


def read() -> dict[str, Any]:
    """Build facts, or {} where nothing was built: torch, cuda, architectures, compiler, left_out, ..."""
    return json.loads(FILE.read_text()) if FILE.exists() else {}
