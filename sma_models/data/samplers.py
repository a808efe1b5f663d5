"""Samplers whose order depends on seed and epoch alone, so that a run can be resumed within an epoch."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data.distributed import DistributedSampler


class EpochSampler(DistributedSampler[dict[str, Any]]):
    """(epoch, position) of every sample in this process's share, in an order set by seed and epoch alone.

    finished: (epoch, samples) of a resumed epoch: the first `samples` of this share are skipped
    """

    finished = (-1, 0)

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        positions: Iterator[Any] = super().__iter__()
        epoch, samples = self.finished
        return ((self.epoch, position) for position in islice(positions, samples if epoch == self.epoch else 0, None))


class EvaluationSampler(EpochSampler):
    """Every sample exactly once, for any number of processes: shares are not padded with repeats."""

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        return ((0, position) for position in range(self.rank, len(self.dataset), self.num_replicas))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(range(self.rank, len(self.dataset), self.num_replicas))  # type: ignore[arg-type]
