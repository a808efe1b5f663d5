"""The report of a run as one self-contained HTML page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from sma_models.faces.predictor import FacePredictor
from sma_models.figures.network_figures import DEFAULT_COUNT, image_paths, network_figures
from sma_models.figures.style import DPI
from sma_models.figures.training_curves import draw_curves
from sma_models.report.run_results import RunResults
from sma_models.utils.provenance import provenance

TEMPLATE = "page.html.j2"


@dataclass
class EmbeddedFigure:
    """alt: text alternative; data: a WebP file as base64."""

    alt: str
    data: str


@dataclass
class NetworkSection:
    """The metadata of the checkpoint, and the figures of its attention."""

    facts: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)
    figures: list[EmbeddedFigure] = field(default_factory=list)


def write_page(run: RunResults, sources: Sequence[Path], path: Path, count: int = DEFAULT_COUNT) -> None:
    """Write the report of a run; attention is shown on `count` aligned images, or on synthetic faces without `sources`.

    Raises as `load_checkpoint` and `image_paths`.
    """
    network = _network(run.checkpoint, sources, count) if run.checkpoint is not None else NetworkSection()
    environment = Environment(
        loader=PackageLoader("sma_models", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(TEMPLATE).render(
        run=run,
        scores=_embed(run.figure, "scores") if run.figure is not None else None,
        curves=_embed(draw_curves(run.logs), "curves of loss, score and attention") if run.logs else None,
        network=network,
        foreign_faces=not sources and not run.on_synthetic_faces,
        written=provenance() | {"time": datetime.now().astimezone().isoformat(" ", "seconds")},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def _network(checkpoint: Path, sources: Sequence[Path], count: int) -> NetworkSection:
    predictor = FacePredictor(checkpoint, "cpu")
    named_figures = network_figures(predictor, image_paths(predictor, sources), count)
    figures = [_embed(named.figure, named.about) for named in named_figures]
    return NetworkSection(asdict(predictor.info.network), predictor.info.made_by, figures)


def _embed(figure: Figure, alt: str) -> EmbeddedFigure:
    data = io.BytesIO()
    # PNG files of faces are five times as large.
    figure.savefig(data, format="webp", dpi=DPI, pil_kwargs={"quality": 90})
    return EmbeddedFigure(alt, base64.b64encode(data.getvalue()).decode("ascii"))
