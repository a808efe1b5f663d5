"""`sma-net predict`: action units or expressions of the faces in images, videos and camera streams."""

import csv
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

import cv2
import torch
from jsonargparse import ArgumentParser

from sma_models.cli.old_names import current_arguments
from sma_models.data.alignment import check_enough_points
from sma_models.faces.annotate import Annotator
from sma_models.faces.parallel import SharedDetector
from sma_models.faces.pipeline import PredictionPipeline, Summary
from sma_models.faces.predictor import FacePredictor
from sma_models.faces.sources import files_below
from sma_models.utils.cpu import available_cpus

_CAMERA = re.compile("[0-9]{1,4}")


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net predict`. Raises ValueError, after writing all rows, if a source gave no frame."""
    parser = _parser()
    args = parser.parse_args(current_arguments(arguments, "predict"))
    for name in ("workers", "batch"):
        if args[name] < 1:
            parser.error(f"--{name} must be at least 1; got {args[name]}")
    if args.smoothing is not None and not args.smoothing > 0:
        parser.error(f"--smoothing must be above 0 seconds; got {args.smoothing}")
    sources = [
        int(source) if _CAMERA.fullmatch(source) and not Path(source).exists() else Path(source)
        for source in args.sources
    ]
    for source in sources:
        if isinstance(source, Path) and not source.exists():
            raise FileNotFoundError(f"there is no file or folder {source}")
    predictor = FacePredictor(args.checkpoint, args.device)
    detect = None if args.crops else SharedDetector(args.yunet)
    _check_alignment(predictor, sources, detect)
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        annotate = None
        if args.save_annotated is not None:
            annotate = Annotator(args.save_annotated, predictor)
            stack.callback(annotate.close)
        pipeline = PredictionPipeline(predictor, detect, args.workers, args.batch, args.smoothing, annotate)
        out = sys.stdout if args.out is None else stack.enter_context(_opened(args.out))
        write = (
            _json_writer(out) if args.out is not None and args.out.suffix == ".jsonl" else _csv_writer(out, pipeline)
        )
        start = time.perf_counter()
        try:
            for row in pipeline.rows(sources):
                write(row)
        except KeyboardInterrupt:
            # Ctrl-C is how a camera is stopped.
            print("stopped", file=sys.stderr)
        _report(pipeline.summary, time.perf_counter() - start)
    if pipeline.summary.empty:
        raise ValueError(f"nothing could be read from {', '.join(pipeline.summary.empty)}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="sma-net predict", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="checkpoint of a training run, such as best.ckpt")
    parser.add_argument("sources", type=str, nargs="+", help="images, folders, videos, or the number of a camera")
    parser.add_argument("--out", type=Path, help=".csv or .jsonl; without it, CSV is printed")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file; without it, the cascade that ships with OpenCV")
    parser.add_argument("--crops", action="store_true", help="the images are crops, aligned as in training")
    parser.add_argument("--smoothing", type=float, help="add columns smoothed over this many seconds")
    parser.add_argument(
        "--save-annotated", type=Path, help="folder for images and videos with boxes, labels and attention"
    )
    parser.add_argument("--batch", type=int, default=32, help="faces per step of the network")
    parser.add_argument("--workers", type=int, default=available_cpus(), help="threads that detect faces")
    parser.add_argument("--device", type=str, default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def _check_alignment(predictor: FacePredictor, sources: list[Any], detect: SharedDetector | None) -> None:
    if detect is not None:
        if predictor.alignment is None:
            raise ValueError(
                "the checkpoint was trained on images that were not aligned by `sma-net align`: pass crops made in the "
                "same way, with --crops"
            )
        check_enough_points(predictor.alignment["template"], detect)
        return
    for source in sources:
        if isinstance(source, Path):
            predictor.check_same_alignment(files_below(source).images)


def _opened(path: Path) -> TextIO:
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(f"out must end in .csv or .jsonl; got {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", newline="", encoding="utf-8")


def _csv_writer(out: TextIO, pipeline: PredictionPipeline) -> Callable[[dict[str, Any]], None]:
    writer = csv.DictWriter(out, pipeline.columns)
    writer.writeheader()

    def write(row: dict[str, Any]) -> None:
        writer.writerow(row)
        out.flush()

    return write


def _json_writer(out: TextIO) -> Callable[[dict[str, Any]], None]:
    def write(row: dict[str, Any]) -> None:
        out.write(json.dumps(row) + "\n")
        out.flush()

    return write


def _report(summary: Summary, seconds: float) -> None:
    for problem in summary.problems:
        print(f"not read, or incomplete: {problem}", file=sys.stderr)
    print(
        f"{summary.frames} frames, {summary.faces} faces, {summary.n_undetected} frames without a detected face, "
        f"{len(summary.problems)} files not read, {summary.n_other_files} other files skipped; "
        f"{summary.frames / seconds:.1f} frames/s, {summary.faces / seconds:.1f} faces/s",
        file=sys.stderr,
    )
