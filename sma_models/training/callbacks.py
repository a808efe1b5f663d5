"""Checkpoints of the selected epoch, and of the last epoch with the state that a run needs to resume."""

import csv
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from sma_models.metrics.scores import current_names
from sma_models.models.checkpoint_io import previous_of
from sma_models.utils.run_dir import LOG

BEST, LAST = "best.ckpt", "last.ckpt"


def epoch_is_over(trainer: Trainer) -> bool:
    """Whether every batch of the epoch was trained on; False if `max_time` or `max_steps` ended it."""
    return trainer.fit_loop.epoch_loop.batch_progress.is_last_batch


def validation_is_due(trainer: Trainer) -> bool:
    """Whether a validation is scheduled after this batch; one that runs only because training stops is not."""
    loop, every, epochs = trainer.fit_loop.epoch_loop, trainer.val_check_batch, trainer.check_val_every_n_epoch
    if not trainer.enable_validation or not isinstance(every, int):
        return False
    if epochs is None:
        return (loop.total_batch_idx + 1) % every == 0
    return (trainer.current_epoch + 1) % epochs == 0 and (loop.batch_idx + 1) % every == 0


class SelectedEpoch(ModelCheckpoint):
    """Saves the weights of the epoch with the best `val/score` as best.ckpt, or of the last epoch without validation.

    An epoch that `max_time` or `max_steps` cut short is not compared with whole ones. If no epoch has a score, the
    weights at the end of training are saved, with a warning.

    dirpath: the folder; None means `checkpoints` in the logger's folder.
    """

    def __init__(self, dirpath: str | None = None):
        super().__init__(
            dirpath, "best", monitor="val/score", mode="max", save_weights_only=True, enable_version_counter=False
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if stage == "fit" and data.selection == "val" and not (trainer.enable_validation and len(data.splits.val)):
            rank_zero_warn("there is no validation: the last epoch is saved")
            data.selection = "last"
        if data.selection == "last":
            self.monitor = None
        super().setup(trainer, pl_module, stage)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor is None or validation_is_due(trainer):
            super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor is None or (epoch_is_over(trainer) and self.monitor in trainer.callback_metrics):
            super().on_train_epoch_end(trainer, pl_module)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether `current` is the best score so far; NaN never is."""
        return current is not None and not torch.isnan(current) and super().check_monitor_top_k(trainer, current)

    def on_train_end(self, trainer: Any, pl_module: LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        if not self.best_model_path and not trainer.fast_dev_run:
            rank_zero_warn("no whole epoch has a score: the weights at the end of training are saved")
            trainer.datamodule.selection = "last"
            assert self.dirpath is not None
            self.best_model_path = str(Path(self.dirpath) / BEST)
            trainer.save_checkpoint(self.best_model_path, weights_only=True)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Copy best.ckpt of the resumed run if that is in another folder. FileNotFoundError if it is missing."""
        state = checkpoint.get("callbacks", {}).get(self.state_key, {})
        if trainer.state.fn != TrainerFn.FITTING or not state.get("best_model_path"):
            return
        assert self.dirpath is not None and trainer.ckpt_path is not None
        source, target = Path(trainer.ckpt_path).parent / BEST, Path(self.dirpath) / BEST
        if not source.is_file():
            # A process that is killed while writing leaves the previous file, which is the best epoch in last.ckpt.
            source = previous_of(source)
        if not source.is_file():
            raise FileNotFoundError(f"the best epoch of the resumed run is missing: expected {BEST} next to {LAST}")
        if trainer.is_global_zero and source.resolve() != target.resolve():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the scores, with current paths: the folder may have moved."""
        if not state_dict["best_model_path"]:
            return
        assert self.dirpath is not None
        path, score = str(Path(self.dirpath) / BEST), state_dict["best_model_score"]
        paths = {"dirpath": self.dirpath, "best_model_path": path, "kth_best_model_path": path}
        super().load_state_dict(state_dict | paths | {"best_k_models": {} if score is None else {path: score}})


class LastEpoch(ModelCheckpoint):
    """Saves each epoch as last.ckpt, with the log so far, to resume from; Lightning's own `save_last` follows the best epoch.

    dirpath:       as in `SelectedEpoch`
    every_n_steps: optimizer steps after which last.ckpt is also written within an epoch; with 0, only if training stops
                   within one
    """

    def __init__(self, dirpath: str | None = None, every_n_steps: int = 500):
        super().__init__(dirpath, "last", save_on_train_epoch_end=True, enable_version_counter=False)
        if every_n_steps < 0:
            raise ValueError(f"every_n_steps must be at least 0; got {every_n_steps}")
        self.every_n_steps = every_n_steps
        self._after_validation = False
        self._log: list[dict[str, Any]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        # The end of the epoch is saved once it is over, with its metrics.
        if not self._is_due(trainer) or epoch_is_over(trainer):
            return
        # When resuming, Lightning assumes that a validation due at the time of the checkpoint has run.
        self._after_validation = validation_is_due(trainer)
        if not self._after_validation:
            self._save(trainer)

    def _is_due(self, trainer: Any) -> bool:
        batches, step = trainer.fit_loop.epoch_loop.batch_progress.current.ready, trainer.global_step
        if trainer.fast_dev_run or batches % trainer.accumulate_grad_batches:
            return False
        stops = (trainer.should_stop and trainer.fit_loop._can_stop_early) or step == trainer.max_steps
        return stops or bool(self.every_n_steps and step % self.every_n_steps == 0)

    def _save(self, trainer: Trainer) -> None:
        assert self.dirpath is not None
        trainer.save_checkpoint(Path(self.dirpath) / LAST)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._after_validation:
            self._after_validation = False
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # If training stopped within the epoch, the checkpoint already written has the position to resume from.
        if epoch_is_over(trainer):
            super().on_train_epoch_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["log"] = read_log(trainer) if trainer.is_global_zero else []

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._log = [current_names(row) for row in checkpoint.get("log", [])]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Do nothing: wherever a run resumes, it writes last.ckpt to its own folder."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning starts a new log; steps after the checkpoint will be logged again.
        for logger in csv_loggers(trainer):
            for row in self._log:
                logger.log_metrics({name: value for name, value in row.items() if name != "step"}, int(row["step"]))
            logger.save()
        self._log = []


def csv_loggers(trainer: Trainer) -> list[CSVLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, CSVLogger)]


def read_log(trainer: Trainer) -> list[dict[str, Any]]:
    """The rows of metrics.csv, without empty cells; none without a CSV logger."""
    for logger in csv_loggers(trainer):
        path = Path(logger.log_dir) / LOG
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(file)]
    return []
