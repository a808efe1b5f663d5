"""Every benchmark command starts and prints its description."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


def module(path: Path) -> str:
    """Its name for `python -m`."""
    return ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__main__")


COMMANDS = sorted(module(path) for path in FOLDER.rglob("*.py") if "def main" in path.read_text())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_explains_itself(name):
    command = [sys.executable, "-m", name, "--help"]
    shown = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr[-2000:]
    assert f"usage: python -m {name}" in shown.stdout
