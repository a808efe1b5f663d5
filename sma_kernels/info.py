"""`python -m sma_kernels.info`: what was built, what runs here, and why the rest does not."""

import argparse
import platform
import sys
from collections.abc import Sequence

import torch

from sma_kernels import backends
from sma_kernels.backends import build_info
from sma_kernels.version import __version__


def report() -> str:
    """The build facts, then one line per backend: "runs" or the reason why not."""
    facts = build_info.read()
    lines = [
        f"sma-kernels {__version__}",
        f"  torch         {torch.__version__} (CUDA {torch.version.cuda or 'none'})",
        f"  Python        {platform.python_version()} on {sys.platform}-{platform.machine()}",
        "  built         " + (_built(facts) if facts.get("built") else "no"),
    ]
    lines += [f"  left out      {part}: {reason}" for part, reason in facts.get("left_out", {}).items()]
    lines += ["  backends", "    reference   runs"]
    for name, backend in backends.FUSED.items():
        reason = backend.unavailable_reason()
        lines.append(f"    {name:<11} " + (f"does not run: {reason}" if reason else f"runs ({backend.describe()})"))
    return "\n".join(lines)


def _built(facts: dict) -> str:
    targets = ["CPU", *facts["architectures"]]
    return f"{', '.join(targets)} against torch {facts['torch']} with {facts['compiler']}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m sma_kernels.info", description=__doc__)
    parser.add_argument("--require", metavar="BACKEND", help="exit with 1 unless this backend runs here")
    required = parser.parse_args(arguments).require
    print(report())
    if required and (required not in backends.FUSED or backends.FUSED[required].unavailable_reason()):
        raise SystemExit(f"backend {required!r} does not run here")


if __name__ == "__main__":
    main()
