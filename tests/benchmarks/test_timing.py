"""What the benchmarks measure is what they say."""

import torch

from benchmarks.compare import CPU
from benchmarks.directions import Timed
from benchmarks.timing import peak_memory

MIB = 2**20


def test_memory_is_what_is_held_beyond_the_results_of_the_moment():
    """An intermediate that is gone before a larger result is made counts in full; results never do."""

    def run(_) -> list[torch.Tensor]:
        first = torch.empty(MIB, dtype=torch.uint8)
        between = torch.empty(3 * MIB, dtype=torch.uint8)
        del between
        return [first, torch.empty(8 * MIB, dtype=torch.uint8)]

    assert peak_memory(Timed(run), CPU) == 3 * MIB
