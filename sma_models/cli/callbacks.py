"""Which epoch is kept, and what is printed of it."""

import json
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from sma_models.answers import ANSWERS, answers_of, write_answers
from sma_models.cli.tables import print_scores, scores_as_dict


class SelectedEpoch(ModelCheckpoint):
    """Keeps the epoch with the best `val/score` as best.ckpt, or the last where there are no validation subjects.

    dirpath: the folder; None is `checkpoints` in the logger's.
    """

    def __init__(self, dirpath: str | None = None):
        super().__init__(dirpath, "best", monitor="val/score", mode="max", enable_version_counter=False)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.datamodule.selection == "last":  # type: ignore[attr-defined]
            self.monitor = None
        super().setup(trainer, pl_module, stage)


class LastEpoch(ModelCheckpoint):
    """Keeps every epoch as last.ckpt until the next, to resume from; Lightning's own `save_last` follows the best one.

    dirpath:       as in `SelectedEpoch`
    every_n_steps: optimiser steps after which last.ckpt is also written within an epoch; 0 is never
    """

    def __init__(self, dirpath: str | None = None, every_n_steps: int = 500):
        super().__init__(dirpath, "last", save_on_train_epoch_end=True, enable_version_counter=False)
        if every_n_steps < 0:
            raise ValueError(f"every_n_steps must be at least 0; got {every_n_steps}")
        self.every_n_steps = every_n_steps

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        batches = trainer.fit_loop.epoch_loop.batch_progress
        # The end of the epoch is written once it is over, with what was measured on it.
        if not self.every_n_steps or batches.is_last_batch or trainer.global_step % self.every_n_steps:
            return
        if batches.current.ready % trainer.accumulate_grad_batches == 0:
            assert self.dirpath is not None
            trainer.save_checkpoint(Path(self.dirpath) / f"last{self.FILE_EXTENSION}")


class ScoreReport(Callback):
    """Prints the table of a finished test or validation run, and writes it as scores_<part>.json beside the log, and the
    answer to every test sample as answers_test.npz."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = self._report(trainer, pl_module, "test")
        if folder is not None:
            write_answers(answers_of(pl_module), folder / ANSWERS)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.training and not trainer.sanity_checking and trainer.state.fn == "validate":
            self._report(trainer, pl_module, "val")

    def _report(self, trainer: Trainer, task: Any, part: str) -> Path | None:
        """The folder that the first process writes to; None in the others, or without a log."""
        # Asking for it is a broadcast: every process must ask.
        log_dir = trainer.log_dir
        if not trainer.is_global_zero:
            return None
        print_scores(task, part)
        if log_dir is None:
            return None
        folder = Path(log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"scores_{part}.json").write_text(json.dumps(scores_as_dict(task, part), indent=1) + "\n")
        return folder
