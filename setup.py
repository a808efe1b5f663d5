"""Builds the extension module `sma_kernels._C` and writes down, beside it, what was built and what was left out.

SMA_BUILD=0 builds nothing: the package then runs through its reference. SMA_CUDA=0 leaves the CUDA kernels out.
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
# at::parallel_for is inlined from torch's header, and runs on one thread where the compiler knows no OpenMP. The library
# carries the name of torch's own, which is loaded already: one pool of threads, torch.set_num_threads reigns over both.
OPENMP_ARGS = ["-fopenmp"]
SANITIZE_ARGS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
if os.environ.get("SMA_SANITIZE") == "1":
    COMPILE_ARGS += [*SANITIZE_ARGS, "-O1", "-g1", "-fno-omit-frame-pointer"]
    OPENMP_ARGS = [*OPENMP_ARGS, *SANITIZE_ARGS]


def compiler() -> str | None:
    """The C++ compiler that the build will call, or None."""
    asked = os.environ.get("CXX", "").split()
    return shutil.which(asked[0]) if asked else next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)


def skip_reason() -> str | None:
    if os.environ.get("SMA_BUILD") == "0":
        return "SMA_BUILD=0 was set"
    if compiler() is None:
        return "no C++ compiler was found on PATH or in CXX"
    return None


class BuildExtension(build_ext):
    """Hands the compilation to torch's own build class, which knows torch's include folders, ABI and ninja."""

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
        # setuptools compares the module with its sources alone, and would keep one that belongs to another torch, or that
        # was built before nvcc was there. ninja knows which files need compiling, of the same torch.
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
