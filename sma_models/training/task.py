"""Training and measuring SMA-Net: one Lightning module for action units, one for expressions."""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.nn.functional import cross_entropy

from sma_models.data.data_module import FaceDataModule
from sma_models.data.face_table import UNKNOWN
from sma_models.losses.classification import AU_LOSSES, CLASS_WEIGHTS, au_weights, class_weights
from sma_models.losses.diversity import check_variant, diversity_term
from sma_models.metrics.calibration import Calibration
from sma_models.metrics.scores import (
    AttentionSpread,
    AUScores,
    Confusion,
    ExpressionScores,
    SampleLogits,
    UnitPredictions,
    au_scores,
    expression_scores,
)
from sma_models.models.checkpoint import ENTRY, same_regions
from sma_models.models.pretrained import build_network
from sma_models.models.sma_net import NetworkConfig, NetworkOutput, SMANet
from sma_models.training.epoch_losses import EpochLosses
from sma_models.training.optimizer import OptimizerConfig, freeze, make_optimizer, make_schedule
from sma_models.training.preconditions import check_a_score_is_possible, check_precision
from sma_models.training.resume import SUMS, check_resumable, is_weights_only, resume_loops
from sma_models.training.rng_state import RANDOM, random_states, restore_random_states
from sma_models.utils.finite import require_finite, require_finite_weights
from sma_models.utils.provenance import provenance

Batch = dict[str, Any]


