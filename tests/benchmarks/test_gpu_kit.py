"""The kit for a borrowed GPU: its kernels can be moved to another folder, and its archive runs without the repository."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytest.importorskip("triton")

from triton.backends.nvidia import driver

from benchmarks.environment import ROOT
from benchmarks.gpu_kit import __main__ as kit
from benchmarks.gpu_report import kernel_cache

COMPILE = """
from benchmarks.gpu_kit.stand_in import compile_only
kernels = compile_only(90)
from benchmarks.gpu_kit.precompile import compile_smoke
from benchmarks.gpu_report.smoke import BFLOAT16, Smoke
from tests.helpers.cases import Case
compile_smoke(Smoke(Case(function="attention_pool"), BFLOAT16))
print(sorted(kernels.compiled), sorted(kernels.cached))
"""
NAMES = "['backward_kernel', 'forward_kernel', 'value_gradients_kernel']"


def compile_into(cache: Path, **environment: str) -> str:
    variables = {**os.environ, "TRITON_CACHE_DIR": str(cache), "TRITON_INTERPRET": "0", **environment}
    command = [sys.executable, "-W", "ignore", "-c", COMPILE]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def test_kernels_compiled_elsewhere_are_taken_from_the_cache(tmp_path):
    """In another folder, without access to the first one. Only the kernels taken count as used."""
    there, here, kit_cache = tmp_path / "there", tmp_path / "here", tmp_path / "kit"
    assert compile_into(there, TRITON_STORE_BINARY_ONLY="1") == f"{NAMES} []"
    shutil.move(there, here)
    kernel_cache.relocate(here)
    (here / "KERNEL_OF_ANOTHER_COMMIT").mkdir()
    for kernel in here.iterdir():
        os.utime(kernel, (0, 0))
    assert compile_into(here) == f"[] {NAMES}"
    kit.copy_used(here, kit_cache, since=1.0)
    expected = {kernel.name for kernel in here.iterdir()} - {"KERNEL_OF_ANOTHER_COMMIT"}
    assert {kernel.name for kernel in kit_cache.iterdir()} == expected
    assert len(list(kit_cache.glob("*/*.cubin"))) == 3
    modules = sorted(path.name.split(".")[0] for path in kit_cache.glob("*/*.so"))
    assert modules == (["__triton_launcher"] * 3 + ["cuda_utils"] if hasattr(driver, "make_launcher") else [])
    for module in kit_cache.glob("*/*.so"):  # without it, a GPU's machine does not find the driver's functions
        read = subprocess.run(["readelf", "-d", module], check=True, capture_output=True, text=True).stdout
        assert re.search(r"NEEDED.*libcuda\.so\.1", read), module.name


def test_the_archive_runs_without_a_repository(tmp_path, monkeypatch):
    if not kit.build_info.read().get("built") or not (ROOT / ".git").exists():
        pytest.skip("needs the compiled extension and the repository")
    cache = tmp_path / "triton_cache"
    (cache / "KEY").mkdir(parents=True)
    (cache / "KEY" / "kernel.cubin").write_bytes(b"code")
    monkeypatch.setattr(kit, "PRESET", 0)
    kit.pack(tmp_path / "out" / "kit.tar.xz", cache, "abc1234", 0.0)
    with tarfile.open(tmp_path / "out" / "kit.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    tree = tmp_path / kit.NAME
    assert (tree / "triton_cache" / "KEY" / "kernel.cubin").read_bytes() == b"code"
    command = [sys.executable, "-m", "benchmarks.gpu_report", "--dry-run", "--out", str(tmp_path / "report")]
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    done = subprocess.run(
        [*command, "--steps", "environment", "extension"], cwd=tree, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    text = (tmp_path / "report" / "report.md").read_text()
    assert "- revision: abc1234" in text and "## Failures" not in text
    assert "$ " in (tmp_path / "report" / "checks.txt").read_text()


@pytest.mark.parametrize(
    ("architectures", "message"), [([], "got none"), (["8.0", "9.0"], "got 8.0, 9.0")], ids=("none", "two")
)
def test_a_kit_is_for_one_architecture(architectures, message, monkeypatch):
    monkeypatch.setattr(kit.build_info, "read", lambda: {"architectures": architectures})
    with pytest.raises(SystemExit, match=message):
        kit.architecture()


def test_the_architecture_is_that_of_the_extension(monkeypatch):
    monkeypatch.setattr(kit.build_info, "read", lambda: {"architectures": ["9.0+PTX"]})
    assert kit.architecture() == "9.0"


def test_changes_that_are_not_committed_are_refused(tmp_path, monkeypatch):
    git = ("git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@e")
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("committed")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "a file"], check=True)
    monkeypatch.setattr(kit, "ROOT", tmp_path)
    assert len(kit.committed_revision()) >= 7
    (tmp_path / "file").write_text("changed")
    with pytest.raises(SystemExit, match="as it was committed, got changes"):
        kit.committed_revision()
