"""The figures of a trained network, one after the other."""

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
from sma_models.faces.sources import FreeNames, files_below
from sma_models.figures.attention import draw_attention
from sma_models.figures.collect import attend, attend_drawn
from sma_models.figures.correlation import draw_correlation

SHOWN = 12  # pictures of a folder that are drawn unless more are asked for: each takes up to a second


class Named(NamedTuple):
    """name: of a file, without its ending; about: one line that says what is seen."""

    name: str
    about: str
    figure: Figure


def pictures_of(reader: FacePredictor, sources: Sequence[Path]) -> list[Path]:
    """Every picture among files and folders of aligned crops.

    FileNotFoundError if one is not there; ValueError if one holds no picture, or is aligned otherwise than in training.
    """
    found = []
    for source in sources:
        pictures = files_below(source).pictures
        if not pictures:
            raise ValueError(f"expected a picture or a folder of pictures; got {source}")
        reader.check_same_alignment(pictures)
        found += pictures
    return found


def spread_evenly(pictures: Sequence[Path], count: int) -> list[Path]:
    """`count` of these pictures from the first to the last, evenly spaced; all where there are no more.

    ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1; got {count}")
    places = np.linspace(0, len(pictures) - 1, min(count, len(pictures)))
    return [pictures[place] for place in places.round().astype(int)]


def network_figures(reader: FacePredictor, pictures: Sequence[Path], count: int = SHOWN) -> Iterator[Named]:
    """Attention on `count` of these aligned pictures, evenly spread, or on drawn faces if there are none; then the
    correlation."""
    shown = spread_evenly(pictures, count)
    free = FreeNames()
    correlations = []
    if not pictures:
        views, seen = attend_drawn(reader)
        correlations.append(seen.correlation)
        title = "Attention on drawn faces"
        if all(view.true_region is not None for view in views):
            title += ", for each action unit on the one that shows it most"
        yield Named("attention", title, draw_attention(title, views))
    seen_faces = dict(zip(shown, detected_faces(shown), strict=True))
    # What is printed may be read by a program.
    progress = Console(stderr=True)
    what = f"drawing attention on {len(shown)} pictures"
    for path in track(shown, what, transient=True, disable=not shown, console=progress):
        seen = attend(reader, [_read(path)])
        correlations.append(seen.correlation)
        title = f"Attention on {path.name}" + ("" if seen_faces[path] else ", in which no face was found")
        yield Named(free(f"attention_{path.stem}", ""), title, draw_attention(title, seen.views[0]))
    sample = f"{len(shown)} of {len(pictures)}" if len(shown) < len(pictures) else str(len(shown))
    about = f"mean over {sample} pictures" if pictures else "mean over drawn faces"
    title = f"Correlation of the attention maps, {about}; {mixture(reader)}"
    yield Named("correlation", title, draw_correlation(title, np.mean(correlations, axis=0), reader.regions))


@torch.inference_mode()
def mixture(reader: FacePredictor) -> str:
    """How the network mixes maps."""
    attention = reader.network.attention
    return f"temperature {float(attention.temperature):.3f}, gate {float(attention.gate):.2f}"


def _read(path: Path) -> RGBImage:
    try:
        return read_image(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
