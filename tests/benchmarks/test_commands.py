"""Every benchmark that is a command starts, and tells what it does."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
COMMANDS = sorted(path.stem for path in FOLDER.glob("*.py") if "def main" in path.read_text())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_explains_itself(name):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    shown = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr[-2000:]
    assert f"usage: python -m benchmarks.{name}" in shown.stdout
