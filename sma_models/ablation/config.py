"""What an ablation is made of; `sma-net ablate` reads it from a YAML file."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sma_models.models.sma_net import NetworkConfig
from sma_models.training.optimizer import OptimizerConfig

# Numbers from which on people and seeds of a part are counted: far enough apart that parts never meet.
_APART = 1_000_000
PARTS = ("development", "evaluation")


@dataclass(frozen=True)
class Training:
    """How something is trained: epochs over its faces, samples per step, and how the weights move."""

    epochs: int
    batch_size: int = 32
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)


@dataclass(frozen=True)
class FaceCounts:
    """Drawn faces; no person is in two parts.

    backbone, backbone_val: images that the backbone of the heads tier is trained on, and chosen by
    train, val, test:       images of the arms; thresholds are chosen on `val`
    attention:              images on which attention is scored; their action units are independent, since among
                            correlated ones a map may rightly look at another unit's region
    subjects:               people in each part
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

    tier:             "heads" trains every arm on the cached features of one frozen backbone, "end_to_end" whole networks
    part:             "development" to choose defaults on, "evaluation" to measure once what is claimed: other people,
                      other seeds
    network:          what arms have in common; each sets its own switches
    diversity_weight: λ of the arms with diversity
    training:         of the arms
    backbone:         of the heads tier's backbone, which is trained with average pooling
    faces:            how many are drawn
    csv:              heads tier: own faces instead of drawn ones, a file as `CSVTable` reads it; five subject-exclusive
                      folds unless it names others. Both parts of an experiment then have the same people
    seeds:            initialisations of every arm
    sweeps:           heads tier: values to try in the full model, by name of a field of `NetworkConfig`, "diversity" or
                      "diversity_weight"; reported as exploration
    sweep_seeds:      initialisations of every such value
    """

    training: Training
    tier: Literal["heads", "end_to_end"] = "heads"
    part: Literal["development", "evaluation"] = "development"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    diversity_weight: float = 0.1
    backbone: Training = field(default_factory=lambda: Training(8))
    faces: FaceCounts = field(default_factory=FaceCounts)
    csv: str | None = None
    seeds: int = 20
    sweeps: dict[str, list[Any]] = field(default_factory=dict, hash=False)  # settings are keys of caches
    sweep_seeds: int = 5

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}; got {self.part!r}")
        if self.csv is not None and self.tier != "heads":
            raise ValueError(f"tier must be heads for the faces of a csv; got {self.tier!r}")
        for name in ("seeds", "sweep_seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if not 0 < self.faces.subjects <= _APART // 10:
            raise ValueError(f"faces.subjects must be 1 to {_APART // 10}; got {self.faces.subjects}")

    @property
    def start(self) -> int:
        """The first subject and the first seed of this part."""
        return PARTS.index(self.part) * _APART

    def initialisations(self, count: int) -> list[int]:
        """Seeds of `count` initialisations, the same for every arm."""
        return list(range(self.start, self.start + count))
