"""Builds the emulated GPU: the device code of csrc/cuda, compiled for the host under sanitizers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

HERE = Path(__file__).parent
KERNELS = HERE.parents[1] / "csrc" / "cuda"
BUILD = HERE / "build"
sys.path.insert(0, str(HERE.parents[1] / "tools"))
import cuda_build  # noqa: E402

SOURCES = (
    *(HERE / name for name in ("emulator.cpp", "launch_log.cpp", "server.cpp", "probe_emulated.cpp")),
    KERNELS / "dispatch.cpp",
    *sorted(KERNELS.glob("*.cu")),
)
# Not optimized, because the calls are small and compilation takes most of the time. Contraction is off, so that products are
# rounded where the source rounds them.
FLAGS = (
    *("-std=c++20", "-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    *("-fno-strict-aliasing", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"),
)


def cuda_include() -> Path | None:
    """The folder with cuda_bf16.h: of the toolkit, or of pip's packages."""
    home = cuda_build.find_home()
    folders = [folder / "include" for folder in ([home] if home else []) + cuda_build.pip_folders()]
    return next((folder for folder in folders if (folder / "cuda_bf16.h").exists()), None)


def why_not() -> str | None:
    if shutil.which("g++") is None or shutil.which("ninja") is None:
        return "needs g++ and ninja"
    return None if cuda_include() else "needs the CUDA headers (nvcc, or torch's CUDA build from pip)"


def server() -> Path:
    """The executable of the emulated GPU, rebuilt if a source has changed."""
    BUILD.mkdir(exist_ok=True)
    objects = {source: BUILD / f"{source.name}.o" for source in SOURCES}
    rules = [
        f"flags = {' '.join(FLAGS)} -I{HERE} -isystem {cuda_include()}",
        "rule compile\n command = g++ $flags -MMD -MF $out.d -x c++ -c $in -o $out\n depfile = $out.d\n deps = gcc",
        "rule link\n command = g++ -fsanitize=address,undefined $in -o $out",
        *(f"build {target}: compile {source}" for source, target in objects.items()),
        f"build {BUILD / 'server'}: link {' '.join(map(str, objects.values()))}",
    ]
    jobs = str(os.cpu_count() or 1)
    with FileLock(BUILD / "lock"):  # parallel tests build it once
        (BUILD / "build.ninja").write_text("\n".join(rules) + "\n")
        done = subprocess.run(["ninja", "-C", BUILD, "-j", jobs, "--quiet"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the device code does not compile for the host:\n{done.stdout[-6000:]}")
    return BUILD / "server"
