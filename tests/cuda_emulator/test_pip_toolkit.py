"""Builds the CUDA part with the compiler from `pip install 'sma-kernels[build-cuda]'`, with no other nvcc on PATH."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
BUILD = """
import runpy, sys
sys.path.insert(0, "tools")
import cuda_build
cuda_build.SYSTEM_NVCC = "/nonexistent"
sys.argv = ["setup.py", "-q", "build_ext", "--inplace"]
runpy.run_path("setup.py", run_name="__main__")
"""


def extra() -> str:
    """The requirement of the extra `build-cuda` that installs nvcc."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (toolkit,) = (requirement for requirement in extras["build-cuda"] if requirement.startswith("cuda-toolkit"))
    return toolkit


def test_the_extra_brings_the_release_of_this_torch():
    if torch.version.cuda is None:
        pytest.skip("this torch has no CUDA")
    assert extra().endswith(f"=={torch.version.cuda}.*")


@pytest.mark.slow
def test_the_compiler_from_pip_builds_an_extension_that_imports(tmp_path):
    toolkit, tree = tmp_path / "toolkit", tmp_path / "tree"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--target", toolkit, extra()], check=True, cwd=tmp_path
    )
    tree.mkdir()
    for name in ("csrc", "tools", "sma_kernels"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("*.so", "_build.json", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    hidden = {"CUDA_HOME", "CUDA_PATH", "SMA_CUDA"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(toolkit),
        "TORCH_CUDA_ARCH_LIST": "9.0",
    }
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    facts = json.loads((tree / "sma_kernels" / "_build.json").read_text())
    assert facts["architectures"] == ["9.0"] and not facts["left_out"], facts
    # As a user runs it: the toolkit is needed only for the build.
    environment["PYTHONPATH"] = str(tree)
    info = subprocess.run(
        [sys.executable, "-m", "sma_kernels.info"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "cuda        does not run: no driver" in info.stdout or torch.cuda.is_available(), info.stdout + info.stderr
