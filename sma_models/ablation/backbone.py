"""The frozen backbone of the heads protocol: trained with average pooling, so that it favors no arm with attention."""

import os
from dataclasses import replace
from pathlib import Path

import lightning
from torch import nn

from sma_models.ablation.config import Ablation
from sma_models.ablation.fit_network import fit
from sma_models.data.data_module import FaceDataModule
from sma_models.models.checkpoint import load_checkpoint
from sma_models.models.sma_net import SMANet
from sma_models.training.face_task import FaceTask
from sma_models.training.task import ActionUnitTask, ExpressionTask


class _AveragePooling(FaceTask):
    """One map whose logits stay 0, so that all positions have equal weight."""

    def configure_model(self) -> None:
        super().configure_model()
        assert self.network is not None
        nn.init.zeros_(self.network.attention.weight)
        self.network.attention.requires_grad_(False)


class _Units(_AveragePooling, ActionUnitTask):
    """Action units from average-pooled features."""


class _Expressions(_AveragePooling, ExpressionTask):
    """Expressions from average-pooled features."""


def train_backbone(settings: Ablation, data: FaceDataModule, folder: Path) -> SMANet:
    """A network trained on `data` with average pooling, loaded from `folder` if training has already finished."""
    finished = folder / "backbone.ckpt"
    if not finished.is_file():
        data.setup("fit")
        task_class = _Units if data.faces.kind == "au" else _Expressions
        task = task_class(
            network=replace(settings.network, channels=1, embed_dim=1, correlate=False, activation="softmax"),
            optimizer=settings.backbone.optimizer,
        )
        lightning.seed_everything(data.seed, verbose=False)
        best, _ = fit(task, data, settings.backbone.epochs, folder / "checkpoints", progress=True)
        os.replace(best, finished)
    _, network = load_checkpoint(finished)
    return network.requires_grad_(False).eval()
