"""The Lightning data module that every data set of faces extends."""

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from sma_models.data.face_dataset import FaceDataset
from sma_models.data.face_table import FaceTable, Splits
from sma_models.data.position import Position, digest
from sma_models.data.samplers import EpochSampler, EvaluationSampler
from sma_models.data.split_summary import contents, region_counts
from sma_models.data.transforms import canvas_size


class FaceDataModule(lightning.LightningDataModule, ABC):
    """Batches of faces for training, validation and testing.

    Args:
        batch_size:  samples per process and step
        num_workers: processes that read and augment
        augment:     "none", "mild" or "strong", for the training split
        selection:   how the epoch is chosen: "val" on validation subjects, "last" without validation
        seed:        of splits, order and augmentation, at least 0
        image_size:  width and height of a sample in pixels; None uses the network's
    """

    def __init__(
        self,
        batch_size: int = 64,
        num_workers: int = 2,
        augment: str = "mild",
        selection: Literal["val", "last"] = "val",
        seed: int = 0,
        image_size: int | None = None,
    ):
        super().__init__()
        if selection not in ("val", "last"):
            raise ValueError(f"selection must be val or last; got {selection!r}")
        for name, number, least in (("seed", seed, 0), ("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
            if number < least:
                raise ValueError(f"{name} must be at least {least}; got {number}")
        if image_size is not None:
            canvas_size(image_size)
        self.batch_size, self.num_workers, self.augment = batch_size, num_workers, augment
        self.selection, self.seed, self.image_size = selection, seed, image_size
        self.faces: Any = None  # FaceTable, from `setup` on
        self._sampler: EpochSampler | None = None  # of the training split
        self._resumed: Position | None = None  # where a resumed run continues
        # How the images were aligned, as recorded by `sma-net align`.
        self.alignment: dict[str, Any] | None = None
        # The group that the subjects belong to: equal names within a group are the same person. None: unknown.
        self.people: str | None = None
        # What is scored, for table titles.
        self.protocol = type(self).__name__

    def fold_names(self) -> list[str]:
        """Every fold that can be tested, in order."""
        raise ValueError(f"{type(self).__name__} has no folds")

    def origin(self) -> dict[str, Any]:
        """Metadata of the training data for a checkpoint: people, subjects seen, alignment, and how the epoch is selected."""
        assert self.faces is not None, "call setup first"
        rows = np.concatenate([self.splits.train, self.splits.val])
        subjects = np.unique(self.faces.subjects[rows])
        return {
            "people": self.people,
            "subjects": [name for name in subjects.tolist() if name],
            "alignment": self.alignment,
            "selection": self.selection,
        }

    @abstractmethod
    def load(self) -> tuple[FaceTable, Splits]:
        """Read labels (not images) and split them; errors name the file and what is wrong in it."""

    def setup(self, stage: str) -> None:
        # A checkpoint, if any, is loaded after this; a second run on the same data starts afresh without one.
        self._resumed = None
        if self.faces is None:
            self.faces, self.splits = self.load()
            if stage == "fit":
                rank_zero_info(contents(self.faces, self.splits))

    def train_labels(self) -> torch.Tensor:
        """Labels of the training split only: int8 [n,R] or int64 [n]."""
        return torch.from_numpy(self.faces.labels[self.splits.train])

    def _check_training(self) -> None:
        """Raises ValueError if the training split has a single class."""
        counts = region_counts(self.faces, self.splits.train)
        present = [name for name, count in zip(self.faces.regions, counts, strict=True) if count]
        if self.faces.kind == "expression" and len(present) < 2:
            raise ValueError(
                f"{self.protocol}: expected at least two expressions to train on; got {', '.join(present) or 'none'}"
            )

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        self._check_training()
        trainer: Any = self.trainer
        # Lightning's own sampler would ignore epochs and shares.
        if trainer and trainer.overfit_batches:
            raise ValueError(
                f"overfit_batches must be 0 for these data; got {trainer.overfit_batches} (use limit_train_batches)"
            )
        dataset = self._dataset("train", self.augment)
        self._sampler = sampler = EpochSampler(dataset, *self._share(), shuffle=True, seed=self.seed)
        if self._resumed is not None:
            sampler.finished = (self._resumed.epoch, self._resumed.samples // self._resumed.processes)
            # Lightning sets the epoch only after creating the iterator, whose workers start at once.
            sampler.set_epoch(self._resumed.epoch)
        # A last batch of one or two samples would upset batch normalization.
        return self._loader(dataset, sampler, drop_last=len(sampler) >= self.batch_size)

    @cached_property
    def _digest(self) -> str:
        """A digest of the training and validation subjects and their labels."""
        splits, faces = (self.splits.train, self.splits.val), self.faces
        columns = (faces.labels, faces.subjects, faces.sequences, faces.frames)
        return digest([*splits, *(column[rows] for column in columns for rows in splits)])

    def _start(self) -> Position:
        return Position(0, 0, self.batch_size, self._share()[0], self.seed, self._digest)

    def state_dict(self) -> dict[str, Any]:
        """The position within the epoch in progress, or the start of the next one. See `Position`."""
        if self._sampler is None:
            return {}
        assert self.trainer is not None
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress
        epoch, batches = self._sampler.epoch, progress.current.processed
        if progress.is_last_batch:
            epoch, batches = epoch + 1, 0
        samples = batches * self.batch_size * self._share()[0]
        return replace(self._start(), epoch=epoch, samples=samples).as_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the position.

        Raises ValueError if the run was trained on other samples, or stopped within an epoch divided differently.
        """
        assert self.trainer is not None
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._resumed = self._start().resume(state_dict)

    def val_dataloader(self) -> Any:
        return self._evaluation_loader("val") if len(self.splits.val) else []

    def test_dataloader(self) -> Any:
        if not len(self.splits.test):
            raise ValueError("these data have no test split: assign some rows to the split or fold that is tested")
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: str) -> DataLoader[dict[str, Any]]:
        processes, _ = self._share()
        if len(getattr(self.splits, split)) < processes:
            # A process without samples could not take part when the others reduce their metrics.
            raise ValueError(
                f"the {split} split needs at least one sample per process; got {len(getattr(self.splits, split))} samples and "
                f"{processes} processes"
            )
        dataset = self._dataset(split, "none")
        return self._loader(dataset, EvaluationSampler(dataset, *self._share()), drop_last=False)

    def _dataset(self, split: str, augment: str) -> FaceDataset:
        trainer: Any = self.trainer
        size = self.image_size if self.image_size is not None else trainer.lightning_module.network.config.image_size
        return FaceDataset(self.faces, getattr(self.splits, split), size, augment, self.seed)

    def _share(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _loader(self, dataset: FaceDataset, sampler: EpochSampler, drop_last: bool) -> DataLoader[dict[str, Any]]:
        return DataLoader(
            dataset,
            self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            drop_last=drop_last,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # A generator of its own: restarting the loader, as after a pause, must not shift the network's random numbers.
            generator=torch.Generator().manual_seed(self.seed),
        )
