"""CHECKS.md is up to date."""

import subprocess
import sys
from pathlib import Path


def test_table_is_up_to_date():
    done = subprocess.run(
        [sys.executable, "-m", "tests.torch_integration.checks_table", "--check"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
