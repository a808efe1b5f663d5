"""Triton kernels compiled in advance on another machine, and shipped in the tree by `benchmarks.gpu_kit`."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environment import ROOT

FOLDER = ROOT / "triton_cache"


def environment() -> dict[str, str]:
    """Environment variables that make Triton use the kernels of the tree; {} if the tree has none."""
    if not FOLDER.exists():
        return {}
    relocate(FOLDER)
    return {"TRITON_CACHE_DIR": str(FOLDER)}


def relocate(cache: Path) -> None:
    """Fix the absolute paths of the compiling machine, which Triton stores for the files of a kernel."""
    for group in cache.glob("*/__grp__*"):
        files = json.loads(group.read_text())["child_paths"]
        moved = {name: str(group.parent / Path(path).name) for name, path in files.items()}
        group.write_text(json.dumps({"child_paths": moved}))


@dataclass
class Kernels:
    """Names of the compiled kernels, and of those from the cache."""

    compiled: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)

    def __str__(self):
        return f"{len(self.compiled)} compiled, {len(self.cached)} in the cache"


def listening() -> Kernels:
    """Record the compilations of Triton from now on, and update the time of cached kernels on use."""
    import triton

    kernels = Kernels()

    def note(*, src, metadata_group: dict[str, str], cache_hit: bool, **_) -> None:
        (kernels.cached if cache_hit else kernels.compiled).append(src.name)
        if cache_hit:
            os.utime(Path(next(iter(metadata_group.values()))).parent)

    triton.knobs.compilation.listener = note
    return kernels