class FaceTask(lightning.LightningModule, ABC):
    """What action units and expressions share. The network is built once the data have told its regions.

    Args:
        network:          the architecture
        optimizer:        how the weights move
        diversity:        what keeps the maps of one region apart: one of `sma_models.losses.diversity.VARIANTS`
        diversity_weight: λ of loss = task + λ·diversity
        backbone_weights: "none", "timm" (a download) or the path of a safetensors file or checkpoint
        key_map:          regular expressions to replacements, applied in order to the file's keys
        allow_partial:    accept a file that fits less than 90 % of the backbone
        init_from:        checkpoint of an SMA-Net to start from; regions are matched by name

    Logs `val/score`, by which the best epoch is chosen: the mean F1 of action units at chosen thresholds, or macro-F1.
    """

    kind: Literal["au", "expression"]
    scores: AUScores | ExpressionScores

    def __init__(
        self,
        network: NetworkConfig | None = None,
        optimizer: OptimizerConfig | None = None,
        diversity: str = "hinge",
        diversity_weight: float = 0.1,
        backbone_weights: str = "none",
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
        self.backbone_weights, self.key_map = backbone_weights, key_map
        self.allow_partial, self.init_from = allow_partial, init_from
        # What tables say; of a checkpoint that is tested, what it was trained from.
        self.starts_from = str(init_from or backbone_weights)
        self.network: SMANet | None = None
        self.random_states: dict[str, Any] | None = None  # of the checkpoint that a run goes on from
        self.spread = AttentionSpread()
        self.answers = SampleLogits()
        self.losses = EpochLosses()

    @property
    def data(self) -> FaceDataModule:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    @property
    def fitting(self) -> bool:
        """Whether training is under way; measuring takes what follows from training labels from the checkpoint."""
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
            backbone_weights=self.backbone_weights,
            key_map=self.key_map,
            allow_partial=self.allow_partial,
            init_from=self.init_from,
        ).to(memory_format=torch.channels_last)
        self.add_measures(len(faces.regions))

    @abstractmethod
    def add_measures(self, regions: int) -> None:
        """Create the metrics, and the buffers that follow from the training labels."""

    @abstractmethod
    def task_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Scalar."""

    @abstractmethod
    def count(self, logits: Tensor, batch: Batch) -> None:
        """Add one batch to the metrics."""

    @abstractmethod
    def measure(self, part: str) -> tuple[float, dict[str, float]]:
        """Read and reset the metrics, set `scores`, and return the selection score and what is logged of `part`."""

    def forward(self, images: Tensor) -> NetworkOutput:
        """Logits [B,R] and attention of uint8 images [B,3,H,W]."""
        assert self.network is not None, "the network is built when a trainer starts"
        return self.network(images)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        output = self(batch["image"])
        task = self.task_loss(output.logits.float(), batch)
        apart = diversity_term(self.diversity, output.head).mean()
        loss = task + self.diversity_weight * apart
        losses = torch.stack([loss, task, apart]).detach()
        self.losses.add(losses, len(batch["image"]), self.global_step, self.current_epoch)
        self.log("loss", loss, prog_bar=True, logger=False)
        return loss

    def on_fit_start(self) -> None:
        assert self.network is not None
        millions = sum(parameter.numel() for parameter in self.network.parameters()) / 1e6
        rank_zero_info(f"SMA-Net on {self.network.config.backbone}: {millions:.2f} million parameters")

    def on_train_start(self) -> None:
        if self.random_states is not None:
            restore_random_states(self.random_states)
        resume_loops(self.trainer)
        # A run that goes on in the middle of an epoch does not start one.
        self._freeze()

    def on_train_epoch_start(self) -> None:
        self.losses.reset()
        self._freeze()

    def _freeze(self) -> None:
        assert self.network is not None
        freeze(self.network, self.optimizer_config, self.current_epoch)

    def on_train_epoch_end(self) -> None:
        self.losses.check()
        # Lightning would log after last.ckpt, which holds the log, is written.
        means = self.losses.means(self._summed_losses())
        self.log_dict(means, logger=False)
        for logger in self.loggers:
            logger.log_metrics({**means, "epoch": self.current_epoch}, self.global_step - 1)
            logger.save()

    def _summed_losses(self) -> Tensor:
        """Of all processes."""
        return self.trainer.strategy.reduce(self.losses.sums.to(self.device, copy=True), reduce_op="sum")

    def on_validation_start(self) -> None:
        self.losses.check()

    def validation_step(self, batch: Batch, _: int) -> None:
        self._evaluate(batch, "val")

    def test_step(self, batch: Batch, _: int) -> None:
        self._evaluate(batch, "test")

    def _evaluate(self, batch: Batch, part: str) -> None:
        output = self(batch["image"])
        assert self.network is not None
        self.spread.update(self.network.attention, output.head)
        logits = output.logits.float()
        step = f" after step {self.global_step - 1} of training" if self.fitting else ""
        require_finite(f"the network's answers to the {part} part{step}", logits)
        self.count(logits, batch)
        if part == "test":
            self.answers.update(batch["index"], logits)
        loss = self.task_loss(logits, batch)
        self.log(f"{part}/task", loss, batch_size=len(logits), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        self._report("val")

    def on_test_epoch_end(self) -> None:
        self.tested = [part.cpu().numpy() for part in self.answers.compute()]
        self.answers.reset()
        self._report("test")

    def thresholds(self) -> Tensor | None:
        """The logits [R] from which on regions are called present; None where the likeliest one is called."""
        return None

    def _report(self, part: str) -> None:
        score, values = self.measure(part)
        values |= {name: float(value) for name, value in self.spread.compute().items()}
        self.spread.reset()
        # Every process has computed the same numbers from all samples: sync_dist would only average them again.
        self.log_dict({f"{part}/{name}": value for name, value in values.items()})
        self.log(f"{part}/score", score, prog_bar=True)

    def configure_optimizers(self) -> Any:
        assert self.network is not None
        optimizer = make_optimizer(self.network, self.optimizer_config)
        steps = self.trainer.estimated_stepping_batches
        # An epoch's length is not steps / max_epochs: max_steps may end the training in an earlier one.
        batches = self.trainer.num_training_batches  # infinite where there are none
        steps_per_epoch = math.ceil(batches / self.trainer.accumulate_grad_batches) if math.isfinite(batches) else 1
        schedule = make_schedule(optimizer, self.optimizer_config, steps, steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        assert self.network is not None
        require_finite_weights(
            f"the network after step {self.global_step - 1} of training", checkpoint["state_dict"].items()
        )
        if not is_weights_only(checkpoint):
            checkpoint[RANDOM] = random_states()
            checkpoint[SUMS] = self._summed_losses()
        checkpoint[ENTRY] = {
            "kind": self.kind,
            "regions": list(self.network.regions),
            "network": asdict(self.network.config),
            "data": self.data.origin(),
            "starts_from": self.starts_from,
            "made_by": provenance(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        assert self.network is not None
        same_regions(checkpoint, self.network.regions)
        require_finite_weights("the checkpoint", checkpoint["state_dict"].items())
        if self.fitting:
            check_resumable(checkpoint, self.data)
            self.random_states = checkpoint[RANDOM]
            self.losses.sums = checkpoint[SUMS] * self.trainer.is_global_zero


class ActionUnitTask(FaceTask):
    """Independent action units.

    Args:
        loss:     "weighted_asymmetric" or "weighted_bce", weighted from the training subjects
        settings: see `FaceTask`
    """

    kind = "au"
    weights: Tensor

    def __init__(self, loss: str = "weighted_asymmetric", **settings: Any):
        super().__init__(**settings)
        if loss not in AU_LOSSES:
            raise ValueError(f"loss must be one of {', '.join(AU_LOSSES)}; got {loss!r}")
        self.loss = AU_LOSSES[loss]

    def add_measures(self, regions: int) -> None:
        self.predictions = UnitPredictions()
        self.calibration = Calibration(regions)
        self.register_buffer("weights", torch.ones(regions))
        if self.fitting:
            labels, names = self.data.train_labels(), self.data.faces.regions
            self.weights = au_weights(labels == 1, labels != UNKNOWN, names)
            if self.data.selection == "val":
                check_a_score_is_possible(self.data)

    def thresholds(self) -> Tensor:
        return self.calibration.threshold

    def task_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return self.loss(logits, batch["labels"], batch["known"], self.weights)

    def count(self, logits: Tensor, batch: Batch) -> None:
        self.predictions.update(logits, batch["labels"], batch["known"])

    def measure(self, part: str) -> tuple[float, dict[str, float]]:
        logits, labels, known = self.predictions.compute()
        self.predictions.reset()
        if part == "val" and self.fitting and not self.trainer.sanity_checking:
            self.calibration.fit(logits, labels, known)
        self.scores = au_scores(logits, labels, known, self.calibration.threshold)
        means = {name: float(value.nanmean()) for name, value in vars(self.scores).items()}
        return means["f1"], means


class ExpressionTask(FaceTask):
    """One expression of several.

    Args:
        class_weights: "none", "sqrt" or "inverse": how far rare classes of the training subjects weigh more
        settings:      see `FaceTask`
    """

    kind = "expression"
    weights: Tensor

    def __init__(self, class_weights: str = "none", **settings: Any):
        super().__init__(**settings)
        if class_weights not in CLASS_WEIGHTS:
            raise ValueError(f"class_weights must be one of {', '.join(CLASS_WEIGHTS)}; got {class_weights!r}")
        self.weighting = class_weights

    def add_measures(self, regions: int) -> None:
        self.confusion = Confusion(regions)
        self.register_buffer("weights", torch.ones(regions))
        if self.fitting:
            self.weights = class_weights(self.data.train_labels(), regions, self.weighting)

    def task_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return cross_entropy(logits, batch["label"], self.weights)

    def count(self, logits: Tensor, batch: Batch) -> None:
        self.confusion.update(logits, batch["label"])

    def measure(self, part: str) -> tuple[float, dict[str, float]]:
        self.scores = expression_scores(self.confusion.compute())
        self.confusion.reset()
        names = ("accuracy", "macro_f1", "majority_accuracy", "majority_macro_f1")
        return self.scores.macro_f1, {name: getattr(self.scores, name) for name in names}
