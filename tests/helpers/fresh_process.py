"""Code in a fresh process, which shares nothing with the test."""

import subprocess
import sys


def run_code(code, *arguments):
    """Standard output of `code`; its arguments are sys.argv[1:]. AssertionError with its output if it fails."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
