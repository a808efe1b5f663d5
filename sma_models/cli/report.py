"""`sma-net report`: a run as one page that opens offline."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from sma_models.figures.network_figures import SHOWN
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
        "pictures", type=Path, nargs="*", help="aligned crops, or folders of them; without any, faces are drawn"
    )
    parser.add_argument("--count", type=int, default=SHOWN, help="how many of the pictures to show, evenly spread")
    parser.add_argument("--out", type=Path, help="the file; without it, report.html in the run's folder")
    given = parser.parse_args(list(arguments))
    out = given.out or given["run"] / "report.html"
    write_page(read_run(given["run"]), given.pictures, out, given["count"])
    print(out)
