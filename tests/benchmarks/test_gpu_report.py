"""The GPU report, in a dry run on the CPU: it is complete at any time."""

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch

from benchmarks.environment import ROOT
from benchmarks.gpu_report import commands, kernel_cache, smoke, steps
from benchmarks.gpu_report.report_file import FILES, Report
from benchmarks.gpu_report.steps import Cell
from benchmarks.shapes import SHAPES, merge_rows
from tests.benchmarks.processes import children_of, ends
from tests.helpers.cases import Case


def test_no_more_processes_than_the_gpu_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    report = Report(tmp_path, 3600)
    assert steps.processes_that_fit(report, most=16, gib=1.5) == 16
    report.results["environment"]["memory_gib"] = 12
    assert steps.processes_that_fit(report, most=16, gib=1.5) == 8
    assert steps.processes_that_fit(report, most=16, gib=80) == 1


@pytest.mark.parametrize(
    ("status", "watched"),
    [
        ("ok", False),
        ("exit status 1", False),
        ("exit status 2", True),
        ("killed by SIGABRT", True),
        ("stopped after 9 s", False),
    ],
)
def test_memcheck_follows_a_smoke_run_that_died(status, watched, tmp_path, monkeypatch):
    """But not one that was slow or computed wrong numbers."""
    report, sanitized = Report(tmp_path, 3600), []
    outcome = commands.Outcome("cuda", status, 1.0, "")
    monkeypatch.setattr(report, "run_together", lambda step, smokes: [outcome])
    monkeypatch.setattr(steps, "sanitize", lambda report, step, tool, backend: sanitized.append((tool, backend)))
    steps.smoke(report, steps.GPU)
    assert sanitized == ([("memcheck", "cuda")] if watched else [])


def test_sums_that_nearly_vanish_are_judged_by_several_draws():
    case = Case()
    exact = smoke._in_float64(case, torch.bfloat16, 0)
    scales = smoke._scales(case, torch.bfloat16, exact)
    draws = [smoke._in_float64(case, torch.bfloat16, seed)["d_gate"] for seed in range(4)]
    assert scales["d_gate"] == pytest.approx(float(torch.stack(draws).square().mean().sqrt()))
    assert scales["d_values"] == pytest.approx(float(exact["d_values"].norm()))


def test_the_cases_for_the_sanitizers_are_no_results(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["smoke", "cpu", "--few"])
    with pytest.raises(SystemExit) as ended:
        smoke.main()
    printed = capsys.readouterr().out
    assert ended.value.code == 0 and printed.count(" right\n") == len(smoke.FEW) and commands.RESULT not in printed


def test_a_fault_of_a_step_costs_that_step(tmp_path, monkeypatch):
    from benchmarks.gpu_report import __main__ as program

    def breaks(report, plan):
        raise RuntimeError("no such step")

    monkeypatch.setattr(program, "STEPS", {"first": breaks, "second": lambda report, plan: None})
    report = Report(tmp_path, 3600)
    program.run(report, steps.TRIAL, ["first", "second"])
    states = {name: step["state"] for name, step in json.loads((tmp_path / "report.json").read_text())["steps"].items()}
    assert states == {"first": "failed: RuntimeError: no such step", "second": "done"}


@pytest.mark.parametrize("end", (signal.SIGTERM, signal.SIGKILL), ids=("terminated", "killed"))
def test_a_report_that_is_ended_is_complete_up_to_there(end, tmp_path):
    """The files on disk name the interrupted step, and none of its processes survive."""
    command = [sys.executable, "-m", "benchmarks.gpu_report", "--dry-run", "--out", str(tmp_path), "--steps", "times"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as report:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(FileNotFoundError):
                children = children_of(report.pid)
                # Between two measurements, only the waiting process runs.
                if json.loads((tmp_path / "report.json").read_text())["rows"] and len(children) == 2:
                    break
            time.sleep(0.05)
        report.send_signal(end)
    results = json.loads((tmp_path / "report.json").read_text())
    assert results["steps"]["environment"]["state"] == "done"
    assert results["steps"]["times"]["state"] == "running" and results["rows"]
    assert "| times | running |" in (tmp_path / "report.md").read_text()
    assert len(children) == 2 and all(ends(child) for child in children)  # one measuring, one waiting


def test_the_time_that_is_up_is_stated(tmp_path):
    report = Report(tmp_path, 0)
    steps.times(report, steps.TRIAL)
    assert report.step("times")["notes"] == ["8 of 8 not run: out of time"]
    steps.extension(report, steps.TRIAL)
    statuses = [command["status"] for command in report.step("extension")["commands"].values()]
    assert statuses == ["not run: out of time"] * 3


def test_a_dry_run_leaves_every_file_and_every_cell(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu_report", "--dry-run", "--out", str(tmp_path)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr[-2000:]
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    results = json.loads((tmp_path / "report.json").read_text())
    assert list(results["steps"]) == list(steps.STEPS)
    for name, step in results["steps"].items():
        assert step["state"] == "done", name
        for label, outcome in step["commands"].items():
            assert outcome["status"] == "ok", (name, label, outcome["end"])
    assert results["smoke"] and not [smoke for smoke in results["smoke"] if smoke["wrong"]]
    assert results["environment"]["copy_bytes_per_second"] > 0
    labels = {" ".join(row[name] for name in Cell._fields) for row in results["rows"] if row["called_us"] > 0}
    assert labels == {cell.label for cell in steps.TRIAL.cells}
    assert not [row for row in results["rows"] if row.get("errors")]
    assert "## Failures" not in (tmp_path / "report.md").read_text()


def test_the_report_on_a_gpu_times_each_cell_once():
    labels = [cell.label for cell in steps.GPU.cells]
    assert len(set(labels)) == len(labels)
    assert labels[0].startswith("S3 bfloat16 nchw max cuda") and labels[-1].endswith("max-autotune")
    ours = {cell[:4] for cell in steps.GPU.cells[:53] if cell.implementation in ("cuda", "triton", "eager")}
    expected = {(shape, "bfloat16", "nchw", merge) for shape, merge in merge_rows(tuple(SHAPES))}
    assert ours == expected  # every shape with its merges, before the layouts and dtypes
    assert len(FILES) <= 8


def test_kernels_are_where_the_cache_lies_now(tmp_path):
    folder = tmp_path / "cache" / "KEY"
    folder.mkdir(parents=True)
    (folder / "kernel.cubin").write_bytes(b"code")
    group = folder / "__grp__kernel.json"
    group.write_text(json.dumps({"child_paths": {"kernel.cubin": "/elsewhere/KEY/kernel.cubin"}}))
    kernel_cache.relocate(tmp_path / "cache")
    assert json.loads(group.read_text())["child_paths"] == {"kernel.cubin": str(folder / "kernel.cubin")}
