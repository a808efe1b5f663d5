"""A trained network as a file that runs without this package's training code: ONNX, or a program of torch.export."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sma_kernels import SMAOutput
from sma_models.metrics.calibration import Calibration
from sma_models.models.checkpoint import ENTRY, load_network, read_checkpoint
from sma_models.models.sma_net import SMANet

FACTS = "sma_net.json"  # beside the program in a .pt2 file; in an ONNX file, the metadata entry `sma_net`
OUTPUTS = ("probability", "logits", *SMAOutput._fields)


class Deployed(nn.Module):
    """What an exported file computes.

    forward(images uint8 RGB [B,3,S,S], S the network's image size) -> (probability [B,R], logits [B,R], SMAOutput). The
    probability of an action unit is calibrated; those of expressions sum to 1.
    """

    def __init__(self, network: SMANet, calibration: Calibration, kind: str):
        super().__init__()
        self.network, self.calibration, self.kind = network, calibration, kind

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, SMAOutput]:
        logits, head = self.network(images)
        probability = self.calibration.probabilities(logits) if self.kind == "au" else logits.softmax(1)
        return probability, logits, head


def load_deployed(checkpoint: str | Path) -> tuple[Deployed, dict[str, Any]]:
    """The network of a checkpoint in evaluation mode, and the facts that go into the file.

    Facts: kind, regions, image_size, alignment, and per action unit the logit at which it is called present
    (`threshold`). Errors as in `read_checkpoint`.
    """
    stored = read_checkpoint(checkpoint)[ENTRY]
    network, calibration = load_network(checkpoint)
    facts = {
        "kind": stored["kind"],
        "regions": stored["regions"],
        "image_size": network.config.image_size,
        "alignment": stored.get("data", {}).get("alignment"),
        "threshold": calibration.threshold.tolist() if stored["kind"] == "au" else None,
    }
    return Deployed(network, calibration, stored["kind"]).eval().requires_grad_(False), facts


def export_program(deployed: Deployed) -> torch.export.ExportedProgram:
    """A program for any batch size. It holds the operator as one node, which `import sma_kernels` provides, and chooses
    its backend where it runs."""
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
    """A copy whose attention runs through the reference, that is through torch's own operators."""
    copy = deepcopy(deployed)
    copy.network.attention.backend = "reference"
    return copy


def _example(deployed: Deployed) -> Tensor:
    # Two: torch.export takes a batch of one for a constant.
    size = deployed.network.config.image_size
    return torch.zeros(2, 3, size, size, dtype=torch.uint8)  # type: ignore[arg-type]
