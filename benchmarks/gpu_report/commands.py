"""Commands that write to a log as they run and are stopped together with every process they started."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.environment import ROOT

RESULT = "RESULT "  # prefix of lines for the report, followed by a JSON object
GRACE = 5.0  # seconds between the interrupt and the kill of a command over its limit
OUTPUT_READ = 2**20  # bytes of output that the report parses
TIME_UP = "stopped: the report is out of time"  # not a failure of the command


@dataclass(frozen=True)
class Command:
    """A command with its log, a file in the folder of the report. Concurrent commands use separate logs, or print no
    results."""

    label: str
    arguments: Sequence[str]
    log: str
    limit: float  # seconds
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """`status` is "ok" or a description of the failure; `output` is the end of the output."""

    label: str
    status: str
    seconds: float
    output: str

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def killed(self) -> bool:
        """Whether it crashed with a signal."""
        return self.status.startswith("killed")

    def results(self) -> list[dict[str, Any]]:
        """The completely printed results."""
        parsed = []
        for line in self.output.splitlines():
            if line.startswith(RESULT):
                with suppress(json.JSONDecodeError):
                    parsed.append(json.loads(line.removeprefix(RESULT)))
        return parsed

    def last_lines(self, count: int = 15) -> str:
        """The last lines, without paths of this machine, since reports are published."""
        lines = [line for line in self.output.splitlines() if not line.startswith(RESULT)][-count:]
        text = "\n".join(lines)
        for folder in (sys.prefix, sys.base_prefix, ROOT):
            text = text.replace(f"{folder}{os.sep}", "")
        return text


class Process:
    """A started command. On release it gets a line on standard input, for which it may wait."""

    def __init__(self, command: Command, folder: Path):
        self.command, self.path = command, folder / command.log
        self.error: OSError | None = None
        self.process: subprocess.Popen | None = None
        with self.path.open("ab") as log:
            self.start = log.tell()
            try:
                self.process = subprocess.Popen(
                    command.arguments,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **command.environment},
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # one process group, which can be killed as a whole
                    preexec_fn=partial(_set_signals, os.getpid()),
                )
            except OSError as error:
                self.error = error

    def release(self) -> None:
        self.released = time.monotonic()
        with self.path.open("ab") as log:
            log.write(f"\n$ {' '.join(self.command.arguments)}\n".encode())
        if self.process and self.process.stdin:
            with suppress(OSError):
                self.process.stdin.write(b"\n")
                self.process.stdin.close()

    def finish(self, left: float) -> Outcome:
        """Waits until the limit of the command, at most `left` seconds, and kills its process group. Shortly before, it is
        interrupted, as by Ctrl-C, so that pytest prints its summary and Python a traceback. The limit counts from the
        release, which may precede the wait for other commands."""
        status = f"could not start: {self.error}"
        own_limit = self.command.limit - (time.monotonic() - self.released)
        limit = min(own_limit, left)
        if self.process:
            grace = min(GRACE, limit / 4)
            try:
                status = _status(self.process.wait(max(0.1, limit - grace)))
            except subprocess.TimeoutExpired:
                status = f"stopped after {self.command.limit:.0f} s" if own_limit <= left else TIME_UP
                self.process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(max(0.1, grace))
            self.kill()
        seconds = round(time.monotonic() - self.released, 1)
        return Outcome(self.command.label, status, seconds, self._output())

    def kill(self) -> None:
        process, self.process = self.process, None
        if process:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # a process inside the driver may not be killable
                process.wait(10)

    def _output(self) -> str:
        with self.path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self.start, end - OUTPUT_READ))
            return log.read().decode(errors="replace")


def _set_signals(parent: int) -> None:
    """Lets an interrupt reach this process although shells start background jobs without, and makes Linux kill it with its
    parent, even if that is killed: nothing may outlive the report on the GPU."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it has died already, so that no signal would come
            os._exit(1)


def _status(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return "ok" if code == 0 else f"exit status {code}"


def run_together(commands: Sequence[Command], folder: Path, left: Callable[[], float]) -> list[Outcome]:
    """Run all concurrently. `left` returns the seconds left for the whole report."""
    running = [Process(command, folder) for command in commands]
    try:
        for process in running:
            process.release()
        return [process.finish(left()) for process in running]
    finally:
        for process in running:
            process.kill()


def run_in_turn(commands: Sequence[Command], folder: Path, left: Callable[[], float]) -> Iterator[Outcome]:
    """Run one at a time, while time is left. Each is started early and waits for its release, so that its imports, most
    of the time of a short measurement, are already done."""
    started = deque(Process(command, folder) for command in commands[:1])
    try:
        for following in [*commands[1:], None]:
            if following:
                started.append(Process(following, folder))
            if left() <= 0:
                return
            started[0].release()
            yield started[0].finish(left())
            started.popleft()
    finally:
        for process in started:
            process.kill()


def emit(**fields: Any) -> None:
    """Print a result immediately, so that a later crash does not lose it."""
    print(RESULT + json.dumps(fields), flush=True)
