"""Checkpoints of SMA-Net: the network, and typed metadata."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from torch import nn

from sma_models.metrics.calibration import Calibration
from sma_models.models.checkpoint_io import safe_load
from sma_models.models.sma_net import NetworkConfig, SMANet
from sma_models.utils.finite import require_finite_weights

ENTRY = "sma_net"  # the entry of the metadata, see `CheckpointInfo.as_dict`


@dataclass(frozen=True)
class CheckpointInfo:
    """Metadata of a checkpoint.

    kind:        what the network predicts, "au" or "expression"
    regions:     names of its R action units or expressions
    network:     its architecture
    calibration: thresholds and Platt scales of action units; neutral for expressions
    people:      the group that the subjects belong to, such as "disfa"; None if unknown
    subjects:    names of the subjects in the training and validation data
    alignment:   how their images were aligned, as `Alignment.as_dict`; None: not by `sma-net align`
    selection:   how the epoch was selected: "val" or "last"
    starts_from: the initial weights
    made_by:     see `sma_models.utils.provenance`
    """

    kind: Literal["au", "expression"]
    regions: tuple[str, ...]
    network: NetworkConfig
    calibration: Calibration
    people: str | None = None
    subjects: tuple[str, ...] = ()
    alignment: dict[str, Any] | None = None
    selection: str = "unknown"
    starts_from: str = "unknown"
    made_by: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Any, path: str | Path = "this file") -> Self:
        """The metadata in the content of a checkpoint; ValueError if it is not one of SMA-Net."""
        if not isinstance(content, dict) or ENTRY not in content:
            raise ValueError(f"{path} is not an SMA-Net checkpoint: it has no entry {ENTRY!r}")
        entry = content[ENTRY]
        calibration = Calibration(len(entry["regions"]))
        if entry["kind"] == "au":
            _load(calibration, content, "calibration", path)
        data = entry.get("data", {})
        return cls(
            kind=entry["kind"],
            regions=tuple(entry["regions"]),
            network=NetworkConfig(**entry["network"]),
            calibration=calibration,
            people=data.get("people"),
            subjects=tuple(data.get("subjects", ())),
            alignment=data.get("alignment"),
            selection=data.get("selection", "unknown"),
            starts_from=entry.get("starts_from", "unknown"),
            made_by=entry.get("made_by", {}),
        )

    def as_dict(self) -> dict[str, Any]:
        """The metadata as plain values, without the calibration, which is among the tensors of a checkpoint."""
        return {
            "kind": self.kind,
            "regions": list(self.regions),
            "network": asdict(self.network),
            "data": {
                "people": self.people,
                "subjects": list(self.subjects),
                "alignment": self.alignment,
                "selection": self.selection,
            },
            "starts_from": self.starts_from,
            "made_by": self.made_by,
        }

    def check_same_regions(self, regions: Sequence[str]) -> None:
        """ValueError unless the checkpoint has exactly these regions in this order."""
        if self.regions != tuple(regions):
            raise ValueError(f"the checkpoint's regions are {list(self.regions)}; these data have {list(regions)}")


def load_checkpoint(path: str | Path) -> tuple[CheckpointInfo, SMANet]:
    """The metadata of a checkpoint, and its network on the CPU in evaluation mode.

    FileNotFoundError if there is no file; ValueError if it is damaged, is not an SMA-Net checkpoint, has weights that are
    NaN or infinite, or does not fit this version of the network.
    """
    content = safe_load(path)
    info = CheckpointInfo.of(content, path)
    require_finite_weights(f"checkpoint {path}", content["state_dict"].items())
    network = SMANet(info.regions, **asdict(info.network))
    _load(network, content, "network", path)
    return info, network.eval()


def _load(module: nn.Module, content: dict[str, Any], name: str, path: str | Path) -> None:
    """Load a module of the task, "network" or "calibration", from the content of a checkpoint."""
    prefix = name + "."
    tensors = content["state_dict"].items()
    state = {key.removeprefix(prefix): tensor for key, tensor in tensors if key.startswith(prefix)}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit this version of the network: {error}") from error
