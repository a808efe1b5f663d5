"""Resumable training of a whole network within an experiment."""

import time
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import TQDMProgressBar

from sma_models.data.data_module import FaceDataModule
from sma_models.models.checkpoint_io import AtomicCheckpointIO
from sma_models.training.callbacks import LastEpoch, SelectedEpoch
from sma_models.training.face_task import FaceTask


class StepTimes(lightning.Callback):
    """Collects the seconds of each training step, without data loading."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self._started = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter() - self._started)


def fit(task: FaceTask, data: FaceDataModule, epochs: int, folder: Path, progress: bool) -> tuple[Path, float]:
    """Train, or resume training in `folder`; returns the checkpoint of the best validation epoch and the median seconds
    per step (NaN if training had already finished)."""
    last, times = folder / "last.ckpt", StepTimes()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        callbacks=[
            SelectedEpoch(str(folder)),
            LastEpoch(str(folder), every_n_steps=50),
            times,
            *([TQDMProgressBar()] if progress else []),
        ],
        plugins=[AtomicCheckpointIO()],
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=progress,
        use_distributed_sampler=False,
    )
    trainer.fit(task, datamodule=data, ckpt_path=str(last) if last.is_file() else None)
    return folder / "best.ckpt", float(np.median(times.seconds or [np.nan]))
