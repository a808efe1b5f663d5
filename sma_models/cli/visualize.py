"""`sma-net visualize`: where a trained network looks, as pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from sma_models.faces.predictor import FacePredictor
from sma_models.figures.network_figures import SHOWN, network_figures, pictures_of
from sma_models.figures.style import save
from sma_models.figures.training_curves import draw_curves, log_of


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net visualize`."""
    parser = ArgumentParser(
        prog="sma-net visualize",
        description="Write pictures of what a network attends to: each region's channels before and after refinement "
        "(attention.png, or one for each picture), their correlation (correlation.png), and the curves of the training "
        "whose metrics.csv lies beside the checkpoint (curves.png).",
    )
    parser.add_argument("checkpoint", type=Path, help="of a training run, best.ckpt")
    parser.add_argument(
        "pictures", type=Path, nargs="*", help="aligned crops, or folders of them; without any, faces are drawn"
    )
    parser.add_argument("--count", type=int, default=SHOWN, help="how many of the pictures to draw, evenly spread")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    given = parser.parse_args(list(arguments))
    for path in visualize(given.checkpoint, given.pictures, given.out, given["count"]):
        print(path)


def visualize(checkpoint: Path, sources: Sequence[Path], out: Path, count: int = SHOWN) -> Iterator[Path]:
    """Draw a checkpoint's figures as PNG files into a folder, attention on `count` of the pictures in `sources`; gives the
    path of each file once it is written.

    Raises as `load_checkpoint` and `pictures_of`.
    """
    reader = FacePredictor(checkpoint, "cpu")
    for named in network_figures(reader, pictures_of(reader, sources), count):
        path = out / f"{named.name}.png"
        save(named.figure, path)
        yield path
    log = log_of(checkpoint)
    if log is not None:
        save(draw_curves([log]), out / "curves.png")
        yield out / "curves.png"
