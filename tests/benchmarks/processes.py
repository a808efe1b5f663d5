"""Commands for tests of the GPU report, and checks that processes have ended."""

import sys
import time
from pathlib import Path

from benchmarks.gpu_report.commands import Command


def python(code: str, label: str = "it", log: str = "log.txt", limit: float = 60) -> Command:
    return Command(label, (sys.executable, "-c", code), log, limit)


def an_hour() -> float:
    return 3600.0


def ends(pid: int) -> bool:
    """Whether a process ends within seconds (as a zombie, too): a signal takes a moment."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
