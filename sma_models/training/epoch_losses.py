"""The losses of an epoch: their means over its samples, and the first step with a loss that is not finite."""

import torch
from torch import Tensor

NAMES = ("train/loss", "train/task", "train/diversity")
CHECKED_EVERY = {"cpu": 1, "cuda": 50}  # steps: reading a loss makes the host wait for the GPU


class EpochLosses:
    """sums: float32 [4], over the samples so far: the losses in `NAMES`, and the number of samples.

    Not a buffer of a module, because DDP would broadcast the first process's.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.sums = torch.zeros(len(NAMES) + 1)
        self._unchecked: list[tuple[int, int, Tensor]] = []  # step, epoch, loss

    def add(self, losses: Tensor, samples: int, step: int, epoch: int) -> None:
        """Add the mean losses [3] of a step over its samples. Raises as `check`, possibly some steps later."""
        counted = torch.cat([losses, losses.new_ones(1)]).float()
        self.sums = self.sums.to(losses.device) + counted * samples
        self._unchecked.append((step, epoch, losses[0]))
        if len(self._unchecked) >= CHECKED_EVERY.get(losses.device.type, 1):
            self.check()

    def check(self) -> None:
        """ValueError naming the first step since the last check whose loss is NaN or infinite."""
        unchecked, self._unchecked = self._unchecked, []
        if not unchecked:
            return
        values = torch.stack([loss for _, _, loss in unchecked]).tolist()
        for (step, epoch, _), value in zip(unchecked, values, strict=True):
            if not abs(value) < float("inf"):
                raise ValueError(
                    f"the loss is {value} at step {step}, in epoch {epoch}: training has diverged; a lower "
                    "model.optimizer.lr or some model.optimizer.warmup_epochs may help"
                )

    @staticmethod
    def means(sums: Tensor) -> dict[str, float]:
        """Mean losses by name from the sums of one process or of all."""
        *totals, samples = sums.tolist()
        return {name: total / samples for name, total in zip(NAMES, totals, strict=True)}
