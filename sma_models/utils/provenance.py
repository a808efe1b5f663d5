"""Versions, git revision and command line, for checkpoints and reports."""

import functools
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from sma_kernels import __version__


def provenance() -> dict[str, str]:
    """Versions, the git revision of this package if it is a checkout, and the command of this process."""
    return {
        "sma-kernels": __version__,
        "git revision": _revision(),
        "torch": str(torch.__version__),  # a str subclass, which must not enter a checkpoint
        "lightning": version("lightning"),
        "Python": f"{platform.python_version()} on {sys.platform}-{platform.machine()}",
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


@functools.cache
def _revision() -> str:
    """The revision of the checkout that contains this package, with "+" if tracked files have changed."""
    folder = Path(__file__).parents[1]
    # An installed package may be inside the checkout of another project.
    if not (folder.parent / ".git").exists():
        return "not a checkout"
    try:
        revision, changed = (
            subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown: git failed"
    return revision + ("+" if changed else "")
