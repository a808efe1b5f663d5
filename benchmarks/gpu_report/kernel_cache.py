"""Triton kernels that were compiled beforehand on another machine: `benchmarks.gpu_kit` puts them into the tree."""

import json
from pathlib import Path

from benchmarks.machine import ROOT

FOLDER = ROOT / "triton_cache"


def environment() -> dict[str, str]:
    """Variables under which Triton takes its kernels from the tree; {} where the tree brings none."""
    if not FOLDER.exists():
        return {}
    relocate(FOLDER)
    return {"TRITON_CACHE_DIR": str(FOLDER)}


def relocate(cache: Path) -> None:
    """Triton notes the files of a kernel by their full paths: those of the machine that compiled it."""
    for group in cache.glob("*/__grp__*"):
        files = json.loads(group.read_text())["child_paths"]
        moved = {name: str(group.parent / Path(path).name) for name, path in files.items()}
        group.write_text(json.dumps({"child_paths": moved}))
