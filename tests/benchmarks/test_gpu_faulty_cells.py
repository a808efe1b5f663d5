"""Implementations that fail, hang or crash cost only their own cell of the GPU report."""

import json

import pytest

from benchmarks.gpu_report import steps
from benchmarks.gpu_report.commands import Command
from benchmarks.gpu_report.report_file import Report
from benchmarks.gpu_report.steps import Cell, Plan, cells
from tests.benchmarks.processes import ends

HEALTHY = ("cpu", "eager")
FAULTY = {
    "hangs": "stopped",
    "prints_and_hangs": "stopped",
    "dies": "killed by SIGSEGV",
    "raises": "exit status 1",
    "computes_something_else": "ok",
    "has_a_wrong_gradient": "ok",
    "fails_in_a_later_backward": "ok",
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A report whose cells fail in every way, with healthy ones before, between and after them."""
    names = [f"tests.benchmarks.faulty:{name}" for name in FAULTY]
    order = [HEALTHY[0], *names[:3], HEALTHY[1], *names[3:], "sdpa pooling"]
    plan = Plan(backends=("cpu",), cells=tuple(cells(("S1",), order, dtype="float32")), cpu=True)
    report = Report(tmp_path_factory.mktemp("report"), 3600)
    measurement = steps.measurement

    def hurried(plan: Plan, cell: Cell, limit: float, *options: str) -> Command:
        return measurement(plan, cell, 12 if "hangs" in cell.implementation else limit, *options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "measurement", hurried)
        steps.times(report, plan)
    report.draw()
    report.write()
    return report


def rows_of(report: Report, name: str) -> list[dict]:
    return [row for row in report.results["rows"] if row["implementation"].endswith(name)]


def test_healthy_cells_are_filled(faulty):
    for name in (*HEALTHY, "sdpa pooling"):
        forward, both = rows_of(faulty, name)
        for row in (forward, both):
            assert row["called_us"] > 0 and row["peak_bytes"] >= 0 and "errors" not in row, name


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_cell_says_what_happened(faulty, name):
    status = faulty.results["steps"]["times"]["commands"][f"S1 float32 nchw max tests.benchmarks.faulty:{name}"]
    assert status["status"].startswith(FAULTY[name])
    rows = rows_of(faulty, f":{name}")
    assert [row["pass"] for row in rows] == ["forward", "forward+backward"]
    log = (faulty.folder / "times.txt").read_text().split(f"tests.benchmarks.faulty:{name} ")[1].split("\n$ ")[0]
    text = json.dumps([row.get("errors") for row in rows]) + log
    expected = {
        "prints_and_hangs": "the last words of this implementation",
        "raises": "this implementation is out of order",
        "computes_something_else": "output 0 differs by 0.1 of its norm",
        "has_a_wrong_gradient": "gradient of values differs by 0.1 of its norm",
        "fails_in_a_later_backward": "RuntimeError: no gradient today",
    }
    assert expected.get(name, FAULTY[name]) in text
    assert f"faulty:{name}" in (faulty.folder / "report.md").read_text().split("## Failures")[1]


@pytest.mark.parametrize("name", ("computes_something_else", "has_a_wrong_gradient"))
def test_wrong_results_are_timed_and_marked(faulty, name):
    for row in rows_of(faulty, f":{name}"):
        assert row["called_us"] > 0 and list(row["errors"]) == ["agreement"]
    table = (faulty.folder / "report.md").read_text().split("## Called eagerly")[1].split("##")[0]
    assert table.count(" (wrong results) |") == 4  # two implementations in two passes


def test_a_failing_backward_costs_the_backward_alone(faulty):
    forward, both = rows_of(faulty, "fails_in_a_later_backward")
    assert forward["called_us"] > 0 and "errors" not in forward
    assert "called_us" not in both and both["errors"]["called_us"] == "RuntimeError: no gradient today"


def test_nothing_that_a_faulty_cell_started_is_left(faulty):
    (line,) = (line for line in (faulty.folder / "times.txt").read_text().splitlines() if line.startswith("started "))
    assert ends(int(line.removeprefix("started ")))


def test_the_figure_survives_gaps(faulty):
    assert (faulty.folder / "speed.png").stat().st_size > 5000
