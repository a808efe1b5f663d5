"""`python -m benchmarks.gpu_kit --out FILE`: packs everything for a report on a borrowed GPU into one archive.

Run it through `make gpu-kit`, in a clone of the commit to measure, with the same versions of Python, torch and Triton as on
the machine with the GPU. The archive holds the commit, its compiled extension, and Triton kernels for the GPU architecture
of the extension.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from benchmarks.environment import REVISION, ROOT, revision
from benchmarks.gpu_report import kernel_cache
from sma_kernels.backends import build_info

NAME = "gpu-kit"
LIMIT_MB = 40
PRESET = 6  # of xz
TESTS = ("tests/operators", "--backend", "triton", "--device", "cpu")


def architecture() -> str:
    """The architecture of the extension in this tree, such as "9.0"; SystemExit unless there is exactly one."""
    architectures = build_info.read().get("architectures", [])
    if len(architectures) != 1:
        raise SystemExit(
            f"expected an extension built for one GPU architecture, got {', '.join(architectures) or 'none'}: "
            "TORCH_CUDA_ARCH_LIST=9.0 python setup.py build_ext --inplace"
        )
    return architectures[0].removesuffix("+PTX")


def committed_revision() -> str:
    """The commit of the tree; SystemExit with uncommitted changes, since results must name their commit."""
    if subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=ROOT).returncode:
        raise SystemExit(f"expected {ROOT} as it was committed, got changes: commit them, or clone the commit")
    return revision(ROOT)


def compile_kernels(cache: Path, capability: str, quick: bool) -> None:
    """Kernels of the report, with one process per part, then those of the operator tests."""
    environment = {
        **os.environ,
        "TRITON_CACHE_DIR": str(cache),
        "TRITON_STORE_BINARY_ONLY": "1",
        "SMA_CAPABILITY": capability,
        "CUDA_VISIBLE_DEVICES": "",
    }
    python = (sys.executable, "-m")
    command = [*python, "benchmarks.gpu_kit.precompile", capability]
    parts = [subprocess.Popen([*command, part], cwd=ROOT, env=environment) for part in ("shapes", "smoke")]
    statuses = [part.wait() for part in parts]
    if any(statuses):
        raise SystemExit("kernels did not compile")
    if quick:
        return
    print("Kernels of the operator tests (minutes) ...", flush=True)
    options = ("-q", "-p", "benchmarks.gpu_kit.plugin", "-p", "no:cacheprovider", "-n", str(os.cpu_count() or 1))
    with cache.with_suffix(".log").open("w") as log:  # failures are expected: nothing runs
        subprocess.run([*python, "pytest", *options, *TESTS], cwd=ROOT, env=environment, stdout=log, stderr=log)


def copy_used(cache: Path, to: Path, since: float) -> None:
    """Copy the kernels compiled or used `since`; the cache also holds those of other commits."""
    used = [kernel for kernel in cache.iterdir() if kernel.stat().st_mtime >= since]
    for kernel in used:
        shutil.copytree(kernel, to / kernel.name)
    print(f"{len(used)} kernels")


def pack(out: Path, cache: Path, commit: str, since: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, NAME)
        tree.mkdir()
        committed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x", "-C", tree], input=committed, check=True)
        for built in (*ROOT.glob("sma_kernels/_C*.so"), build_info.FILE):
            shutil.copy2(built, tree / "sma_kernels")
        copy_used(cache, tree / kernel_cache.FOLDER.name, since)
        (tree / REVISION).write_text(commit + "\n")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(out, "w:xz", preset=PRESET) as archive:
            archive.add(tree, NAME)
    megabytes = out.stat().st_size / 1e6
    print(f"{out}: {megabytes:.1f} MB")
    if megabytes > LIMIT_MB:
        raise SystemExit(f"the archive is larger than {LIMIT_MB} MB: leave the tests' kernels out (--quick)")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_kit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help=f"the archive, such as build/{NAME}.tar.xz")
    parser.add_argument("--quick", action="store_true", help="leave the kernels of the operator tests out")
    args = parser.parse_args()
    capability, commit = architecture().replace(".", ""), committed_revision()
    cache, started = ROOT / "build" / "triton_cache", time.time()
    compile_kernels(cache, capability, args.quick)
    pack(args.out, cache, commit, started)


if __name__ == "__main__":
    main()
