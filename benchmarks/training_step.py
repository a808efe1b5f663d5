"""`python -m benchmarks.training_step`: a whole training step of SMA-Net, and the share of the head."""

import argparse
import json
from itertools import product
from pathlib import Path

import torch
from rich.progress import track

from benchmarks.baselines import available_backends
from benchmarks.compare import CPU, RESULTS
from benchmarks.environment import disable_malloc_trim, environment
from benchmarks.passes import Timed
from benchmarks.timing import interleaved, medians
from sma_models.models.sma_net import NetworkConfig, SMANet, make_attention
from sma_models.utils.markdown_table import table_lines

BATCH, SIDE, REGIONS = 8, 224, 12
MERGES = ("max", "none")
BACKBONES = {"resnet18": 512, "resnet50": 2048}  # channels of the last stage, 7x7 at 224 pixels


def network_step(backbone: str, backend: str, merge: str) -> Timed:
    torch.manual_seed(0)
    network = SMANet([f"AU{number}" for number in range(REGIONS)], backbone=backbone, backend=backend, merge=merge)
    images, labels = torch.rand(BATCH, 3, SIDE, SIDE), torch.randint(0, 2, (BATCH, REGIONS)).float()

    def step(_) -> list:
        network.zero_grad()
        output = network(images)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(output.logits, labels)
        (loss + output.attention.diversity.mean()).backward()
        return []

    return Timed(step)


def head_step(channels: int, backend: str, merge: str) -> Timed:
    """The head of the network alone, with its convolution and norm, on a feature map like the backbone's."""
    torch.manual_seed(0)
    head = make_attention(channels, REGIONS, NetworkConfig(backend=backend, merge=merge))
    values = torch.randn(BATCH, channels, 7, 7, requires_grad=True)

    def step(_) -> list:
        head.zero_grad()
        output = head(values)
        (output.pooled.square().mean() + output.diversity.mean()).backward()
        return []

    return Timed(step)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_step", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="timings per step (default 11)")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu_training_step.json")
    args = parser.parse_args()
    disable_malloc_trim()
    rows = []
    for (backbone, channels), merge in track([*product(BACKBONES.items(), MERGES)], "Measuring"):
        runs = {}
        for backend in (*available_backends(CPU), "reference"):
            runs[f"step {backend}"] = network_step(backbone, backend, merge)
            runs[f"head {backend}"] = head_step(channels, backend, merge)
        times = {name: round(1e3 * median, 3) for name, median in medians(interleaved(runs, args.rounds, CPU)).items()}
        rows.append({"backbone": backbone, "merge": merge, "milliseconds": times})
    results = {"environment": environment(CPU), "batch": BATCH, "side": SIDE, "rounds": args.rounds, "rows": rows}
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    cells = []
    for row in rows:
        for backend in (*available_backends(CPU), "reference"):
            step, head = (row["milliseconds"][f"{what} {backend}"] for what in ("step", "head"))
            cells.append((row["backbone"], row["merge"], backend, f"{step:.0f}", f"{head:.1f}", f"{head / step:.1%}"))
    print("\n".join(table_lines(("backbone", "merge", "backend", "step, ms", "head, ms", "share of the head"), cells)))


if __name__ == "__main__":
    main()
