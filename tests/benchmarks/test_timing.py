"""The benchmarks measure what they claim to measure."""

import gc
import platform
import subprocess
import sys

import pytest
import torch

from benchmarks.compare import CPU
from benchmarks.environment import ROOT
from benchmarks.passes import Timed
from benchmarks.timing import interleaved, peak_memory

MIB = 2**20


def test_memory_is_what_is_held_beyond_the_results_of_the_moment():
    """An intermediate that is freed before a larger result is allocated counts in full; results never count."""

    def run(_) -> list[torch.Tensor]:
        first = torch.empty(MIB, dtype=torch.uint8)
        between = torch.empty(3 * MIB, dtype=torch.uint8)
        del between
        return [first, torch.empty(8 * MIB, dtype=torch.uint8)]

    assert peak_memory(Timed(run), CPU) == 3 * MIB


def test_no_garbage_is_collected_between_times():
    seen = []
    was_on = gc.isenabled()

    def run(_) -> list[torch.Tensor]:
        seen.append(gc.isenabled())
        return []

    interleaved({"run": Timed(run)}, rounds=3, device=CPU, warm_up=1)
    assert seen[1:] == [False] * 4  # one uncounted and three counted calls after the warm-up
    assert gc.isenabled() == was_on


FAULTS = """
import resource, sys, torch
from benchmarks.environment import disable_malloc_trim
if sys.argv[1] == "no trim":
    disable_malloc_trim()
for call in range(40):
    torch.ones(2**23)
    if call == 19:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_without_trimming_pages_are_reused():
    def faults(malloc: str) -> int:
        command = [sys.executable, "-c", FAULTS, malloc]
        return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)

    reused, default = faults("no trim"), faults("default")
    assert reused < default / 4, (reused, default)
