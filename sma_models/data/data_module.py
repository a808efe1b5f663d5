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
        augment:     "none", "mild" or "strong", of the training part
        selection:   how the epoch is chosen: "val" on validation subjects, "last" without any
        seed:        of parts, order and augmentation, at least 0
        image_size:  width and height of a sample in pixels; None takes the network's
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
        self.faces: Any = None  # Faces, from `setup` on
        self._sampler: EpochSampler | None = None  # of the training part
        self._resumed: Position | None = None  # where a run goes on that was begun before
        # How the pictures were aligned, as `sma-net align` noted it.
        self.alignment: dict[str, Any] | None = None
        # Whose subjects these are: the same name in another set of the same people is the same person. None: anyone's.
        self.people: str | None = None
        # What is scored, for the titles of tables.
        self.protocol = type(self).__name__

    def fold_names(self) -> list[str]:
        """Every fold that can be tested, in order."""
        raise ValueError(f"{type(self).__name__} has no folds")

    def origin(self) -> dict[str, Any]:
        """What a checkpoint that is trained on these data notes of them: people, subjects seen, alignment,
        and how its epoch was chosen."""
        assert self.faces is not None, "setup comes first"
        seen = np.concatenate([self.splits.train, self.splits.val])
        subjects = np.unique(self.faces.subjects[seen])
        return {
            "people": self.people,
            "subjects": [name for name in subjects.tolist() if name],
            "alignment": self.alignment,
            "selection": self.selection,
        }

    @abstractmethod
    def load(self) -> tuple[FaceTable, Splits]:
        """Read labels (not pictures) and divide them; errors name the file and what is wrong in it."""

    def setup(self, stage: str) -> None:
        # A checkpoint is loaded after this, if there is one: another training of the same data starts anew without.
        self._resumed = None
        if self.faces is None:
            self.faces, self.splits = self.load()
            if stage == "fit":
                rank_zero_info(contents(self.faces, self.splits))

    def train_labels(self) -> torch.Tensor:
        """Labels of the training part only: int8 [n,R] or int64 [n]."""
        return torch.from_numpy(self.faces.labels[self.splits.train])

    def _check_training(self) -> None:
        """ValueError if the training part has a single class, so that there is nothing to tell apart."""
        counts = region_counts(self.faces, self.splits.train)
        shown = [name for name, count in zip(self.faces.regions, counts, strict=True) if count]
        if self.faces.kind == "expression" and len(shown) < 2:
            raise ValueError(
                f"{self.protocol}: expected at least two expressions to train on; got {', '.join(shown) or 'none'}"
            )

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        self._check_training()
        trainer: Any = self.trainer
        # Its sampler would know neither epochs nor shares.
        if trainer and trainer.overfit_batches:
            raise ValueError("overfit_batches must be 0 for these data: use limit_train_batches")
        dataset = self._dataset("train", self.augment)
        self._sampler = sampler = EpochSampler(dataset, *self._share(), shuffle=True, seed=self.seed)
        if self._resumed is not None:
            sampler.behind = (self._resumed.epoch, self._resumed.samples // self._resumed.processes)
            # Lightning tells the epoch only once it has asked for an iterator, and its workers draw at once.
            sampler.set_epoch(self._resumed.epoch)
        # A last batch of one or two samples would upset the batch norms.
        return self._loader(dataset, sampler, drop_last=len(sampler) >= self.batch_size)

    @cached_property
    def _digest(self) -> str:
        """Of who trains and validates, and what they show."""
        parts, faces = (self.splits.train, self.splits.val), self.faces
        columns = (faces.labels, faces.subjects, faces.sequences, faces.frames)
        return digest([*parts, *(column[rows] for column in columns for rows in parts)])

    def _start(self) -> Position:
        return Position(0, 0, self.batch_size, self._share()[0], self.seed, self._digest)

    def state_dict(self) -> dict[str, Any]:
        """How far into its epoch the training is; at the end of one, that the next is to begin. See `Position`."""
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
        """ValueError if a training was begun with other samples, or is within an epoch that was divided otherwise."""
        assert self.trainer is not None
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._resumed = self._start().resume(state_dict)

    def val_dataloader(self) -> Any:
        return self._evaluation("val") if len(self.splits.val) else []

    def test_dataloader(self) -> Any:
        if not len(self.splits.test):
            raise ValueError("these data have no test part: give some rows the split or fold that is tested")
        return self._evaluation("test")

    def _evaluation(self, part: str) -> DataLoader[dict[str, Any]]:
        processes, _ = self._share()
        if len(getattr(self.splits, part)) < processes:
            # A process without a sample would have nothing to add to the measures that the others wait to share.
            raise ValueError(
                f"the {part} part must have a sample for each process; got {len(getattr(self.splits, part))} samples and "
                f"{processes} processes"
            )
        dataset = self._dataset(part, "none")
        return self._loader(dataset, EvaluationSampler(dataset, *self._share()), drop_last=False)

    def _dataset(self, part: str, augment: str) -> FaceDataset:
        trainer: Any = self.trainer
        size = self.image_size if self.image_size is not None else trainer.lightning_module.network.config.image_size
        return FaceDataset(self.faces, getattr(self.splits, part), size, augment, self.seed)

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
            # Its own: a loader that is started once more, as after a pause, must not shift what the network draws.
            generator=torch.Generator().manual_seed(self.seed),
        )
