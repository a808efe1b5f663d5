"""`sma-net report`: writes a run as one self-contained page."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from sma_models.figures.network_figures import DEFAULT_COUNT
from sma_models.report.page import write_page
from sma_models.report.run_results import read_run


def main(arguments: Sequence[str]) -> None:
    """Run `sma-net report`."""
    parser = ArgumentParser(
        prog="sma-net report",
        description="Write scores, curves, attention, settings and provenance of a run of `sma-net demo`, `fit` or "
        "`crossval` as one HTML file with everything inside.",
    )
    parser.add_argument("run", type=Path, help="folder of the run, such as runs/demo or runs/sma_net/version_0")
    parser.add_argument(
        "images", type=Path, nargs="*", help="aligned crops, or folders of them; default: synthetic faces"
    )
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT, help="number of images to show, evenly spaced")
    parser.add_argument("--out", type=Path, help="output file; default: report.html in the folder of the run")
    args = parser.parse_args(list(arguments))
    out = args.out or args["run"] / "report.html"
    write_page(read_run(args["run"]), args.images, out, args["count"])
    print(out)
