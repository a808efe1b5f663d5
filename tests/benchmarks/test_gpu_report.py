"""The report on a card, tried out on a CPU: every stage leaves a result, and none takes the others with it."""

import json

import pytest

pytest.importorskip("rich")

from benchmarks import gpu, gpu_report


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    def report(*arguments: str) -> dict:
        monkeypatch.setattr("sys.argv", ["gpu_report", "--dry-run", "--out", str(tmp_path), *arguments])
        gpu_report.main()
        return json.loads((tmp_path / "report.json").read_text())

    return report


def test_a_trial_leaves_all_files(run, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_report, "TIMED", [("S1", "float32", "nchw")])
    found = run("--stage", "build", "bandwidth", "speed", "choice", "sanitizers")
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.md", "speed.png", "log.txt"}
    forward, both = found["rows"]
    assert not forward["errors"] and not both["errors"]
    for row in (forward, both):
        assert row["milliseconds"].keys() == {"cpu", "eager", "torch.compile", "sdpa pooling"}
        assert all(time > 0 for time in row["milliseconds"].values())
    assert "| S1 | float32 | nchw | forward+backward |" in (tmp_path / "report.md").read_text()


def test_a_failing_stage_is_a_result(run, monkeypatch):
    def breaks(report):
        raise RuntimeError("no such card")

    monkeypatch.setitem(gpu_report.STAGES, "speed", breaks)
    found = run("--stage", "speed", "bandwidth")
    assert found["stages"]["speed"]["result"] == "failed: RuntimeError: no such card"
    assert found["stages"]["bandwidth"]["result"]["copy_bytes_per_second"] > 0


def test_a_spent_budget_ends_the_report(run):
    found = run("--stage", "bandwidth", "--budget", "0")
    assert found["stages"]["bandwidth"]["result"] == "not run: the budget was spent"


def test_a_failing_peer_leaves_the_others():
    attempts = gpu.Attempts()
    found = attempts.each({"good": 1, "bad": 0}, lambda name, number: 1 / number)
    assert found == {"good": 1.0} and attempts.errors == {"bad": "ZeroDivisionError: division by zero"}


def test_the_faster_backend_is_preferred():
    def row(shape, cuda, triton):
        return {
            "shape": shape,
            "direction": "forward+backward",
            "milliseconds_captured": {"cuda": cuda, "triton": triton, "eager": 9.0},
        }

    assert gpu.preferences([row("S1", 1.0, 2.0), row("S3", 5.0, 3.0)]) == {"S1": "cuda", "S3": "triton"}
