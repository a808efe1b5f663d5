"""The report on a GPU, tried out on the CPU: whatever fails, hangs or dies costs its own cell and nothing else."""

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.gpu_report import commands, kernel_cache, steps
from benchmarks.gpu_report.commands import Command, run_in_turn, run_together
from benchmarks.gpu_report.markdown import markdown, preferred_times
from benchmarks.gpu_report.report import FILES, Report, join
from benchmarks.gpu_report.steps import Cell, Plan, cells
from benchmarks.machine import ROOT


def python(code: str, label: str = "it", log: str = "log.txt", limit: float = 60) -> Command:
    return Command(label, (sys.executable, "-c", code), log, limit)


def an_hour() -> float:
    return 3600.0


def ends(pid: int) -> bool:
    """Whether a process is gone within seconds, noticed by its parent or not: a signal takes a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_a_command_leaves_its_output_and_its_status(tmp_path):
    (fine,) = run_together([python("print('all is well')")], tmp_path, an_hour)
    assert fine.status == "ok" and "all is well" in fine.output
    (wrong,) = run_together([python("raise SystemExit(3)")], tmp_path, an_hour)
    assert wrong.status == "exit status 3" and not wrong.died
    (dead,) = run_together([python("import os; os.abort()")], tmp_path, an_hour)
    assert dead.status == "killed by SIGABRT" and dead.died
    (absent,) = run_together([Command("it", ("no-such-program",), "log.txt", 60)], tmp_path, an_hour)
    assert absent.status.startswith("could not start: ") and "no-such-program" in absent.status
    log = (tmp_path / "log.txt").read_text()
    assert "all is well" in log and log.count("\n$ ") == 4


GRANDCHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print('RESULT {"pid": %d}' % child.pid)
print('RESULT {"cut off": ', end="")
time.sleep(60)
"""


def test_a_stopped_command_leaves_its_output_and_no_process(tmp_path):
    started = time.monotonic()
    (outcome,) = run_together([python(GRANDCHILD, limit=8)], tmp_path, an_hour)
    assert time.monotonic() - started < 30
    assert outcome.status == "stopped after 8 s" and outcome.died
    ((pid,),) = (result.values() for result in outcome.results())  # the complete line alone
    assert ends(pid)


def test_a_command_that_ends_leaves_no_process_either(tmp_path):
    """It would disturb the measurement that follows."""
    code = GRANDCHILD.rpartition("time.sleep(60)")[0]
    outcomes = run_in_turn([python(code), python("pass")], tmp_path, an_hour)
    outcome = next(outcomes)
    assert outcome.ok and ends(outcome.results()[0]["pid"])
    outcomes.close()


def test_commands_together_run_together(tmp_path):
    """Each waits for the other to be there."""
    meet = "import pathlib, time\npathlib.Path({mine!r}).touch()\nwhile not pathlib.Path({other!r}).exists(): time.sleep(.05)"
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    outcomes = run_together(
        [
            python(meet.format(mine=one, other=two), log="one.txt"),
            python(meet.format(mine=two, other=one), log="two.txt"),
        ],
        tmp_path,
        an_hour,
    )
    assert [outcome.status for outcome in outcomes] == ["ok", "ok"]


WAITS = """
import pathlib, sys, time
ready, busy = pathlib.Path({ready!r}), pathlib.Path({busy!r})
ready.touch()
if not sys.stdin.readline(): raise SystemExit("never released")
assert not busy.exists(), "the one before is still at work"
busy.touch(); time.sleep(0.3); busy.unlink()
"""


def test_commands_in_turn_never_overlap_and_the_next_is_ready(tmp_path):
    code = [WAITS.format(ready=str(tmp_path / f"ready {n}"), busy=str(tmp_path / "busy")) for n in range(3)]
    outcomes = run_in_turn([python(text, f"number {n}") for n, text in enumerate(code)], tmp_path, an_hour)
    assert next(outcomes).label == "number 0"
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready 1").exists():
        assert time.monotonic() < deadline, "the next command was not started ahead"
        time.sleep(0.05)
    assert [(outcome.label, outcome.status) for outcome in outcomes] == [("number 1", "ok"), ("number 2", "ok")]


def test_commands_in_turn_end_with_the_time(tmp_path):
    times = iter([100.0, 100.0, 0.0])
    outcomes = list(run_in_turn([python("pass", str(n)) for n in range(4)], tmp_path, lambda: next(times)))
    assert [outcome.label for outcome in outcomes] == ["0"]


def test_a_waiting_command_ends_with_the_report(tmp_path):
    outcomes = run_in_turn([python("pass"), python(GRANDCHILD)], tmp_path, an_hour)
    next(outcomes)
    deadline = time.monotonic() + 30
    while "RESULT" not in (tmp_path / "log.txt").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    outcomes.close()
    (line,) = (line for line in (tmp_path / "log.txt").read_text().splitlines() if line.startswith('RESULT {"pid'))
    assert ends(json.loads(line.removeprefix("RESULT "))["pid"])


