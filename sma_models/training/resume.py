"""What makes a run that goes on from a checkpoint the run that never stopped, as far as Lightning does not see to it."""

from typing import Any

from lightning.pytorch import Trainer

from sma_models.data.data_module import FaceDataModule

SUMS = "trained"  # the entry of the sums of EpochLosses


def is_weights_only(checkpoint: dict[str, Any]) -> bool:
    """Whether it is no more than a network, as best.ckpt is, and no run goes on from it."""
    return "optimizer_states" not in checkpoint


def check_resumable(checkpoint: dict[str, Any], data: FaceDataModule) -> None:
    """ValueError unless a training on data of this kind was under way when the checkpoint was written."""
    if is_weights_only(checkpoint):
        raise ValueError(
            "ckpt_path must be the last.ckpt of the run that goes on; got a checkpoint of weights only, such as best.ckpt, "
            "from which --model.init_from starts a new run"
        )
    kind = type(data).__qualname__
    if not {kind, SUMS} <= set(checkpoint):
        raise ValueError(
            f"the checkpoint is not of a training on {kind} by this version of sma_models: expected the data that the run "
            "was begun with, or a new run with --model.init_from"
        )


def resume_loops(trainer: Trainer) -> None:
    """Let a run that goes on at the end of an epoch begin the next one.

    With `max_steps`, Lightning would take that epoch for unfinished and end it once more.
    """
    fit, epoch = trainer.fit_loop, trainer.fit_loop.epoch_loop
    if epoch.restarting and fit.restarted_on_epoch_end:
        fit.epoch_progress.increment_completed()
        fit.reset_restart_stage()
        epoch.restarting = False
        epoch.reset_restart_stage()
