"""Export of a trained network as ONNX or as a torch.export program, which run without the training code."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sma_kernels import SMAOutput
from sma_models.metrics.calibration import Calibration
from sma_models.models.checkpoint import load_checkpoint
from sma_models.models.sma_net import SMANet

FACTS = "sma_net.json"  # an extra file in a .pt2 archive; in an ONNX file, the metadata entry `sma_net`
OUTPUTS = ("probability", "logits", *SMAOutput._fields)


class Deployed(nn.Module):
    """The module that is exported.

    forward(images uint8 RGB [B,3,S,S], S the network's image size) -> (probability [B,R], logits [B,R], SMAOutput). The
    probability of an action unit is calibrated; the probabilities of expressions sum to 1.
    """

    def __init__(self, network: SMANet, calibration: Calibration, kind: str):
        super().__init__()
        self.network, self.calibration, self.kind = network, calibration, kind

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, SMAOutput]:
        logits, attention = self.network(images)
        probability = self.calibration.probabilities(logits) if self.kind == "au" else logits.softmax(1)
        return probability, logits, attention


def load_deployed(checkpoint: str | Path) -> tuple[Deployed, dict[str, Any]]:
    """The network of a checkpoint in evaluation mode, and the metadata of the exported file.

    Metadata: kind, regions, image_size, alignment, and per action unit the smallest logit at which it is predicted present
    (`threshold`). Errors as in `load_checkpoint`.
    """
    info, network = load_checkpoint(checkpoint)
    facts = {
        "kind": info.kind,
        "regions": list(info.regions),
        "image_size": network.config.image_size,
        "alignment": info.alignment,
        "threshold": info.calibration.threshold.tolist() if info.kind == "au" else None,
    }
    return Deployed(network, info.calibration, info.kind).eval().requires_grad_(False), facts


def export_program(deployed: Deployed) -> torch.export.ExportedProgram:
    """A program for any batch size, with the operator as one node: `import sma_kernels` registers it, and it selects its
    backend at run time."""
    return torch.export.export(deployed, (_example(deployed),), dynamic_shapes=({0: torch.export.Dim("batch")},))


def save_program(checkpoint: str | Path, out: str | Path) -> None:
    """Write `export_program` of a checkpoint; `torch.export.load` after `import sma_kernels` reads it."""
    deployed, facts = load_deployed(checkpoint)
    torch.export.save(export_program(deployed), out, extra_files={FACTS: json.dumps(facts)})


def save_onnx(checkpoint: str | Path, out: str | Path) -> None:
    """Write a checkpoint's network as ONNX: standard operators only, any batch size, outputs named by `OUTPUTS`."""
    deployed, facts = load_deployed(checkpoint)
    program = torch.onnx.export(
        decomposed(deployed),
        (_example(deployed),),
        input_names=["images"],
        output_names=OUTPUTS,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props["sma_net"] = json.dumps(facts)
    program.save(out)


def decomposed(deployed: Deployed) -> Deployed:
    """A copy whose attention runs on the reference backend, which consists of torch's own operators."""
    copy = deepcopy(deployed)
    copy.network.attention.backend = "reference"
    return copy


def _example(deployed: Deployed) -> Tensor:
    # Two samples: torch.export would specialize on a batch of one.
    size = deployed.network.config.image_size
    return torch.zeros(2, 3, size, size, dtype=torch.uint8)  # type: ignore[arg-type]