HEALTHY = ("cpu", "eager")
FAULTY = {
    "hangs": "stopped",
    "prints_and_hangs": "stopped",
    "dies": "killed by SIGSEGV",
    "raises": "exit status 1",
    "computes_something_else": "exit status 1",
    "has_a_wrong_gradient": "exit status 1",
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
    assert [row["direction"] for row in rows] == ["forward", "forward+backward"]
    text = json.dumps([row.get("errors") for row in rows]) + status["end"]
    expected = {
        "prints_and_hangs": "the last words of this implementation",
        "raises": "this implementation is out of order",
        "computes_something_else": "output 0 differs by 0.1 of its norm",
        "has_a_wrong_gradient": "gradient of values differs by 0.1 of its norm",
        "fails_in_a_later_backward": "RuntimeError: no gradient today",
    }
    assert expected.get(name, FAULTY[name]) in text
    assert f"faulty:{name}" in (faulty.folder / "report.md").read_text().split("## Failures")[1]


def test_a_failing_backward_costs_the_backward_alone(faulty):
    forward, both = rows_of(faulty, "fails_in_a_later_backward")
    assert forward["called_us"] > 0 and "errors" not in forward
    assert "called_us" not in both and both["errors"]["called_us"] == "RuntimeError: no gradient today"


def test_nothing_that_a_faulty_cell_started_is_left(faulty):
    (line,) = (line for line in (faulty.folder / "times.txt").read_text().splitlines() if line.startswith("started "))
    assert ends(int(line.removeprefix("started ")))


def test_the_figure_survives_gaps(faulty):
    assert (faulty.folder / "speed.png").stat().st_size > 5000


def test_a_fault_of_a_step_costs_that_step(tmp_path, monkeypatch):
    from benchmarks.gpu_report import __main__ as program

    def breaks(report, plan):
        raise RuntimeError("no such step")

    monkeypatch.setattr(program, "STEPS", {"first": breaks, "second": lambda report, plan: None})
    report = Report(tmp_path, 3600)
    program.run(report, steps.TRIAL, ["first", "second"])
    states = {name: step["state"] for name, step in json.loads((tmp_path / "report.json").read_text())["steps"].items()}
    assert states == {"first": "failed: RuntimeError: no such step", "second": "done"}


def test_a_killed_report_is_complete_up_to_its_end(tmp_path):
    """What is on disk names the step that was running; the commands it ran end with it."""
    command = [sys.executable, "-m", "benchmarks.gpu_report", "--dry-run", "--out", str(tmp_path), "--steps", "times"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as report:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(FileNotFoundError):
                if json.loads((tmp_path / "report.json").read_text())["rows"]:
                    break
            time.sleep(0.2)
        report.terminate()
    results = json.loads((tmp_path / "report.json").read_text())
    assert results["steps"]["times"]["state"] == "running" and results["rows"]
    assert "| times | running |" in (tmp_path / "report.md").read_text()
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_the_time_that_is_up_is_stated(tmp_path):
    report = Report(tmp_path, 0)
    steps.times(report, steps.TRIAL)
    assert report.step("times")["notes"] == ["6 of 6 not run: the time was up"]


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
    assert len(FILES) <= 8


def row(shape: str, implementation: str, **fields) -> dict:
    cell = {"shape": shape, "dtype": "bfloat16", "layout": "nchw", "merge": "max", "direction": "forward+backward"}
    return {**cell, "implementation": implementation, "floor_bytes": 3 * 10**6, **fields}


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


def test_the_faster_backend_is_named():
    """By captured training steps in bfloat16, of shapes where both backends have one."""
    rows = [row("S1", "cuda", captured_us=1.0), row("S1", "triton", captured_us=2.0)]
    rows += [row("S3", "cuda", captured_us=5.0), row("S3", "triton", captured_us=3.0)]
    rows += [row("S4", "cuda", captured_us=1.0), row("S4", "triton", errors={"process": "stopped"})]
    rows += [row("S3", name, captured_us=1.0) | {"dtype": "float32"} for name in ("cuda", "triton")]
    assert preferred_times(rows) == {"S1": {"cuda": 1.0, "triton": 2.0}, "S3": {"cuda": 5.0, "triton": 3.0}}
    text = markdown({"environment": {}, "steps": {}, "smoke": [], "rows": rows})
    assert "- S1: cuda\n- S3: triton\n\n" in text


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


def test_kernels_are_where_the_cache_lies_now(tmp_path):
    folder = tmp_path / "cache" / "KEY"
    folder.mkdir(parents=True)
    (folder / "kernel.cubin").write_bytes(b"code")
    group = folder / "__grp__kernel.json"
    group.write_text(json.dumps({"child_paths": {"kernel.cubin": "/elsewhere/KEY/kernel.cubin"}}))
    kernel_cache.relocate(tmp_path / "cache")
    assert json.loads(group.read_text())["child_paths"] == {"kernel.cubin": str(folder / "kernel.cubin")}


def test_results_are_read_from_the_end_of_a_long_output(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "OUTPUT_READ", 100)
    code = "print('RESULT {\"early\": 1}'); print('x' * 200); print('RESULT {\"late\": 2}')"
    (outcome,) = run_together([python(code)], tmp_path, an_hour)
    assert outcome.results() == [{"late": 2}]
