"""How many files the build compiles at once."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

GIB_PER_JOB = 2  # a file that includes torch's headers takes about 1.5 GiB to compile


def build_jobs() -> int:
    """As many as cores and available memory allow; one if the system does not report its memory in the way of Linux."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(available_gib() // GIB_PER_JOB)))


def available_gib(root: Path = Path("/")) -> float:
    """Memory available without swapping, including page cache, within the limits of a container."""
    try:
        # The free memory that os.sysconf reports excludes page cache, which fills almost all of it after large downloads.
        available = _fields(root / "proc/meminfo")["MemAvailable:"] * 2**10
    except (OSError, ValueError, KeyError):
        return 0.0
    return min([available, *_left_by_cgroups(root)]) / 2**30


def _left_by_cgroups(root: Path) -> Iterator[int]:
    """Remaining bytes of the cgroup (version 2) of this process and of each enclosing one that has a limit."""
    top = root / "sys/fs/cgroup"
    try:
        own = top / re.findall(r"^0::/(.*)$", (root / "proc/self/cgroup").read_text(), re.MULTILINE)[0]
    except (OSError, IndexError):
        return
    for folder in (own, *own.parents):
        if not folder.is_relative_to(top):
            return
        try:
            limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
            yield limit - used + _fields(folder / "memory.stat")["inactive_file"]  # counted, but reclaimable
        except (OSError, ValueError, KeyError):  # no limit: the file is missing or reads "max"
            continue


def _fields(path: Path) -> dict[str, int]:
    return {name: int(number) for name, number, *_ in map(str.split, path.read_text().splitlines())}
