"""`sma-net align`: aligned crops of a folder or a video."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import track

from sma_models.cli.old_names import current_arguments
from sma_models.data.alignment import TEMPLATES
from sma_models.faces.align import Aligner
from sma_models.faces.detect import Points
from sma_models.faces.parallel import SharedDetector
from sma_models.utils.cpu import available_cpus


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net align`."""
    parser = ArgumentParser(
        prog="sma-net align",
        description="Detect faces, align them, and store crops of 256 pixels as JPEG. An interrupted run is resumed. The "
        "cascade detects upright frontal faces only.",
    )
    parser.add_argument("source", type=Path, help="folder, image or video")
    parser.add_argument("out", type=Path, help="folder of the crops; the report is its alignment.csv")
    parser.add_argument("--template", choices=list(TEMPLATES), default="eyes")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file; without it, the cascade that ships with OpenCV")
    parser.add_argument("--points", type=Path, help="CSV of images and landmarks, instead of a detector")
    parser.add_argument("--independent-images", action="store_true", help="the images of a folder are not a sequence")
    parser.add_argument("--workers", type=int, default=available_cpus(), help="threads")
    args = parser.parse_args(current_arguments(arguments, "align"))
    if args.yunet and args.points:
        raise ValueError("expected --yunet or --points; got both")
    if args.workers < 1:
        raise ValueError(f"workers must be at least 1; got {args.workers}")
    # Frames already run in parallel; threads inside OpenCV would only compete.
    cv2.setNumThreads(1)
    detector = Points(args.points) if args.points else SharedDetector(args.yunet)
    aligner = Aligner(args.source, args.out, args.template, detector, args.workers, args.independent_images)
    report = aligner.run(_progress)
    console = Console()
    for row in report.problems:
        problem = row["problem"] or "no face detected"
        frame = f" frame {row['frame']}" if row["frame"] not in ("", "-1") else ""
        console.print(f"{row['source']}{frame}: {problem}", highlight=False)
    more = report.counts.total() - report.counts["aligned"] - len(report.problems)
    if more:
        console.print(f"... and {more} more, in {args.out / 'alignment.csv'}")
    console.print(", ".join(f"{count} {outcome}" for outcome, count in sorted(report.counts.items()) if count))
    if not report.counts["aligned"] + report.counts["no face"]:
        raise ValueError(f"nothing could be read from {args.source}")


def _progress(items: Iterable[Any], label: str, total: int | None) -> Iterable[Any]:
    return track(items, label, total=total, transient=True)
