"""A run as one HTML page, with style and pictures inside, so that it opens anywhere without a network."""

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
from sma_models.figures.network_figures import SHOWN, network_figures, pictures_of
from sma_models.figures.style import DPI
from sma_models.figures.training_curves import draw_curves
from sma_models.report.run_results import Run
from sma_models.utils.provenance import provenance

TEMPLATE = "page.html.j2"


@dataclass
class RGBImage:
    """about: what is seen, for those who do not see it; data: of a WebP file, as base64."""

    about: str
    data: str


@dataclass
class Network:
    """What the checkpoint says of itself, and the pictures of its attention."""

    facts: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)
    pictures: list[RGBImage] = field(default_factory=list)


def write_page(run: Run, sources: Sequence[Path], path: Path, count: int = SHOWN) -> None:
    """Write the report of a run; attention is shown on `count` aligned pictures, or on drawn faces if `sources` is empty.

    Raises as `load_checkpoint` and `pictures_of`.
    """
    network = _network(run.checkpoint, sources, count) if run.checkpoint is not None else Network()
    environment = Environment(
        loader=PackageLoader("sma_models", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(TEMPLATE).render(
        run=run,
        scores=_embedded(run.picture, "scores") if run.picture is not None else None,
        curves=_embedded(draw_curves(run.logs), "curves of loss, score and attention") if run.logs else None,
        network=network,
        strangers=not sources and not run.on_drawn_faces,
        written=provenance() | {"time": datetime.now().astimezone().isoformat(" ", "seconds")},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _network(checkpoint: Path, sources: Sequence[Path], count: int) -> Network:
    reader = FacePredictor(checkpoint, "cpu")
    drawn = network_figures(reader, pictures_of(reader, sources), count)
    pictures = [_embedded(each.figure, each.about) for each in drawn]
    return Network(asdict(reader.info.network), reader.info.made_by, pictures)


def _embedded(figure: Figure, about: str) -> RGBImage:
    data = io.BytesIO()
    # As PNG, faces take five times the space.
    figure.savefig(data, format="webp", dpi=DPI, pil_kwargs={"quality": 90})
    return RGBImage(about, base64.b64encode(data.getvalue()).decode("ascii"))
