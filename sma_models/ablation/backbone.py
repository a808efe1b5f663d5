"""The frozen backbone of the heads tier: trained with average pooling, so that it favours no arm with attention."""

import os
from pathlib import Path

import lightning
from torch import nn

from sma_models.ablation.fitting import fit
from sma_models.ablation.settings import Training
from sma_models.checkpoint import load_network
from sma_models.data.base import FaceData
from sma_models.network import SMANet
from sma_models.task import ActionUnitTask, ExpressionTask, FaceTask


class _AveragePooling(FaceTask):
    """One map whose logits are and stay 0: it weighs all positions alike."""

    def configure_model(self) -> None:
        super().configure_model()
        assert self.network is not None
        nn.init.zeros_(self.network.attention.weight)
        self.network.attention.requires_grad_(False)


class AveragePoolingUnits(_AveragePooling, ActionUnitTask):
    """Action units from average-pooled features."""


class AveragePoolingExpressions(_AveragePooling, ExpressionTask):
    """Expressions from average-pooled features."""


def trained_backbone(task: FaceTask, data: FaceData, training: Training, folder: Path) -> SMANet:
    """The network of `task`, from `folder` where it is finished."""
    finished = folder / "backbone.ckpt"
    if not finished.is_file():
        lightning.seed_everything(data.seed, verbose=False)
        best, _ = fit(task, data, training.epochs, folder / "checkpoints", progress=True)
        os.replace(best, finished)
    network, _ = load_network(finished)
    return network.requires_grad_(False).eval()
