"""Checkpoints of untrained networks, in the format that training writes."""

from dataclasses import asdict

import lightning
import torch

from sma_models.metrics.calibration import Calibration
from sma_models.models.checkpoint import ENTRY
from sma_models.models.sma_net import SMANet

EYES = {"template": "eyes", "detector": "cascade", "size": 256}
SMALL = {"backbone": "resnet10t", "stage": 2, "image_size": 64, "channels": 2, "embed_dim": 8}


def write_checkpoint(path, regions=("AU1", "AU12"), kind="au", alignment=EYES, people=None, subjects=(), **settings):
    """Returns the network and its calibration, whose thresholds and Platt scales are not neutral."""
    torch.manual_seed(3)
    network = SMANet(regions, **SMALL | settings)
    state = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    calibration = Calibration(len(regions))
    if kind == "au":
        calibration.threshold += torch.linspace(-9, 9, len(regions))
        calibration.scale *= 0.5
        calibration.offset += 0.25
        state |= {f"calibration.{name}": tensor for name, tensor in calibration.state_dict().items()}
    state["weights"] = torch.ones(len(regions))
    data = {"people": people, "subjects": list(subjects), "alignment": alignment}
    facts = {"kind": kind, "regions": list(regions), "network": asdict(network.config), "data": data}
    torch.save({"state_dict": state, ENTRY: facts, "pytorch-lightning_version": lightning.__version__}, path)
    return network.eval(), calibration
