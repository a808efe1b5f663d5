"""Settings of an ablation, which `sma-net ablate` reads from a YAML file."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sma_models.models.sma_net import NetworkConfig
from sma_models.training.optimizer import OptimizerConfig

# Offset of subject numbers and seeds between phases: large enough that phases never share any.
_PHASE_STRIDE = 1_000_000
PHASES = ("development", "evaluation")


@dataclass(frozen=True)
class Training:
    """Training settings: epochs, samples per step, and the optimizer."""

    epochs: int
    batch_size: int = 32
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)


@dataclass(frozen=True)
class FaceCounts:
    """Numbers of synthetic faces; no subject is in two splits.

    backbone, backbone_val: images for training the backbone of the heads protocol, and for selecting its epoch
    train, val, test:       images of the arms; thresholds are chosen on `val`
    attention:              images on which attention is scored; their action units are independent, since with
                            correlated ones a map may rightly attend to the region of another unit
    subjects:               people in each split
    """

    backbone: int = 6000
    backbone_val: int = 1000
    train: int = 6000
    val: int = 1000
    test: int = 2000
    attention: int = 1000
    subjects: int = 200


@dataclass(frozen=True)
class Ablation:
    """One experiment.

    protocol:         "heads" trains every arm on the cached features of one frozen backbone, "end_to_end" whole networks
    phase:            "development" for choosing defaults, "evaluation" for the final measurement on other subjects
                      with other seeds
    network:          settings shared by the arms; each sets its own switches
    diversity_weight: λ of the arms with diversity
    training:         of the arms
    backbone:         training of the frozen backbone of the heads protocol, with average pooling
    faces:            numbers of synthetic faces
    csv:              heads protocol: a CSV file of faces (see `CSVTable`) to use instead of synthetic ones, with its own
                      folds, or else five subject-exclusive ones. Both phases then have the same subjects
    seeds:            initializations per arm
    sweeps:           heads protocol: values to try in the full model, by name of a field of `NetworkConfig`,
                      "diversity" or "diversity_weight"; reported as exploration
    sweep_seeds:      initializations per such value
    """

    training: Training
    protocol: Literal["heads", "end_to_end"] = "heads"
    phase: Literal["development", "evaluation"] = "development"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    diversity_weight: float = 0.1
    backbone: Training = field(default_factory=lambda: Training(8))
    faces: FaceCounts = field(default_factory=FaceCounts)
    csv: str | None = None
    seeds: int = 20
    sweeps: dict[str, list[Any]] = field(default_factory=dict, hash=False)  # settings are keys of caches
    sweep_seeds: int = 5

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise ValueError(f"phase must be one of {', '.join(PHASES)}; got {self.phase!r}")
        if self.csv is not None and self.protocol != "heads":
            raise ValueError(f"protocol must be heads if csv is set; got {self.protocol!r}")
        for name in ("seeds", "sweep_seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if not 0 < self.faces.subjects <= _PHASE_STRIDE // 10:
            raise ValueError(f"faces.subjects must be 1 to {_PHASE_STRIDE // 10}; got {self.faces.subjects}")

    @property
    def first_seed(self) -> int:
        """The first seed of this phase, and its first subject number."""
        return PHASES.index(self.phase) * _PHASE_STRIDE

    def init_seeds(self, count: int) -> list[int]:
        """Seeds of `count` initializations, the same for every arm."""
        return list(range(self.first_seed, self.first_seed + count))
