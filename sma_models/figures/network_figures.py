"""The figures of a trained network, as a sequence."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track

from sma_models.data.crops import detected_faces
from sma_models.data.images import RGBImage, read_image
from sma_models.faces.predictor import FacePredictor
from sma_models.faces.sources import UniqueNames, files_below
from sma_models.figures.attention import draw_attention
from sma_models.figures.collect import run_attention, run_on_synthetic
from sma_models.figures.correlation_matrix import draw_correlation

DEFAULT_COUNT = 12  # images drawn by default: each takes up to a second


class NamedFigure(NamedTuple):
    """name: file name without suffix; about: a one-line description."""

    name: str
    about: str
    figure: Figure


def image_paths(predictor: FacePredictor, sources: Sequence[Path]) -> list[Path]:
    """Every image among files and folders of aligned crops.

    FileNotFoundError for a missing source; ValueError without an image, or if aligned differently than in training.
    """
    paths = []
    for source in sources:
        images = files_below(source).images
        if not images:
            raise ValueError(f"expected an image or a folder of images; got {source}")
        predictor.check_same_alignment(images)
        paths += images
    return paths


def evenly_spaced(paths: Sequence[Path], count: int) -> list[Path]:
    """`count` of the paths, evenly spaced from the first to the last; all of them if there are fewer.

    ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1; got {count}")
    indices = np.linspace(0, len(paths) - 1, min(count, len(paths)))
    return [paths[index] for index in indices.round().astype(int)]


def network_figures(
    predictor: FacePredictor, images: Sequence[Path], count: int = DEFAULT_COUNT
) -> Iterator[NamedFigure]:
    """Attention on `count` of these aligned images, evenly spaced, or on synthetic faces if there are none; then the
    correlation."""
    sampled = evenly_spaced(images, count)
    free_name = UniqueNames()
    correlations = []
    if not images:
        views, attended = run_on_synthetic(predictor)
        correlations.append(attended.correlation)
        title = "Attention on synthetic faces"
        if all(view.true_region is not None for view in views):
            title += ", for each action unit on the face where it is strongest"
        yield NamedFigure("attention", title, draw_attention(title, views))
    face_detected = dict(zip(sampled, detected_faces(sampled), strict=True))
    # Standard output may be read by a program.
    progress = Console(stderr=True)
    task = f"drawing attention on {len(sampled)} images"
    for path in track(sampled, task, transient=True, disable=not sampled, console=progress):
        attended = run_attention(predictor, [_read(path)])
        correlations.append(attended.correlation)
        title = f"Attention on {path.name}" + ("" if face_detected[path] else ", without a detected face")
        yield NamedFigure(free_name(f"attention_{path.stem}", ""), title, draw_attention(title, attended.views[0]))
    sample = f"{len(sampled)} of {len(images)}" if len(sampled) < len(images) else str(len(sampled))
    about = f"mean over {sample} images" if images else "mean over synthetic faces"
    title = f"Correlation of the attention maps, {about}; {mixture(predictor)}"
    yield NamedFigure("correlation", title, draw_correlation(title, np.mean(correlations, axis=0), predictor.regions))


@torch.inference_mode()
def mixture(predictor: FacePredictor) -> str:
    """The parameters of the refinement, as text."""
    attention = predictor.network.attention
    return f"temperature {float(attention.temperature):.3f}, gate {float(attention.gate):.2f}"


def _read(path: Path) -> RGBImage:
    try:
        return read_image(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
