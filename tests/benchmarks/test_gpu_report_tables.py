"""The tables and the figure of the GPU report."""

import json
from pathlib import Path

import pytest

from benchmarks.gpu_report.figure import draw
from benchmarks.gpu_report.markdown import markdown, preferred_times
from benchmarks.gpu_report.report_file import Report, join


def row(shape: str, implementation: str, **fields) -> dict:
    cell = {"shape": shape, "dtype": "bfloat16", "layout": "nchw", "merge": "max", "pass": "forward+backward"}
    return {**cell, "implementation": implementation, "lower_bound_bytes": 3 * 10**6, **fields}


def test_quantities_of_a_cell_arrive_one_by_one(tmp_path):
    report = Report(tmp_path, 3600)
    report.add_row(row("S1", "cuda", called_us=30.0))
    report.add_row(row("S1", "triton", called_us=40.0))
    report.add_row(row("S1", "cuda", captured_us=20.0))
    report.add_row(row("S1", "cuda", errors={"kernels": "no profiler"}))
    report.add_row(row("S1", "cuda", errors={"process": "killed by SIGKILL"}))
    ours, theirs = report.results["rows"]
    assert (ours["called_us"], ours["captured_us"], theirs["called_us"]) == (30.0, 20.0, 40.0)
    assert ours["errors"] == {"kernels": "no profiler", "process": "killed by SIGKILL"}


def test_the_table_shows_microseconds_and_the_distance_from_the_floor():
    kernels = [{"kernel": "pool_kernel", "us": 7.5, "launches": 2.0}]
    results = {
        "environment": {"copy_bytes_per_second": 3e12},
        "steps": {},
        "smoke": [],
        "rows": [
            row("S1", "cuda", captured_us=20.0, kernels=kernels),
            row("S1", "triton", errors={"process": "killed by SIGSEGV"}),
            row("S1", "eager", captured_us=90.0),
        ],
    }
    text = markdown(results)  # 3 MB at 3 TB/s take 1 µs
    assert "| S1 | bfloat16 | nchw | max | forward+backward | 20.0 | failed | 90.0 | 20.0 |" in text
    assert "| S1 | bfloat16 | nchw | max | cuda | pool_kernel | 2.0 | 7.5 |" in text
    assert "triton, process: killed by SIGSEGV" in text


def test_the_figure_leaves_gaps(tmp_path):
    """If an implementation has no time at a shape."""
    rows = [row("S1", "cuda", captured_us=20.0), row("S1", "eager", captured_us=90.0)]
    rows += [row("S3", "triton", captured_us=30.0), row("S3", "eager", captured_us=80.0)]
    draw({"environment": {}, "rows": rows}, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 5000


def test_the_faster_backend_is_named():
    """By captured training steps in bfloat16, for shapes with times of both backends."""
    rows = [row("S1", "cuda", captured_us=1.0), row("S1", "triton", captured_us=2.0)]
    rows += [row("S3", "cuda", captured_us=5.0), row("S3", "triton", captured_us=3.0)]
    rows += [row("S4", "cuda", captured_us=1.0), row("S4", "triton", errors={"process": "stopped"})]
    rows += [row("S3", name, captured_us=1.0) | {"dtype": "float32"} for name in ("cuda", "triton")]
    assert preferred_times(rows) == {"S1": {"cuda": 1.0, "triton": 2.0}, "S3": {"cuda": 5.0, "triton": 3.0}}
    rows += [
        row(shape, name, captured_us=7.0) | {"merge": "none"} for shape in ("S1", "S6") for name in ("cuda", "triton")
    ]
    assert preferred_times(rows[-4:]) == {"S6": {"cuda": 7.0, "triton": 7.0}}
    text = markdown({"environment": {}, "steps": {}, "smoke": [], "rows": rows})
    assert "- S1: cuda\n- S3: triton\n- S6: cuda\n" in text


def write_report(folder: Path, **results) -> Path:
    folder.mkdir()
    empty = {"environment": {}, "steps": {}, "smoke": [], "rows": []}
    (folder / "report.json").write_text(json.dumps(empty | results))
    return folder


def test_reports_of_one_machine_are_joined(tmp_path):
    one = write_report(tmp_path / "one", environment={"gpu": "H100"}, steps={"smoke": {"state": "done"}})
    two = write_report(tmp_path / "two", environment={"gpu": "H100", "cpus": 16}, rows=[row("S1", "cuda")])
    joined = join([one, two])
    assert joined["environment"] == {"gpu": "H100", "cpus": 16}
    assert list(joined["steps"]) == ["smoke"] and len(joined["rows"]) == 1
    other = write_report(tmp_path / "other", environment={"gpu": "A100"})
    with pytest.raises(ValueError, match="the same gpu as the first, H100; got A100"):
        join([one, other])
    with pytest.raises(ValueError, match="the same gpu as the first, H100; got None"):
        join([one, write_report(tmp_path / "unknown")])
