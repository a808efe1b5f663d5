"""Commands of the GPU report: their output is kept, and no process survives."""

import json
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.environment import ROOT
from benchmarks.gpu_report import commands, steps
from benchmarks.gpu_report.commands import Command, run_in_turn, run_together
from tests.benchmarks.processes import an_hour, ends, python


def test_a_command_leaves_its_output_and_its_status(tmp_path):
    (fine,) = run_together([python("print('all is well')")], tmp_path, an_hour)
    assert fine.status == "ok" and "all is well" in fine.output
    (wrong,) = run_together([python("raise SystemExit(3)")], tmp_path, an_hour)
    assert wrong.status == "exit status 3" and not wrong.killed
    (dead,) = run_together([python("import os; os.abort()")], tmp_path, an_hour)
    assert dead.status == "killed by SIGABRT" and dead.killed
    (absent,) = run_together([Command("it", ("no-such-program",), "log.txt", 60)], tmp_path, an_hour)
    assert absent.status.startswith("could not start: ") and "no-such-program" in absent.status
    log = (tmp_path / "log.txt").read_text()
    assert "all is well" in log and log.count("\n$ ") == 4


GRANDCHILD = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a process does that hangs inside the driver
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print('RESULT {"pid": %d}' % child.pid)
print('RESULT {"cut off": ', end="")
time.sleep(60)
"""


def test_a_stopped_command_leaves_its_output_and_no_process(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    started = time.monotonic()
    (outcome,) = run_together([python(GRANDCHILD, limit=8)], tmp_path, an_hour)
    assert time.monotonic() - started < 30
    assert outcome.status == "stopped after 8 s" and not outcome.killed
    ((pid,),) = (result.values() for result in outcome.results())  # only the complete line
    assert ends(pid)


def test_a_command_that_ends_leaves_no_process_either(tmp_path):
    """A surviving process would disturb the next measurement."""
    code = GRANDCHILD.rpartition("time.sleep(60)")[0]
    outcomes = run_in_turn([python(code), python("pass")], tmp_path, an_hour)
    outcome = next(outcomes)
    assert outcome.ok and ends(outcome.results()[0]["pid"])
    outcomes.close()


TESTS = """
import time

import pytest
def test_fails():
    assert "what was found" == "what was expected"
def test_hangs():
    time.sleep(60)
"""


@pytest.fixture
def in_the_background():
    """Shells start background jobs with interrupts ignored, and the processes they start inherit that."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, handler)


def test_a_stopped_pytest_says_what_failed_before(tmp_path, monkeypatch, in_the_background):
    (tmp_path / "test_two.py").write_text(TESTS)
    monkeypatch.setattr("importlib.util.find_spec", lambda plugin: None)  # one process starts sooner than two
    command = steps.pytest(1, str(tmp_path / "test_two.py"))
    (outcome,) = run_together([Command("tests", command, "log.txt", 20)], tmp_path, an_hour)
    assert outcome.status == "stopped after 20 s"
    assert "FAILED" in outcome.output and "assert 'what was found' == 'what was expected'" in outcome.output


def test_commands_together_run_together(tmp_path):
    """Each waits for the other to start."""
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


def test_a_command_cut_short_by_the_report_is_distinguished_from_one_that_hangs(tmp_path):
    (outcome,) = run_together([python("import time; time.sleep(60)", limit=40)], tmp_path, lambda: 2.0)
    assert outcome.status == commands.TIME_UP


def test_what_a_command_printed_last_names_no_folder_of_this_machine(tmp_path):
    code = f"import sys; print(sys.executable, sys.prefix + '/lib', {str(ROOT / 'setup.py')!r})"
    (outcome,) = run_together([python(code)], tmp_path, an_hour)
    assert sys.prefix in outcome.output and str(ROOT) in outcome.output
    for folder in (sys.prefix, sys.base_prefix, str(ROOT)):
        assert folder not in outcome.last_lines()
    assert outcome.last_lines().endswith(" lib setup.py")


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


def test_results_are_read_from_the_end_of_a_long_output(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "OUTPUT_READ", 100)
    code = "print('RESULT {\"early\": 1}'); print('x' * 200); print('RESULT {\"late\": 2}')"
    (outcome,) = run_together([python(code)], tmp_path, an_hour)
    assert outcome.results() == [{"late": 2}]


PARENT = """
import pathlib, sys, time
from benchmarks.gpu_report.commands import Command, Process
sleeps = (sys.executable, "-c", "import time; time.sleep(60)")
print(Process(Command("it", sleeps, "log.txt", 60), pathlib.Path({folder!r})).process.pid, flush=True)
time.sleep(60)
"""


def test_a_command_ends_with_a_killed_report(tmp_path):
    program = [sys.executable, "-c", PARENT.format(folder=str(tmp_path))]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as report:
        pid = int(report.stdout.readline())
        report.kill()
    assert ends(pid)


def test_a_command_does_not_start_without_its_report():
    """The report was killed before the command could ask to be killed with it."""
    code = "from benchmarks.gpu_report import commands; commands._set_signals(parent=-1); print('alive')"
    orphan = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert orphan.returncode == 1 and not orphan.stdout
