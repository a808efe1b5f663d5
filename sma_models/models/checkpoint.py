"""What a checkpoint of SMA-Net says about itself, beside its weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sma_models.metrics.calibration import Calibration
from sma_models.models.checkpoint_io import safe_load
from sma_models.models.sma_net import SMANet
from sma_models.utils.finite import require_finite_weights

ENTRY = "sma_net"  # {"kind": "au" or "expression", "regions": names, "network": fields of NetworkConfig,
# "data": people, subjects, alignment and selection of what it was trained on, see FaceDataModule.origin;
# "starts_from": weights, "made_by": see `provenance`}


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint of SMA-Net, on the CPU. FileNotFoundError, or ValueError if it is damaged, something
    else, or of weights that are NaN or infinite."""
    content = safe_load(path)
    if not isinstance(content, dict) or ENTRY not in content:
        raise ValueError(f"{path} is no checkpoint of SMA-Net: it has no entry {ENTRY!r}")
    require_finite_weights(f"checkpoint {path}", content.get("state_dict", {}).items())
    return content


def part_of_state(checkpoint: dict[str, Any], part: str) -> dict[str, torch.Tensor]:
    """The tensors of one part ("network", "calibration") of a checkpoint's task, by their names inside that part."""
    prefix = part + "."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }


def same_regions(checkpoint: dict[str, Any], regions: Sequence[str]) -> None:
    """ValueError unless the checkpoint has exactly these regions in this order."""
    stored = checkpoint.get(ENTRY, {}).get("regions")
    if stored != list(regions):
        raise ValueError(f"the checkpoint's regions are {stored}; these data have {list(regions)}")


def load_network(path: str | Path) -> tuple[SMANet, Calibration]:
    """The network of a checkpoint, in evaluation mode, and its calibration (neutral for expressions).

    FileNotFoundError if there is no file; ValueError if it is damaged, something else, or of a network of another version.
    """
    checkpoint = read_checkpoint(path)
    network = SMANet(checkpoint[ENTRY]["regions"], **checkpoint[ENTRY]["network"])
    try:
        network.load_state_dict(part_of_state(checkpoint, "network"))
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit this version of the network: {error}") from error
    calibration = Calibration(len(network.regions))
    if checkpoint[ENTRY]["kind"] == "au":
        calibration.load_state_dict(part_of_state(checkpoint, "calibration"))
    return network.eval(), calibration
