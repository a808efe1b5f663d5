"""`sma-net predict`: action units or expressions of the faces in pictures, videos and a camera."""

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

from sma_models.data.alignment import enough_points
from sma_models.faces.annotate import Annotator
from sma_models.faces.parallel import SharedDetector
from sma_models.faces.pipeline import PredictionPipeline, Totals
from sma_models.faces.predictor import FacePredictor
from sma_models.faces.sources import files_below
from sma_models.utils.cpu import available_cpus

_CAMERA = re.compile("[0-9]{1,4}")


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net predict`. ValueError, once all rows are written, if one of its sources gave no frame."""
    parser = _parser()
    given = parser.parse_args(list(arguments))
    for name in ("workers", "batch"):
        if given[name] < 1:
            parser.error(f"--{name} must be at least 1; got {given[name]}")
    if given.smooth is not None and not given.smooth > 0:
        parser.error(f"--smooth must be above 0 seconds; got {given.smooth}")
    sources = [
        int(source) if _CAMERA.fullmatch(source) and not Path(source).exists() else Path(source)
        for source in given.sources
    ]
    for source in sources:
        if isinstance(source, Path) and not source.exists():
            raise FileNotFoundError(f"there is no file or folder {source}")
    reader = FacePredictor(given.checkpoint, given.device)
    detect = None if given.aligned else SharedDetector(given.yunet)
    _fits(reader, sources, detect)
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        draw = None
        if given.annotated is not None:
            draw = Annotator(given.annotated, reader)
            stack.callback(draw.close)
        predictor = PredictionPipeline(reader, detect, given.workers, given.batch, given.smooth, draw)
        out = sys.stdout if given.out is None else stack.enter_context(_opened(given.out))
        write = (
            _json_writer(out) if given.out is not None and given.out.suffix == ".jsonl" else _csv_writer(out, predictor)
        )
        start = time.perf_counter()
        try:
            for row in predictor.rows(sources):
                write(row)
        except KeyboardInterrupt:
            # The way to end a camera.
            print("stopped", file=sys.stderr)
        _report(predictor.totals, time.perf_counter() - start)
    if predictor.totals.empty:
        raise ValueError(f"nothing could be read from {', '.join(predictor.totals.empty)}")


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="sma-net predict", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="of a training run, best.ckpt")
    parser.add_argument("sources", type=str, nargs="+", help="pictures, folders, videos, or the number of a camera")
    parser.add_argument("--out", type=Path, help=".csv or .jsonl; without it, CSV is printed")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file; without it, the cascade that ships with OpenCV")
    parser.add_argument("--aligned", action="store_true", help="the pictures are crops, aligned as in training")
    parser.add_argument("--smooth", type=float, help="adds columns smoothed over this many seconds")
    parser.add_argument(
        "--annotated", type=Path, help="folder for pictures and videos with boxes, labels and attention"
    )
    parser.add_argument("--batch", type=int, default=32, help="faces a step of the network")
    parser.add_argument("--workers", type=int, default=available_cpus(), help="threads that find faces")
    parser.add_argument("--device", type=str, default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def _fits(reader: FacePredictor, sources: list[Any], detect: SharedDetector | None) -> None:
    if detect is not None:
        if reader.alignment is None:
            raise ValueError(
                "the checkpoint was trained on pictures that were not aligned by `sma-net align`: give crops made as "
                "these were, with --aligned"
            )
        enough_points(reader.alignment["template"], detect)
        return
    for source in sources:
        if isinstance(source, Path):
            reader.check_same_alignment(files_below(source).pictures)


def _opened(path: Path) -> TextIO:
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(f"out must end in .csv or .jsonl; got {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", newline="", encoding="utf-8")


def _csv_writer(out: TextIO, predictor: PredictionPipeline) -> Callable[[dict[str, Any]], None]:
    writer = csv.DictWriter(out, predictor.columns)
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


def _report(totals: Totals, seconds: float) -> None:
    for problem in totals.problems:
        print(f"not read, or not whole: {problem}", file=sys.stderr)
    print(
        f"{totals.frames} frames, {totals.faces} faces, {totals.without} frames without a face, "
        f"{len(totals.problems)} files not read, {totals.others} others passed over; "
        f"{totals.frames / seconds:.1f} frames/s, {totals.faces / seconds:.1f} faces/s",
        file=sys.stderr,
    )
