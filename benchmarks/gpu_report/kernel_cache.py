"""Triton kernels that were compiled beforehand on another machine: `benchmarks.gpu_kit` puts them into the tree."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environment import ROOT

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


@dataclass
class Kernels:
    """Names of the kernels that were compiled, and of those that lay in the cache already."""

    compiled: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)

    def __str__(self):
        return f"{len(self.compiled)} compiled, {len(self.cached)} in the cache"


def listening() -> Kernels:
    """From here on Triton's compilations are listed, and what is taken from the cache is marked as used by its time."""
    import triton

    kernels = Kernels()

    def note(*, src, metadata_group: dict[str, str], cache_hit: bool, **_) -> None:
        (kernels.cached if cache_hit else kernels.compiled).append(src.name)
        if cache_hit:
            os.utime(Path(next(iter(metadata_group.values()))).parent)

    triton.knobs.compilation.listener = note
    return kernels
