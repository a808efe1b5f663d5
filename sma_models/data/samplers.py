"""Samplers whose order depends on seed and epoch alone, so that a run can be resumed within an epoch."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data.distributed import DistributedSampler


class EpochSampler(DistributedSampler[dict[str, Any]]):
    """(epoch, place) of every sample of this process's share, in an order that follows from seed and epoch alone.

    behind: (epoch, samples) of an epoch that was begun before: its first `samples` of this share are left out
    """

    behind = (-1, 0)

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        places: Iterator[Any] = super().__iter__()
        epoch, samples = self.behind
        return ((self.epoch, place) for place in islice(places, samples if epoch == self.epoch else 0, None))


class EvaluationSampler(EpochSampler):
    """Every sample once, whatever the number of processes: nothing is repeated to fill up a share."""

    def __iter__(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        return ((0, place) for place in range(self.rank, len(self.dataset), self.num_replicas))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(range(self.rank, len(self.dataset), self.num_replicas))  # type: ignore[arg-type]
