"""With what a checkpoint or a report was made."""

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
    """Versions, the git revision of this package where it is a checkout, and the command of this process."""
    return {
        "sma-kernels": __version__,
        "git revision": _revision(),
        "torch": str(torch.__version__),  # a class of its own, which a checkpoint must not hold
        "lightning": version("lightning"),
        "Python": f"{platform.python_version()} on {sys.platform}-{platform.machine()}",
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


@functools.cache
def _revision() -> str:
    """Of the checkout that holds this package; "+" says that files of it had been changed since."""
    folder = Path(__file__).parents[1]
    # An installed package may lie inside the checkout of something else.
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
        return "unknown: git does not answer"
    return revision + ("+" if changed else "")
