"""Runs the tests of this folder marked `interpreted` in Triton's interpreter, which must be enabled before Triton loads."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.mark.skipif(find_spec("triton") is None, reason="no Triton is installed")
def test_modes_under_tritons_interpreter():
    chosen = (str(Path(__file__).parent), "-m", "interpreted and not slow", "-k", "triton")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
