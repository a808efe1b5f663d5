"""Triton for an absent GPU: launches compile into the cache of Triton, but nothing runs.

Outputs are uninitialized. Each kernel is specialized exactly as by the real launch.
"""

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from inspect import getsource
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime.jit import JITFunction

from benchmarks.gpu_report.kernel_cache import Kernels, listening
from sma_kernels import backends


class StandInDriver(DriverBase):
    """The part of a Triton driver that compilation uses."""

    def __init__(self, capability: int):
        self.target = GPUTarget("cuda", capability, 32)

    @classmethod
    def is_active(cls):
        return True

    def map_python_to_cpp_type(self, ty: str) -> str:
        return ty

    def get_current_target(self):
        return self.target

    def get_active_torch_device(self):
        return torch.device("cpu")

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_benchmarker(self):
        raise NotImplementedError("nothing runs here")


def driver_library(callers: str) -> str:
    """A folder with a stub of the driver library, absent without a GPU, for linking the launchers. It defines the functions
    that `callers` use, in every version: a library without used symbols would not be linked."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    names = {name + version for name in re.findall(r"\bcu[A-Z]\w*", callers) for version in ("", "_v2", "_v3", "_v4")}
    source = "".join(f"void {name}(void) {{}}\n" for name in sorted(names))
    compiler = [os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-x", "c", "-"]
    subprocess.run([*compiler, "-o", f"{folder}/libcuda.so.1"], input=source, text=True, check=True)
    return folder


def launcher_compiler() -> Callable[[Any], None]:
    """Compiles the launcher of a kernel into the same cache. Triton 3.6 has one C program per signature, about a second
    each, and one more that queries the device; Triton 3.8 launches all kernels with the same program.
    """
    from triton.backends.nvidia import driver
    from triton.runtime import build

    if not hasattr(driver, "make_launcher"):
        return lambda kernel: None
    triton.knobs.nvidia.libcuda_path = driver_library(Path(driver.dirname, "driver.c").read_text() + getsource(driver))

    def used(name: str, path: str) -> ModuleType:
        """Replaces loading, which needs the driver, by a module in which every name is None."""
        os.utime(Path(path).parent)
        module = ModuleType(name)
        module.__getattr__ = lambda attribute: None
        return module

    build._load_module_from_path = used
    driver.CudaUtils()
    compiled = set()

    def compile_launcher(kernel: Any) -> None:
        if kernel.hash not in compiled:
            compiled.add(kernel.hash)
            driver.CudaLauncher(kernel.src, kernel.metadata)

    return compile_launcher


def compile_only(capability: int) -> Kernels:
    """Make this process compile for a GPU of this compute capability (90 for 9.0), with tensors on the CPU."""
    run, compile_launcher = JITFunction.run, launcher_compiler()

    def compile_it(kernel: JITFunction, *args, grid, warmup, **kwargs) -> None:
        compile_launcher(run(kernel, *args, grid=grid, warmup=True, **kwargs))

    JITFunction.run = compile_it
    triton.runtime.driver.set_active(StandInDriver(capability))
    backends.triton.unavailable_reason = lambda: None
    backends.triton.not_supported_reasons = lambda args: ["float64"] if args.grid.dtype == torch.float64 else []
    return listening()
