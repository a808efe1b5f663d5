"""AdamW with warm-up and a cosine schedule; learning rate and freezing of the backbone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from sma_models.models.sma_net import SMANet


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings of the optimizer and its schedule.

    lr, weight_decay:       of AdamW; biases, norms and the learned temperature, gate and relation bias do not decay
    warmup_epochs:          epochs of linear warm-up, possibly a fraction, before the cosine decay to 0
    backbone_lr_scale:      factor on lr for the backbone
    freeze_backbone_epochs: epochs in which the backbone is frozen
    freeze_bn:              the backbone's batch norms keep their statistics and scales throughout
    """

    lr: float = 1e-4
    weight_decay: float = 5e-4
    warmup_epochs: float = 0.0
    backbone_lr_scale: float = 1.0
    freeze_backbone_epochs: int = 0
    freeze_bn: bool = False

    def __post_init__(self) -> None:
        """ValueError naming a setting that is negative or not finite."""
        for name in ("lr", "weight_decay", "warmup_epochs", "backbone_lr_scale", "freeze_backbone_epochs"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"optimizer.{name} must be at least 0 and finite; got {value}")


class Decaying(Protocol):
    """A module that names its parameters without weight decay."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def no_weight_decay(self) -> set[str]: ...


def make_optimizer(network: Decaying, config: OptimizerConfig) -> AdamW:
    """AdamW with up to four parameter groups: backbone or not, with weight decay or without."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    exempt = network.no_weight_decay()
    for name, parameter in network.named_parameters():
        decays = parameter.ndim > 1 and name not in exempt
        groups.setdefault((name.startswith("backbone."), decays), []).append(parameter)
    return AdamW(
        [
            {
                "params": parameters,
                "lr": config.lr * (config.backbone_lr_scale if in_backbone else 1.0),
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (in_backbone, decays), parameters in groups.items()
        ]
    )


def make_schedule(optimizer: AdamW, config: OptimizerConfig, steps: float, steps_per_epoch: float) -> LambdaLR:
    """Linear warm-up, then a cosine to 0 over the rest of `steps` optimizer steps; constant if these are infinite."""
    warmup = config.warmup_epochs * steps_per_epoch

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1.0, steps - warmup))))

    return LambdaLR(optimizer, factor)


def freeze(network: SMANet, config: OptimizerConfig, epoch: int) -> None:
    """Freeze or unfreeze the parameters of the backbone for this epoch, and the statistics of its batch norms."""
    frozen = epoch < config.freeze_backbone_epochs
    network.backbone.requires_grad_(not frozen)
    for module in network.backbone.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (frozen or config.freeze_bn):
            module.eval()
            module.requires_grad_(False)
