"""The part of exact resumption that Lightning does not provide."""

from typing import Any

from lightning.pytorch import Trainer

from sma_models.data.data_module import FaceDataModule

SUMS = "trained"  # the entry of the sums of EpochLosses


def is_weights_only(checkpoint: dict[str, Any]) -> bool:
    """Whether the checkpoint has no training state, like best.ckpt, so that no run can resume from it."""
    return "optimizer_states" not in checkpoint


def check_resumable(checkpoint: dict[str, Any], data: FaceDataModule) -> None:
    """ValueError unless the checkpoint is of a training on data of this class."""
    if is_weights_only(checkpoint):
        raise ValueError(
            "ckpt_path must be the last.ckpt of the run to resume; got a checkpoint of weights only, such as best.ckpt: start "
            "a new run from it with --model.init_from"
        )
    kind = type(data).__qualname__
    if not {kind, SUMS} <= set(checkpoint):
        raise ValueError(
            f"the checkpoint is not of a training on {kind} by this version of sma_models: resume with the data of that run, "
            "or start a new run with --model.init_from"
        )


def resume_loops(trainer: Trainer) -> None:
    """Let a run that resumes at the end of an epoch begin the next one.

    With `max_steps`, Lightning would consider that epoch unfinished and end it again.
    """
    fit, epoch = trainer.fit_loop, trainer.fit_loop.epoch_loop
    if epoch.restarting and fit.restarted_on_epoch_end:
        fit.epoch_progress.increment_completed()
        fit.reset_restart_stage()
        epoch.restarting = False
        epoch.reset_restart_stage()
