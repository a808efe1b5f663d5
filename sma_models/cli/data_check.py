"""`sma-net data check`: compares a local copy of a database with its protocol, and writes its manifest."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sma_models.cli.old_names import current_arguments, parser_mode
from sma_models.data.alignment import TEMPLATES, similarity, warp
from sma_models.data.databases.bp4d import index_bp4d
from sma_models.data.databases.bp4dplus import index_bp4dplus
from sma_models.data.databases.bu3dfe import index_bu3dfe
from sma_models.data.databases.ckplus import index_ckplus
from sma_models.data.databases.disfa import index_disfa
from sma_models.data.databases.mmi import index_mmi
from sma_models.data.images import read_image
from sma_models.data.manifest import DatabaseIndex, Sample, write_manifest
from sma_models.faces.detect import Cascade, largest
from sma_models.faces.overlay import draw_box, draw_caption, draw_points, side_by_side
from sma_models.faces.sources import write_image
from sma_models.utils.cpu import available_cpus

INDEXERS: dict[str, Callable[..., DatabaseIndex]] = {
    "bp4d": index_bp4d,
    "disfa": index_disfa,
    "ckplus": index_ckplus,
    "mmi": index_mmi,
    "bu3dfe": index_bu3dfe,
    "bp4dplus": index_bp4dplus,
}


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net data check`. The further settings depend on `--dataset`."""
    dataset = _dataset(arguments)
    parser = ArgumentParser(prog=f"sma-net data check --dataset {dataset}", parser_mode=parser_mode("data check"))
    parser.add_argument("--config", action="config", help="YAML file with these settings")
    parser.add_argument("--dataset", choices=list(INDEXERS), required=True)
    parser.add_function_arguments(INDEXERS[dataset], fail_untyped=False)
    parser.add_argument("--manifest", type=Path, help="CSV file to write; the default is <dataset>.csv")
    parser.add_argument("--preview", type=Path, help="image to write: one sample with its landmarks and labels")
    parser.add_argument("--read", type=bool, default=True, help="read every image to detect broken ones")
    args = vars(parser.parse_args(current_arguments(arguments, "data check")).clone())
    manifest = args.pop("manifest") or Path(f"{dataset}.csv")
    preview, read = args.pop("preview"), args.pop("read")
    settings = {name: value for name, value in args.items() if name not in ("dataset", "config")}
    index = INDEXERS[dataset](**settings)
    if read:
        drop_unreadable(index)
    write_manifest(index, manifest)
    report(index, manifest)
    if preview is not None:
        draw_preview(index, preview)


def _dataset(arguments: Sequence[str]) -> str:
    chooser = ArgumentParser(prog="sma-net data check", usage="sma-net data check --dataset NAME --root FOLDER ...")
    chooser.add_argument("--dataset", choices=list(INDEXERS), required=True)
    words = [word for index, word in enumerate(arguments) if _names_dataset(arguments, index)]
    # With a dataset, help lists its settings; without one, the datasets.
    words = words or [word for word in arguments if word in ("-h", "--help")]
    return chooser.parse_args(words).dataset


def _names_dataset(arguments: Sequence[str], index: int) -> bool:
    word = arguments[index]
    return word.startswith("--dataset") or (index > 0 and arguments[index - 1] == "--dataset")


def drop_unreadable(index: DatabaseIndex) -> None:
    """Moves the samples whose images cannot be decoded from `samples` to `unreadable`."""
    with ThreadPoolExecutor(available_cpus()) as pool:
        readable = list(
            track(
                pool.map(_readable, [sample.image for sample in index.samples]),
                "reading images",
                total=len(index.samples),
                transient=True,
            )
        )
    pairs = list(zip(index.samples, readable, strict=True))
    index.unreadable += [str(sample.image) for sample, is_readable in pairs if not is_readable]
    index.samples = [sample for sample, is_readable in pairs if is_readable]


def _readable(path: Path) -> bool:
    try:
        read_image(path, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except ValueError:
        return False
    return True


def report(index: DatabaseIndex, manifest: Path) -> None:
    """Prints counts next to the expected ones, then the differences."""
    console = Console()
    table = Table("", "found", "expected", title=f"{index.dataset}: {index.settings}")
    counts = index.counts()
    for name in counts | index.expected:
        table.add_row(name, str(counts.get(name, 0)), str(index.expected.get(name, "")))
    console.print(table)
    for warning in index.warnings():
        console.print(f"[yellow]warning:[/] {warning}", highlight=False)
    console.print(f"wrote {manifest}")


def draw_preview(index: DatabaseIndex, path: Path) -> None:
    """Writes the first image with a positive label, with box, landmarks and crop of its face, and its labels."""
    sample = next((s for s in index.samples if isinstance(s.labels, str) or 1 in s.labels), index.samples[0])
    image = read_image(sample.image)
    crop = index.crops.of(sample.image)
    if crop is not None:
        alignment = crop.alignment
        how = f"aligned by {alignment.template}, landmarks from {alignment.detector}"
        how += "" if crop.detected else ", no face detected"
        preview = draw_points(image, np.array(TEMPLATES[alignment.template]))
        # The center crop of 224 that evaluation uses.
        preview = draw_box(preview, (16, 16, 224, 224))
    elif (face := largest(Cascade()(image))) is not None:
        how = "not aligned; on the right the crop that `sma-net align` makes"
        preview = draw_box(draw_points(image, face.points), face.box)
        preview = side_by_side(preview, warp(image, similarity(face.points, "eyes")))
    else:
        how, preview = "not aligned, and the cascade detects no face", image
    lines = [f"{sample.subject} {sample.sequence} frame {sample.frame}", how, _label_text(index, sample)]
    write_image(path, draw_caption(preview, lines))
    Console().print(f"wrote {path}")


def _label_text(index: DatabaseIndex, sample: Sample) -> str:
    if isinstance(sample.labels, str):
        return sample.labels
    pairs = zip(index.units, sample.labels, strict=True)
    return " ".join(f"AU{unit}:{'?' if cell == 9 else cell}" for unit, cell in pairs if cell)
