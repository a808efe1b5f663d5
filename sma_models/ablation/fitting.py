"""Training a whole network inside an experiment, from where it was stopped."""

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Timer, TQDMProgressBar

from sma_models.checkpoint_files import SafeCheckpoints
from sma_models.cli.callbacks import LastEpoch, SelectedEpoch
from sma_models.data.base import FaceData
from sma_models.task import FaceTask


def fit(task: FaceTask, data: FaceData, epochs: int, folder: Path, progress: bool) -> tuple[Path, float]:
    """The checkpoint of the best validation epoch, and the mean time of a step in seconds, with all that belongs to it."""
    last, timer = folder / "last.ckpt", Timer()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        callbacks=[
            SelectedEpoch(str(folder)),
            LastEpoch(str(folder), every_n_steps=50),
            timer,
            *([TQDMProgressBar()] if progress else []),
        ],
        plugins=[SafeCheckpoints()],
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_progress_bar=progress,
        use_distributed_sampler=False,
    )
    trainer.fit(task, datamodule=data, ckpt_path=str(last) if last.is_file() else None)
    return folder / "best.ckpt", timer.time_elapsed("train") / max(1, trainer.global_step)
