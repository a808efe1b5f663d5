"""`python -m benchmarks.data_loading`: images a second of loading, of training, and of both together.

Crops of 256 pixels as `sma-net align` stores them (JPEG 95, drawn faces with the grain of photographs) are read from disk
and augmented as the shipped configurations do it; the network trains on pictures in memory, and then on these. What both
reach together, divided by what the network reaches alone, is how busy the data keep it. On a CPU both share the cores, and
threads that spin while they wait take them from the loader: `OMP_WAIT_POLICY=PASSIVE`, as `sma-net` sets it. Prints a
Markdown table and writes JSON with the machine, its load in the last 15 minutes, the versions and the command.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from rich.progress import track
from torch.nn.functional import cross_entropy

from benchmarks.compare import CPU, RESULTS
from benchmarks.environment import machine
from sma_models.data import CSVFaces
from sma_models.models.sma_net import NetworkConfig, SMANet
from sma_models.synthetic import SyntheticFaces

CLASSES = 7
BATCH = 32


class Setting(NamedTuple):
    """A shipped configuration: its network and how its pictures are augmented."""

    name: str
    network: NetworkConfig
    augment: str


SETTINGS = (
    Setting(
        "csv_fer.yaml: resnet10t, 96 px", NetworkConfig("resnet10t", stage=3, image_size=96, embed_dim=64), "strong"
    ),
    Setting("bp4d_p1.yaml: resnet34, 224 px", NetworkConfig("resnet34", image_size=224, embed_dim=64), "mild"),
)


def write_faces(folder: Path, count: int) -> Path:
    """A CSV file of `count` crops with one of seven labels."""
    faces, grain = SyntheticFaces(count, size=256, subjects=count), np.random.default_rng(0)
    lines = ["image,expression,split"]
    for place in range(count):
        picture = faces[place].image + grain.normal(0, 6, (256, 256, 3))
        cv2.imwrite(
            str(folder / f"{place}.jpg"), np.clip(picture, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95]
        )
        lines.append(f"{place}.jpg,class {place % CLASSES},train")
    (folder / "faces.csv").write_text("\n".join(lines) + "\n")
    return folder / "faces.csv"


def data_of(table: Path, setting: Setting, workers: int) -> CSVFaces:
    data = CSVFaces(table, augment=setting.augment, image_size=setting.network.image_size, batch_size=BATCH,
                    num_workers=workers, selection="last")  # fmt: skip
    data.setup("fit")
    return data


def rate(batches: Callable[[], Iterable[dict]], use: Callable[[dict], object], rounds: int) -> float:
    """Median images a second over passes, after one that starts the workers and warms everything up."""
    rates = []
    for number in range(rounds + 1):
        start, images = time.perf_counter(), 0
        for batch in batches():
            use(batch)
            images += len(batch["image"])
        if number:
            rates.append(images / (time.perf_counter() - start))
    return statistics.median(rates)


def trainer_of(setting: Setting) -> Callable[[dict], None]:
    """One step of training on a batch."""
    network = SMANet([f"class {place}" for place in range(CLASSES)], **vars(setting.network))
    network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)

    def step(batch: dict) -> None:
        output = network(batch["image"])
        loss = cross_entropy(output.logits, batch["label"]) + 0.1 * output.attention.diversity.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure(table: Path, setting: Setting, workers: list[int], steps: int, rounds: int) -> dict:
    step = trainer_of(setting)
    held = list(islice(data_of(table, setting, 0).train_dataloader(), 2))
    row: dict = {"setting": setting.name, "augment": setting.augment, "loading": {}, "together": {}}
    row["training"] = rate(lambda: (held[n % 2] for n in range(steps)), step, rounds)
    for count in workers:
        loader = data_of(table, setting, count).train_dataloader()
        row["loading"][str(count)] = rate(lambda loader=loader: loader, lambda batch: None, rounds)  # type: ignore[misc]
        row["together"][str(count)] = rate(lambda loader=loader: islice(loader, steps), step, rounds)  # type: ignore[misc]
    return row


def table_of(rows: list[dict]) -> str:
    lines = [
        "| setting | workers | loading, images/s | training alone | both together | of training alone |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        for count, loading in row["loading"].items():
            both = row["together"][count]
            lines.append(
                f"| {row['setting']} | {count} | {loading:.0f} | {row['training']:.1f} | {both:.1f} | "
                f"{100 * both / row['training']:.0f} % |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_loading", description=__doc__)
    parser.add_argument("--images", type=int, default=640, help="crops on disk (default 640)")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="processes that load (default 0 1 2)")
    parser.add_argument("--steps", type=int, default=10, help="batches of 32 that are trained on (default 10)")
    parser.add_argument("--rounds", type=int, default=5, help="passes of which the median counts (default 5)")
    parser.add_argument("--out", type=Path, default=RESULTS / "data_loading.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = write_faces(Path(folder), chosen.images)
        size = statistics.mean(path.stat().st_size for path in Path(folder).glob("*.jpg"))
        rows = [
            measure(table, setting, chosen.workers, chosen.steps, chosen.rounds)
            for setting in track(SETTINGS, "Measuring")
        ]
    found = {
        "command": f"OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', '')} python -m benchmarks.data_loading "
        f"--images {chosen.images} --workers {' '.join(map(str, chosen.workers))} --steps {chosen.steps} "
        f"--rounds {chosen.rounds}",
        "machine": {**machine(CPU), "opencv": cv2.__version__, "load": f"{os.getloadavg()[2]:.1f}"},
        "images": chosen.images,
        "bytes_an_image": round(size),
        "batch": BATCH,
        "steps": chosen.steps,
        "rounds": chosen.rounds,
        "rows": rows,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    chosen.out.with_suffix(".md").write_text(table_of(rows) + "\n")
    print(table_of(rows))


if __name__ == "__main__":
    main()
