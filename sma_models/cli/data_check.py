"""`sma-net data check`: is a local copy of a database what the protocols expect, and what is in it?"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sma_models.data.alignment import TEMPLATES, similarity, warp
from sma_models.data.databases.bp4d import list_bp4d
from sma_models.data.databases.bp4dplus import list_bp4dplus
from sma_models.data.databases.bu3dfe import list_bu3dfe
from sma_models.data.databases.ckplus import list_ckplus
from sma_models.data.databases.disfa import list_disfa
from sma_models.data.databases.mmi import list_mmi
from sma_models.data.images import read_image
from sma_models.data.manifest import DatabaseIndex, Sample, write_manifest
from sma_models.faces.detect import Cascade, largest
from sma_models.faces.overlay import beside, draw_box, draw_points, put_lines
from sma_models.faces.sources import write_image
from sma_models.utils.cpu import available_cpus

LISTINGS: dict[str, Callable[..., DatabaseIndex]] = {
    "bp4d": list_bp4d,
    "disfa": list_disfa,
    "ckplus": list_ckplus,
    "mmi": list_mmi,
    "bu3dfe": list_bu3dfe,
    "bp4dplus": list_bp4dplus,
}


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net data check`. `--dataset` decides which further settings there are."""
    dataset = _dataset(arguments)
    parser = ArgumentParser(prog=f"sma-net data check --dataset {dataset}")
    parser.add_argument("--config", action="config", help="YAML file of these settings")
    parser.add_argument("--dataset", choices=list(LISTINGS), required=True)
    parser.add_function_arguments(LISTINGS[dataset], fail_untyped=False)
    parser.add_argument("--manifest", type=Path, help="CSV file to write; the default is <dataset>.csv")
    parser.add_argument("--preview", type=Path, help="picture to write: one sample with its points and labels")
    parser.add_argument("--read", type=bool, default=True, help="read every picture to find broken ones")
    given = vars(parser.parse_args(list(arguments)).clone())
    manifest = given.pop("manifest") or Path(f"{dataset}.csv")
    preview, read = given.pop("preview"), given.pop("read")
    settings = {name: value for name, value in given.items() if name not in ("dataset", "config")}
    listing = LISTINGS[dataset](**settings)
    if read:
        drop_unreadable(listing)
    write_manifest(listing, manifest)
    report(listing, manifest)
    if preview is not None:
        draw_preview(listing, preview)


def _dataset(arguments: Sequence[str]) -> str:
    chooser = ArgumentParser(prog="sma-net data check", usage="sma-net data check --dataset NAME --root FOLDER ...")
    chooser.add_argument("--dataset", choices=list(LISTINGS), required=True)
    wanted = [word for place, word in enumerate(arguments) if _names_dataset(arguments, place)]
    # With a dataset, help tells its settings; without one, which datasets there are.
    wanted = wanted or [word for word in arguments if word in ("-h", "--help")]
    return chooser.parse_args(wanted).dataset


def _names_dataset(arguments: Sequence[str], place: int) -> bool:
    word = arguments[place]
    return word.startswith("--dataset") or (place > 0 and arguments[place - 1] == "--dataset")


def drop_unreadable(listing: DatabaseIndex) -> None:
    """Take the samples whose pictures cannot be decoded out of the listing, and name them in it."""
    with ThreadPoolExecutor(available_cpus()) as pool:
        readable = list(
            track(
                pool.map(_readable, [sample.image for sample in listing.samples]),
                "reading pictures",
                total=len(listing.samples),
                transient=True,
            )
        )
    pairs = list(zip(listing.samples, readable, strict=True))
    listing.unreadable += [str(sample.image) for sample, good in pairs if not good]
    listing.samples = [sample for sample, good in pairs if good]


def _readable(path: Path) -> bool:
    try:
        read_image(path, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except ValueError:
        return False
    return True


def report(listing: DatabaseIndex, manifest: Path) -> None:
    """Print counts beside those expected, then what differs."""
    console = Console()
    table = Table("", "found", "expected", title=f"{listing.dataset}: {listing.settings}")
    counts = listing.counts()
    for name in counts | listing.expected:
        table.add_row(name, str(counts.get(name, 0)), str(listing.expected.get(name, "")))
    console.print(table)
    for warning in listing.warnings():
        console.print(f"[yellow]warning:[/] {warning}", highlight=False)
    console.print(f"wrote {manifest}")


def draw_preview(listing: DatabaseIndex, path: Path) -> None:
    """Write the first picture that shows something, with box, points and crop of its face, and its labels."""
    sample = next((s for s in listing.samples if isinstance(s.labels, str) or 1 in s.labels), listing.samples[0])
    image = read_image(sample.image)
    crop = listing.crops.of(sample.image)
    if crop is not None:
        stored = crop.alignment
        how = f"aligned by {stored.template}, points from {stored.detector}{'' if crop.found else ', no face found'}"
        shown = draw_points(image, np.array(TEMPLATES[stored.template]))
        # What evaluation crops of it: the central 224.
        shown = draw_box(shown, (16, 16, 224, 224))
    elif (face := largest(Cascade()(image))) is not None:
        how = "not aligned; beside it the crop that `sma-net align` makes"
        shown = draw_box(draw_points(image, face.points), face.box)
        shown = beside(shown, warp(image, similarity(face.points, "eyes")))
    else:
        how, shown = "not aligned, and the cascade finds no face", image
    lines = [f"{sample.subject} {sample.sequence} frame {sample.frame}", how, _label_text(listing, sample)]
    write_image(path, put_lines(shown, lines))
    Console().print(f"wrote {path}")


def _label_text(listing: DatabaseIndex, sample: Sample) -> str:
    if isinstance(sample.labels, str):
        return sample.labels
    pairs = zip(listing.units, sample.labels, strict=True)
    return " ".join(f"AU{unit}:{'?' if cell == 9 else cell}" for unit, cell in pairs if cell)
