"""The Lightning modules: `ActionUnitTask` and `ExpressionTask`."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassConfusionMatrix

from sma_models.data.face_table import UNKNOWN
from sma_models.losses.classification import AU_LOSSES, CLASS_WEIGHTS, au_weights, class_weights
from sma_models.metrics.calibration import Calibration
from sma_models.metrics.scores import AUPredictions, au_scores, expression_scores
from sma_models.training.face_task import Batch, FaceTask
from sma_models.training.preconditions import check_a_score_is_possible


class ActionUnitTask(FaceTask):
    """Training and testing on independent action units.

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

    def configure_metrics(self, regions: int) -> None:
        self.au_predictions = AUPredictions()
        self.calibration = Calibration(regions)
        self.register_buffer("weights", torch.ones(regions))
        if self.is_fitting:
            labels, names = self.data.train_labels(), self.data.faces.regions
            self.weights = au_weights(labels == 1, labels != UNKNOWN, names)
            if self.data.selection == "val":
                check_a_score_is_possible(self.data)

    def thresholds(self) -> Tensor:
        return self.calibration.threshold

    def task_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return self.loss(logits, batch["labels"], batch["known"], self.weights)

    def update_metrics(self, logits: Tensor, batch: Batch) -> None:
        self.au_predictions.update(logits, batch["labels"], batch["known"])

    def compute_metrics(self, split: str) -> tuple[float, dict[str, float]]:
        logits, labels, known = self.au_predictions.compute()
        self.au_predictions.reset()
        if split == "val" and self.is_fitting and not self.trainer.sanity_checking:
            self.calibration.fit(logits, labels, known)
        self.scores = au_scores(logits, labels, known, self.calibration.threshold)
        means = {name: float(value.nanmean()) for name, value in vars(self.scores).items()}
        return means["f1"], means


class ExpressionTask(FaceTask):
    """Training and testing on mutually exclusive expressions.

    Args:
        class_weights: "none", "sqrt" or "inverse": how strongly the loss favors classes that are rare in training
        settings:      see `FaceTask`
    """

    kind = "expression"
    weights: Tensor

    def __init__(self, class_weights: str = "none", **settings: Any):
        super().__init__(**settings)
        if class_weights not in CLASS_WEIGHTS:
            raise ValueError(f"class_weights must be one of {', '.join(CLASS_WEIGHTS)}; got {class_weights!r}")
        self.weighting = class_weights

    def configure_metrics(self, regions: int) -> None:
        # Labels and logits are checked before: validation would wait for the GPU in each step.
        self.confusion = MulticlassConfusionMatrix(regions, validate_args=False)
        self.register_buffer("weights", torch.ones(regions))
        if self.is_fitting:
            self.weights = class_weights(self.data.train_labels(), regions, self.weighting)

    def task_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        return cross_entropy(logits, batch["label"], self.weights)

    def update_metrics(self, logits: Tensor, batch: Batch) -> None:
        self.confusion.update(logits, batch["label"])

    def compute_metrics(self, split: str) -> tuple[float, dict[str, float]]:
        self.scores = expression_scores(self.confusion.compute())
        self.confusion.reset()
        names = ("accuracy", "macro_f1", "majority_accuracy", "majority_macro_f1")
        return self.scores.macro_f1, {name: getattr(self.scores, name) for name in names}
