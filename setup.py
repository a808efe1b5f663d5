"""Builds the extension module `sma_kernels._C` and records next to it what was built and what was omitted.

SMA_BUILD=0 builds nothing; the package then runs its reference implementation. SMA_CUDA=0 omits the CUDA kernels.
SMA_SANITIZE=1 adds AddressSanitizer and UndefinedBehaviorSanitizer, whose libraries the process must preload
(tools/test_asan.sh).
"""

import json
import os
import platform
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, str(Path(__file__).parent / "tools"))
import build_jobs
import cuda_build

SOURCES = sorted(str(path) for folder in ("csrc", "csrc/cpu", "csrc/ops") for path in Path(folder).glob("*.cpp"))
SOURCES.remove(cuda_build.OPERATORS)
HEADERS = sorted(str(path) for path in Path("csrc").rglob("*.h"))
COMPILE_ARGS = ["-O3", "-g0", "-fno-math-errno", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-psabi"]
# at::parallel_for is inlined from torch's header and is single-threaded without OpenMP. The OpenMP library has the same name as
# torch's, which is already loaded, so both share one thread pool and torch.set_num_threads controls both.
OPENMP_ARGS = ["-fopenmp"]
SANITIZE_ARGS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
if os.environ.get("SMA_SANITIZE") == "1":
    COMPILE_ARGS += [*SANITIZE_ARGS, "-O1", "-g1", "-fno-omit-frame-pointer"]
    OPENMP_ARGS = [*OPENMP_ARGS, *SANITIZE_ARGS]


def compiler() -> str | None:
    """The C++ compiler that the build uses, or None."""
    cxx = os.environ.get("CXX", "").split()
    return shutil.which(cxx[0]) if cxx else next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)


def skip_reason() -> str | None:
    if os.environ.get("SMA_BUILD") == "0":
        return "SMA_BUILD=0 was set"
    if compiler() is None:
        return "no C++ compiler was found on PATH or in CXX"
    return None


class BuildExtension(build_ext):
    """Delegates to torch's build class, which knows torch's include folders, its ABI and ninja."""

    def run(self):
        reason = skip_reason()
        if reason:
            self.extensions = []
            self.write_facts({"built": False, "left_out": {"extension": reason}})
            return
        try:
            import pybind11
            import torch

            cuda = cuda_build.plan()
            from torch.utils import cpp_extension
        except ImportError as error:
            raise SystemExit(
                f"sma-kernels is built against the torch that it will run with, and {error.name} is not importable "
                "here. Install torch, pybind11, ninja, setuptools and wheel first, then run "
                "pip install --no-build-isolation -e ."
            ) from error
        os.environ.setdefault("MAX_JOBS", str(build_jobs.build_jobs()))
        # setuptools only compares the module with its sources. It would keep a module built for another torch or before nvcc
        # was installed. For the same torch, ninja knows which files must be compiled.
        self.force = True
        if self.read_facts().get("torch") != torch.__version__:
            shutil.rmtree(self.build_temp, ignore_errors=True)
        for extension in self.extensions:
            extension.include_dirs += [*cpp_extension.include_paths(), pybind11.get_include()]
            extension.library_dirs += cpp_extension.library_paths()
            extension.libraries += ["c10", "torch", "torch_cpu", "torch_python"]
            if cuda.left_out is None:
                extension.sources += cuda_build.sources()
                extension.depends += cuda_build.headers()
                extension.include_dirs += cuda.include_dirs
                extension.library_dirs += cuda.library_dirs
                extension.libraries += ["c10_cuda", "torch_cuda"]
                extension.extra_link_args += cuda.link_args
                extension.extra_compile_args["nvcc"] = cuda_build.NVCC_ARGS
        build = cpp_extension.BuildExtension(self.distribution)
        build.__dict__.update({k: v for k, v in self.__dict__.items() if k != "compiler"})
        build.run()
        self.write_facts(
            {
                "built": True,
                "torch": torch.__version__,
                "cuda": None if cuda.left_out else torch.version.cuda,
                "architectures": cuda.architectures,
                "compiler": compiler(),
                "python": platform.python_version(),
                "platform": f"{sys.platform}-{platform.machine()}",
                "left_out": {"cuda": cuda.left_out} if cuda.left_out else {},
            }
        )

    def facts_file(self) -> Path:
        return Path(self.get_ext_fullpath("sma_kernels._C")).with_name("_build.json")

    def read_facts(self) -> dict:
        return json.loads(self.facts_file().read_text()) if self.facts_file().exists() else {}

    def write_facts(self, facts: dict):
        self.facts_file().parent.mkdir(parents=True, exist_ok=True)
        self.facts_file().write_text(json.dumps(facts, indent=1) + "\n")


setup(
    ext_modules=[
        Extension(
            "sma_kernels._C",
            SOURCES,
            depends=HEADERS,
            language="c++",
            extra_compile_args={"cxx": COMPILE_ARGS + OPENMP_ARGS},
            extra_link_args=OPENMP_ARGS,
        )
    ],
    cmdclass={"build_ext": BuildExtension},
)
