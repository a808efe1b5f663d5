"""The results of the build, and the behaviour of the package without them, in fresh processes."""

import json
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
import torch
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

import sma_kernels
from sma_kernels.backends import build_info

PACKAGE = Path(sma_kernels.__file__).parent

RUN = """
import torch, sma_kernels
head = sma_kernels.SMAAttention(8, regions=2, channels=2, embed_dim=4)
head(torch.randn(1, 8, 3, 3)).pooled.sum().backward()
head(torch.randn(1, 8, 3, 3))
print("ran", sma_kernels.backends.extension.LOAD_ERROR)
"""


@pytest.fixture
def copied_package(tmp_path) -> Path:
    """A copy of the package without its compiled module, in a separate folder."""
    shutil.copytree(
        PACKAGE, tmp_path / "sma_kernels", ignore=shutil.ignore_patterns("*.so", "_build.json", "__pycache__")
    )
    return tmp_path


def python(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", **environment},
    )


def test_build_facts_name_the_torch_they_belong_to():
    facts = build_info.read()
    assert facts["built"] and facts["torch"] == torch.__version__ and facts["compiler"]


def test_without_the_module_the_reference_runs_and_says_so_once(copied_package):
    done = python(copied_package, "-W", "default", "-c", RUN)
    assert done.returncode == 0, done.stderr
    assert "ran not built" in done.stdout
    assert done.stderr.count("has no compiled module here") == 1


@pytest.mark.parametrize(
    ("facts", "answer"),
    [
        ({"built": False, "left_out": {"extension": "SMA_BUILD=0 was set"}}, "not built (SMA_BUILD=0 was set)"),
        ({"built": True, "torch": "2.0.1"}, "built for another torch (2.0.1; this is"),
        ({"built": True, "torch": torch.__version__}, "not built for this Python"),
    ],
)
def test_reasons_are_told_apart(copied_package, facts, answer):
    (copied_package / "sma_kernels" / "_build.json").write_text(json.dumps(facts))
    done = python(copied_package, "-W", "ignore", "-c", RUN)
    assert done.returncode == 0 and answer in done.stdout, done.stdout + done.stderr


def test_a_module_that_does_not_load_is_reported_with_its_error(copied_package):
    (copied_package / "sma_kernels" / "_build.json").write_text(json.dumps({"built": True, "torch": torch.__version__}))
    (copied_package / "sma_kernels" / "_C.py").write_text("raise ImportError('undefined symbol: _Z3foo')")
    done = python(copied_package, "-W", "ignore", "-c", RUN)
    assert done.returncode == 0 and "built, but does not load: undefined symbol: _Z3foo" in done.stdout


def test_a_machine_without_a_gpu_has_cuda_built_and_lacks_a_driver():
    facts = build_info.read()
    if "cuda" in facts["left_out"]:
        pytest.skip(f"CUDA was left out: {facts['left_out']['cuda']}")
    assert facts["architectures"]
    if torch.cuda.is_available():
        assert sma_kernels.backends.cuda.unavailable_reason() is None
        return
    assert sma_kernels.backends.cuda.unavailable_reason().startswith("no driver")
    explained = sma_kernels.explain_backends(torch.zeros(1, 3, 2, 2), torch.zeros(1, 4, 2, 2), torch.zeros(2, 1, 4))
    assert explained["cuda"][0].startswith("no driver")


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [
        ([(8, 9)], "not built for compute capability 8.9"),
        ([(7, 0)], "needs compute capability 8.0"),
        ([(9, 0), (8, 9)], None),
    ],
)
def test_an_extension_for_other_gpus_is_unavailable(gpus, reason, monkeypatch):
    cuda = sma_kernels.backends.cuda
    monkeypatch.setattr(build_info, "read", lambda: {"built": True, "architectures": ["9.0"]})
    monkeypatch.setattr(sma_kernels.backends.extension, "LOAD_ERROR", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(gpus))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: gpus[index])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a GPU")
    cuda._no_device_reason.cache_clear()
    try:
        why = cuda.unavailable_reason()
    finally:
        cuda._no_device_reason.cache_clear()
    assert why is None if reason is None else why.startswith(reason)


def test_info_names_every_backend():
    done = python(PACKAGE.parent, "-m", "sma_kernels.info", "--require", "cpu")
    assert done.returncode == 0, done.stderr
    for name in sma_kernels.backends.FUSED:
        assert f"\n    {name} " in done.stdout
    refused = python(PACKAGE.parent, "-m", "sma_kernels.info", "--require", "tpu")
    assert refused.returncode == 1 and "backend 'tpu' does not run here" in refused.stderr


@pytest.mark.parametrize("capability", ("baseline", "avx2"))
def test_narrower_instruction_sets_compute_the_same(capability):
    """The binary also contains kernels for older CPUs, which satisfy the error rule."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-k",
            "error_rule and shared and nchw",
            "tests/operators/test_accuracy.py",
        ],
        cwd=root,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "SMA_CPU_CAPABILITY": capability},
    )
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("built_for", [torch.__version__, "2.0.1"])
def test_every_build_asks_ninja_and_objects_of_another_torch_go(built_for, tmp_path, monkeypatch):
    """setuptools alone would keep a module that is newer than its sources, even if it was built for another torch."""
    root, forced = Path(__file__).parents[1], []

    class Compiled(build_ext):
        def run(self):
            forced.append(self.force)

    monkeypatch.chdir(root)
    monkeypatch.setattr("setuptools.setup", lambda **settings: None)
    monkeypatch.setattr("torch.utils.cpp_extension.BuildExtension", Compiled)
    build = runpy.run_path("setup.py")["BuildExtension"](Distribution())
    build.build_lib, build.build_temp, build.extensions, build.ext_map = str(tmp_path), str(tmp_path / "temp"), [], {}
    (tmp_path / "temp").mkdir()
    build.write_facts({"torch": built_for})
    build.run()
    assert forced == [True]
    assert (tmp_path / "temp").exists() == (built_for == torch.__version__)
    assert build.read_facts()["torch"] == torch.__version__


def test_the_source_distribution_holds_what_a_build_needs(tmp_path):
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.split("/", 1)[1] for name in opened.getnames() if "/" in name}
    sources = {str(path.relative_to(root)) for path in (root / "csrc").rglob("*") if path.is_file()}
    assert sources and sources <= names
    assert {"tools/build_jobs.py", "tools/cuda_build.py"} <= names
    assert {"setup.py", "pyproject.toml", "sma_models/configs/csv_fer.yaml", "sma_kernels/py.typed"} <= names


def test_the_oldest_constraints_pin_the_oldest_supported_torch():
    root = Path(__file__).parents[1]
    newest, oldest = (pins(root / name) for name in ("constraints.txt", "constraints-oldest.txt"))
    dependencies = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    (lower_bound,) = (name for name in dependencies if re.match(r"torch\b", name))
    assert lower_bound == "torch>=" + oldest["torch"].removesuffix(".0")
    # Other versions of further packages would test more than torch and its Triton.
    bound_to_torch = {"torch", "torchvision", "triton", "setuptools", "numpy"}
    assert {name for name in newest | oldest if newest.get(name) != oldest.get(name)} == bound_to_torch


def pins(file: Path) -> dict[str, str]:
    return dict(line.split("==") for line in file.read_text().splitlines() if not line.startswith("#"))
