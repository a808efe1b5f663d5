"""`sma-net visualize`: figures of the attention of a trained network."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from sma_models.faces.predictor import FacePredictor
from sma_models.figures.network_figures import DEFAULT_COUNT, image_paths, network_figures
from sma_models.figures.style import save
from sma_models.figures.training_curves import draw_curves, find_log


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net visualize`."""
    parser = ArgumentParser(
        prog="sma-net visualize",
        description="Draw the attention of a network: the channels of each region before and after refinement "
        "(attention.png, or one file per image), their correlation (correlation.png), and the training curves if there "
        "is a metrics.csv next to the checkpoint (curves.png).",
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint of a training run, such as best.ckpt")
    parser.add_argument(
        "images", type=Path, nargs="*", help="aligned crops, or folders of them; default: synthetic faces"
    )
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT, help="number of images to draw, evenly spaced")
    parser.add_argument("--out", type=Path, required=True, help="folder for the figures")
    args = parser.parse_args(list(arguments))
    for path in visualize(args.checkpoint, args.images, args.out, args["count"]):
        print(path)


def visualize(checkpoint: Path, sources: Sequence[Path], out: Path, count: int = DEFAULT_COUNT) -> Iterator[Path]:
    """Draw the figures of a checkpoint as PNG files into a folder, attention on `count` of the images in `sources`; yields
    the path of each file once it is written.

    Raises as `load_checkpoint` and `image_paths`.
    """
    predictor = FacePredictor(checkpoint, "cpu")
    for named in network_figures(predictor, image_paths(predictor, sources), count):
        path = out / f"{named.name}.png"
        save(named.figure, path)
        yield path
    log_path = find_log(checkpoint)
    if log_path is not None:
        save(draw_curves([log_path]), out / "curves.png")
        yield out / "curves.png"
