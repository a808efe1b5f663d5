"""How many files the build compiles at once: by cores, available memory and container limits, on constructed files."""

import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "build_jobs.py"
GIB = 2**30
# 1 GiB is free, 9.5 GiB are available.
MEMINFO = """MemTotal:       16777216 kB
MemFree:         1048576 kB
MemAvailable:    9961472 kB
Cached:          8912896 kB
HugePages_Total:       0
"""


@pytest.fixture
def tool() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(TOOL)))


@pytest.fixture
def machine(tmp_path) -> Path:
    """The root of a file system on which the process is in the group /job/step."""
    write(tmp_path / "proc/meminfo", MEMINFO)
    write(tmp_path / "proc/self/cgroup", "4:memory:/old\n0::/job/step\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def limit(group: Path, maximum: str, used: int, inactive_file: int = 0) -> None:
    write(group / "memory.max", f"{maximum}\n")
    write(group / "memory.current", f"{used}\n")
    write(group / "memory.stat", f"anon 4096\ninactive_file {inactive_file}\n")


def test_page_cache_counts_as_available(tool, machine):
    assert tool.available_gib(machine) == 9.5


@pytest.mark.parametrize("group", ("job/step", "job", "."), ids=("own", "outer", "container"))
def test_a_limit_of_any_group_around_the_process_applies(tool, machine, group):
    cgroups = machine / "sys/fs/cgroup"
    limit(cgroups / "job/step", "max", 3 * GIB)
    limit(cgroups / group, str(8 * GIB), 5 * GIB, inactive_file=2 * GIB)
    limit(cgroups / "other", str(GIB), 0)
    assert tool.available_gib(machine) == 5


def test_a_limit_beyond_the_memory_changes_nothing(tool, machine):
    limit(machine / "sys/fs/cgroup/job/step", str(64 * GIB), GIB)
    assert tool.available_gib(machine) == 9.5


@pytest.mark.parametrize("meminfo", (None, "MemTotal: 16777216 kB\n", "\n"), ids=("missing", "old kernel", "empty"))
def test_another_system_has_no_figure(tool, tmp_path, meminfo):
    if meminfo is not None:
        write(tmp_path / "proc/meminfo", meminfo)
    assert tool.available_gib(tmp_path) == 0


@pytest.mark.parametrize(("gib", "jobs"), ((0, 1), (1.9, 1), (9.5, 4), (1000, 6)))
def test_jobs_are_bound_by_memory_and_cores(tool, monkeypatch, gib, jobs):
    monkeypatch.setitem(tool.build_jobs.__globals__, "available_gib", lambda: gib)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    assert tool.build_jobs() == jobs


def test_cores_are_counted_where_there_is_no_affinity(tool, monkeypatch):
    monkeypatch.setitem(tool.build_jobs.__globals__, "available_gib", lambda: 1000.0)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert tool.build_jobs() == 1
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert tool.build_jobs() == 3
