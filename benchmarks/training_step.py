"""`python -m benchmarks.training_step`: a whole training step of SMA-Net, and what share of it the head takes."""

import argparse
import json
from pathlib import Path

import torch
from rich.progress import track

from benchmarks.baselines import fused
from benchmarks.compare import CPU, RESULTS
from benchmarks.environment import keep_heap, machine
from benchmarks.passes import Timed
from benchmarks.timing import interleaved, medians
from sma_models.models.sma_net import NetworkConfig, SMANet, make_attention

BATCH, SIDE, REGIONS = 8, 224, 12
BACKBONES = {"resnet18": 512, "resnet50": 2048}  # channels of the last stage, 7x7 at 224 pixels


def network_step(backbone: str, backend: str) -> Timed:
    torch.manual_seed(0)
    network = SMANet([f"AU{number}" for number in range(REGIONS)], backbone=backbone, backend=backend)
    images, labels = torch.rand(BATCH, 3, SIDE, SIDE), torch.randint(0, 2, (BATCH, REGIONS)).float()

    def step(_) -> list:
        network.zero_grad()
        found = network(images)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(found.logits, labels)
        (loss + found.attention.diversity.mean()).backward()
        return []

    return Timed(step)


def head_step(channels: int, backend: str) -> Timed:
    """The network's head alone, with its convolution and norm, on a map like the backbone's."""
    torch.manual_seed(0)
    head = make_attention(channels, REGIONS, NetworkConfig(backend=backend))
    values = torch.randn(BATCH, channels, 7, 7, requires_grad=True)

    def step(_) -> list:
        head.zero_grad()
        found = head(values)
        (found.pooled.square().mean() + found.diversity.mean()).backward()
        return []

    return Timed(step)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_step", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="timings of each step (default 11)")
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu_training_step.json")
    chosen = parser.parse_args()
    keep_heap()
    rows = []
    for backbone, channels in track(BACKBONES.items(), "Measuring"):
        runs = {}
        for backend in (*fused(CPU), "reference"):
            runs[f"step {backend}"] = network_step(backbone, backend)
            runs[f"head {backend}"] = head_step(channels, backend)
        times = {name: round(1e3 * taken, 3) for name, taken in medians(interleaved(runs, chosen.rounds, CPU)).items()}
        rows.append({"backbone": backbone, "milliseconds": times})
    found = {"machine": machine(CPU), "batch": BATCH, "side": SIDE, "rounds": chosen.rounds, "rows": rows}
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    print("| backbone | backend | step, ms | head, ms | share of the head |\n|---|---|---|---|---|")
    for row in rows:
        for backend in (*fused(CPU), "reference"):
            step, head = (row["milliseconds"][f"{what} {backend}"] for what in ("step", "head"))
            print(f"| {row['backbone']} | {backend} | {step:.0f} | {head:.1f} | {head / step:.1%} |")


if __name__ == "__main__":
    main()
