"""Callbacks that end a run early, like a time limit or a power cut, without changing its schedule."""

import os
import signal

import torch
from lightning.pytorch import Callback


class StopAfter(Callback):
    """Stops training after the second epoch."""

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch == 1


class Shaky(Callback):
    """Noise on every training batch from the global generator, like dropout."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        batch["image"] = (batch["image"].float() / 255 + 0.05 * torch.randn(batch["image"].shape)).clamp(0, 1)


class Kill(Callback):
    """Sends SIGKILL to its own process after `step` optimizer steps.

    moment: "step", after it; "epoch", at the end of that epoch, once it is saved; "write", while the
            checkpoint of that step is being written
    """

    def __init__(self, step, moment):
        self.step, self.moment = step, moment

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step >= self.step and self.moment == "step":
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.global_step >= self.step and self.moment == "epoch":
            os.kill(os.getpid(), signal.SIGKILL)

    def on_save_checkpoint(self, trainer, pl_module, checkpoint):
        if trainer.global_step >= self.step and self.moment == "write":
            checkpoint["never written"] = Bomb()


class Bomb:
    """Kills the process that pickles it."""

    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Seen(Callback):
    """Appends (epoch, indices) of every training batch to `batches`, which tests read."""

    batches: list = []  # noqa: RUF012

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches.append((trainer.current_epoch, batch["index"].tolist()))


class StopAt(Callback):
    """Stops training after `step` optimizer steps, like Lightning's time limit."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.should_stop |= trainer.global_step == self.step


class CrashAt(Callback):
    """Raises at the first batch after `step` optimizer steps."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            raise InterruptedError("the power is cut")
