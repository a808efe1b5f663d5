"""`python -m benchmarks.data_loading`: images per second of loading, of training, and of both together.

Crops of 256 pixels as stored by `sma-net align` (JPEG 95, synthetic faces with the grain of photographs) are read from disk
and augmented as in the shipped configurations; the network trains on images in memory, and then on these. The rate of both
together, divided by the rate of the network alone, is the utilization of the network. On a CPU both share the cores, and
spinning threads would take them from the loader: hence `OMP_WAIT_POLICY=PASSIVE`, as `sma-net` sets it. Prints a Markdown
table and writes JSON with the environment, the load of the last 15 minutes, and the command.
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
from benchmarks.environment import environment
from sma_models.data import CSVFaces
from sma_models.models.sma_net import NetworkConfig, SMANet
from sma_models.synthetic import SyntheticFaces
from sma_models.utils.markdown_table import table_lines

CLASSES = 7
BATCH = 32


class Setting(NamedTuple):
    """A shipped configuration: its network and its augmentation."""

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
    for index in range(count):
        image = faces[index].image + grain.normal(0, 6, (256, 256, 3))
        cv2.imwrite(
            str(folder / f"{index}.jpg"), np.clip(image, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95]
        )
        lines.append(f"{index}.jpg,class {index % CLASSES},train")
    (folder / "faces.csv").write_text("\n".join(lines) + "\n")
    return folder / "faces.csv"


def data_module(table: Path, setting: Setting, workers: int) -> CSVFaces:
    data = CSVFaces(table, augment=setting.augment, image_size=setting.network.image_size, batch_size=BATCH,
                    num_workers=workers, selection="last")  # fmt: skip
    data.setup("fit")
    return data


def images_per_second(batches: Callable[[], Iterable[dict]], use: Callable[[dict], object], rounds: int) -> float:
    """Median images per second over epochs, after a warm-up epoch that also starts the workers."""
    rates = []
    for number in range(rounds + 1):
        start, images = time.perf_counter(), 0
        for batch in batches():
            use(batch)
            images += len(batch["image"])
        if number:
            rates.append(images / (time.perf_counter() - start))
    return statistics.median(rates)


def training_step(setting: Setting) -> Callable[[dict], None]:
    """A function that trains on one batch."""
    network = SMANet([f"class {index}" for index in range(CLASSES)], **vars(setting.network))
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
    step = training_step(setting)
    batches = list(islice(data_module(table, setting, 0).train_dataloader(), 2))
    row: dict = {"setting": setting.name, "augment": setting.augment, "loading": {}, "together": {}}
    row["training"] = images_per_second(lambda: (batches[n % 2] for n in range(steps)), step, rounds)
    for count in workers:
        loader = data_module(table, setting, count).train_dataloader()
        row["loading"][str(count)] = images_per_second(lambda loader=loader: loader, lambda batch: None, rounds)  # type: ignore[misc]
        row["together"][str(count)] = images_per_second(lambda loader=loader: islice(loader, steps), step, rounds)  # type: ignore[misc]
    return row


def markdown(rows: list[dict]) -> str:
    header = ("setting", "workers", "loading, images/s", "training alone", "both together", "of training alone")
    cells = []
    for row in rows:
        alone = row["training"]
        for count, loading in row["loading"].items():
            both = row["together"][count]
            cells.append(
                (row["setting"], count, f"{loading:.0f}", f"{alone:.1f}", f"{both:.1f}", f"{100 * both / alone:.0f} %")
            )
    return "\n".join(table_lines(header, cells))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_loading", description=__doc__)
    parser.add_argument("--images", type=int, default=640, help="crops on disk (default 640)")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="loader processes (default 0 1 2)")
    parser.add_argument("--steps", type=int, default=10, help="training steps of 32 images per round (default 10)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median is reported (default 5)")
    parser.add_argument("--out", type=Path, default=RESULTS / "data_loading.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = write_faces(Path(folder), args.images)
        size = statistics.mean(path.stat().st_size for path in Path(folder).glob("*.jpg"))
        rows = [
            measure(table, setting, args.workers, args.steps, args.rounds) for setting in track(SETTINGS, "Measuring")
        ]
    results = {
        "command": f"OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', '')} python -m benchmarks.data_loading "
        f"--images {args.images} --workers {' '.join(map(str, args.workers))} --steps {args.steps} "
        f"--rounds {args.rounds}",
        "environment": {**environment(CPU), "opencv": cv2.__version__, "load": f"{os.getloadavg()[2]:.1f}"},
        "images": args.images,
        "bytes_per_image": round(size),
        "batch": BATCH,
        "steps": args.steps,
        "rounds": args.rounds,
        "rows": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(markdown(rows) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
