"""The part of training and testing SMA-Net that action units and expressions share."""

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from sma_models.data.data_module import FaceDataModule
from sma_models.losses.diversity import check_variant, diversity_term
from sma_models.metrics.calibration import Calibration
from sma_models.metrics.scores import AttentionSimilarity, AUScores, ExpressionScores, SampleLogits
from sma_models.models.checkpoint import ENTRY, CheckpointInfo
from sma_models.models.pretrained import build_network
from sma_models.models.sma_net import NetworkConfig, NetworkOutput, SMANet
from sma_models.training.epoch_losses import EpochLosses
from sma_models.training.optimizer import OptimizerConfig, freeze, make_optimizer, make_schedule
from sma_models.training.preconditions import check_precision
from sma_models.training.resume import SUMS, check_resumable, is_weights_only, resume_loops
from sma_models.training.rng_state import RNG_STATE, restore_rng_state, rng_state
from sma_models.utils.finite import require_finite, require_finite_weights
from sma_models.utils.provenance import provenance

Batch = dict[str, Any]
_WEIGHTS: dict[bool | str, str] = {False: "none", True: "timm"}


class FaceTask(lightning.LightningModule, ABC):
    """Base class of the tasks. The network is built after the setup of the data, which name its regions.

    Args:
        network:          the architecture
        optimizer:        learning rates, their schedule and weight decay
        diversity:        the loss that keeps the maps of a region apart: one of `sma_models.losses.diversity.VARIANTS`
        diversity_weight: λ of loss = task + λ·diversity
        pretrained:       initial weights of the backbone: False for random ones, True for timm's (a download), or the path of
                          a safetensors file or checkpoint
        key_map:          regular expressions and their replacements, applied in order to the keys of that file
        allow_partial:    accept a file that matches less than 90 % of the backbone
        init_from:        SMA-Net checkpoint with the initial weights; regions are matched by name

    Logs `val/score`, which selects the best epoch: the mean F1 of action units at fitted thresholds, or macro-F1.
    """

    kind: Literal["au", "expression"]
    scores: AUScores | ExpressionScores

    def __init__(
        self,
        network: NetworkConfig | None = None,
        optimizer: OptimizerConfig | None = None,
        diversity: str = "hinge",
        diversity_weight: float = 0.1,
        pretrained: bool | str = False,
        key_map: dict[str, str] | None = None,
        allow_partial: bool = False,
        init_from: str | Path | None = None,
    ):
        super().__init__()
        check_variant(diversity)
        if not 0 <= diversity_weight < math.inf:
            raise ValueError(f"diversity_weight must be at least 0 and finite; got {diversity_weight}")
        self.network_config = network or NetworkConfig()
        self.optimizer_config = optimizer or OptimizerConfig()
        self.diversity, self.diversity_weight = diversity, diversity_weight
        self.pretrained, self.key_map = pretrained, key_map
        self.allow_partial, self.init_from = allow_partial, init_from
        # For the titles of tables; for a tested checkpoint, the initial weights of its training.
        self.starts_from = str(init_from or _WEIGHTS.get(pretrained) or pretrained)
        self.network: SMANet | None = None
        self.resumed_rng_state: dict[str, Any] | None = None
        self.attention_similarity = AttentionSimilarity()
        self.predictions = SampleLogits()
        self.losses = EpochLosses()

    @property
    def data(self) -> FaceDataModule:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    @property
    def is_fitting(self) -> bool:
        """Whether training is under way; in a test, the checkpoint provides everything that depends on training labels."""
        return self.trainer.state.fn == TrainerFn.FITTING

    def configure_model(self) -> None:
        if self.network is not None:
            return
        check_precision(self.trainer)
        faces = self.data.faces
        if faces.kind != self.kind:
            raise ValueError(
                f"{type(self).__name__} needs labels of kind {self.kind!r}; these data have {faces.kind!r}"
            )
        self.network = build_network(
            faces.regions,
            self.network_config,
            pretrained=self.pretrained,
            key_map=self.key_map,
            allow_partial=self.allow_partial,
            init_from=self.init_from,
        ).to(memory_format=torch.channels_last)
        self.configure_metrics(len(faces.regions))

    @abstractmethod
    def configure_metrics(self, regions: int) -> None:
        """Create the metrics, and the buffers that depend on the training labels."""

    @abstractmethod
    def task_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The loss of one batch, a scalar."""

    @abstractmethod
    def update_metrics(self, logits: Tensor, batch: Batch) -> None:
        """Add one batch to the metrics."""

    @abstractmethod
    def compute_metrics(self, split: str) -> tuple[float, dict[str, float]]:
        """Compute and reset the metrics of a split ("val" or "test"), set `scores`, and return the selection score and the
        values to log."""

    def forward(self, images: Tensor) -> NetworkOutput:
        """Logits [B,R] and attention of uint8 images [B,3,H,W]."""
        assert self.network is not None, "a trainer builds the network"
        return self.network(images)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        output = self(batch["image"])
        task = self.task_loss(output.logits.float(), batch)
        diversity = diversity_term(self.diversity, output.attention).mean()
        loss = task + self.diversity_weight * diversity
        losses = torch.stack([loss, task, diversity]).detach()
        self.losses.add(losses, len(batch["image"]), self.global_step, self.current_epoch)
        self.log("loss", loss, prog_bar=True, logger=False)
        return loss

    def on_fit_start(self) -> None:
        assert self.network is not None
        millions = sum(parameter.numel() for parameter in self.network.parameters()) / 1e6
        rank_zero_info(f"SMA-Net on {self.network.config.backbone}: {millions:.2f} million parameters")

    def on_train_start(self) -> None:
        if self.resumed_rng_state is not None:
            restore_rng_state(self.resumed_rng_state)
        resume_loops(self.trainer)
        # A run that resumes within an epoch does not start one.
        self._freeze()

    def on_train_epoch_start(self) -> None:
        self.losses.reset()
        self._freeze()

    def _freeze(self) -> None:
        assert self.network is not None
        freeze(self.network, self.optimizer_config, self.current_epoch)

    def on_train_epoch_end(self) -> None:
        self.losses.check()
        # Lightning would log these after writing last.ckpt, which includes the log.
        means = self.losses.means(self._summed_losses())
        self.log_dict(means, logger=False)
        for logger in self.loggers:
            logger.log_metrics({**means, "epoch": self.current_epoch}, self.global_step - 1)
            logger.save()

    def _summed_losses(self) -> Tensor:
        """The sums over all processes."""
        return self.trainer.strategy.reduce(self.losses.sums.to(self.device, copy=True), reduce_op="sum")

    def on_validation_start(self) -> None:
        self.losses.check()

    def validation_step(self, batch: Batch, _: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Batch, _: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: Batch, split: str) -> None:
        output = self(batch["image"])
        assert self.network is not None
        self.attention_similarity.update(self.network.attention, output.attention)
        logits = output.logits.float()
        step = f" after step {self.global_step - 1} of training" if self.is_fitting else ""
        require_finite(f"the network's logits on the {split} split{step}", logits)
        self.update_metrics(logits, batch)
        if split == "test":
            self.predictions.update(batch["index"], logits)
        loss = self.task_loss(logits, batch)
        self.log(f"{split}/task", loss, batch_size=len(logits), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        self._report("val")

    def on_test_epoch_end(self) -> None:
        self.tested = [column.cpu().numpy() for column in self.predictions.compute()]
        self.predictions.reset()
        self._report("test")

    def thresholds(self) -> Tensor | None:
        """The smallest logits [R] at which regions are predicted present; None if the likeliest one is predicted."""
        return None

    def _report(self, split: str) -> None:
        score, values = self.compute_metrics(split)
        values |= {name: float(value) for name, value in self.attention_similarity.compute().items()}
        self.attention_similarity.reset()
        # Every process has computed the same numbers from all samples: sync_dist would only average them again.
        self.log_dict({f"{split}/{name}": value for name, value in values.items()})
        self.log(f"{split}/score", score, prog_bar=True)

    def configure_optimizers(self) -> Any:
        assert self.network is not None
        optimizer = make_optimizer(self.network, self.optimizer_config)
        steps = self.trainer.estimated_stepping_batches
        # The length of an epoch is not steps / max_epochs: max_steps may end the training earlier.
        batches = self.trainer.num_training_batches  # infinite if there are none
        steps_per_epoch = math.ceil(batches / self.trainer.accumulate_grad_batches) if math.isfinite(batches) else 1
        schedule = make_schedule(optimizer, self.optimizer_config, steps, steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        assert self.network is not None
        require_finite_weights(
            f"the network after step {self.global_step - 1} of training", checkpoint["state_dict"].items()
        )
        if not is_weights_only(checkpoint):
            checkpoint[RNG_STATE] = rng_state()
            checkpoint[SUMS] = self._summed_losses()
        checkpoint[ENTRY] = self._info(self.network).as_dict()

    def _info(self, network: SMANet) -> CheckpointInfo:
        return CheckpointInfo(
            kind=self.kind,
            regions=network.regions,
            network=network.config,
            calibration=Calibration(len(network.regions)),  # the task's own is among the tensors of a checkpoint
            **self.data.origin(),
            starts_from=self.starts_from,
            made_by=provenance(),
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        assert self.network is not None
        CheckpointInfo.of(checkpoint, "ckpt_path").check_same_regions(self.network.regions)
        require_finite_weights("the checkpoint", checkpoint["state_dict"].items())
        if self.is_fitting:
            check_resumable(checkpoint, self.data)
            self.resumed_rng_state = checkpoint[RNG_STATE]
            self.losses.sums = checkpoint[SUMS] * self.trainer.is_global_zero
