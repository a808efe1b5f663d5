"""Triton for a GPU that is not there: what would be launched is compiled into Triton's cache, and nothing runs.

Outputs hold whatever the memory held. What counts is that each kernel is specialised as the real launch does it.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime.jit import JITFunction

from sma_kernels import backends


class StandInDriver(DriverBase):
    """Answers what Triton asks of a driver before it compiles."""

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


@dataclass
class Kernels:
    """Names of the kernels that were compiled, and of those that lay in the cache already."""

    compiled: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)

    def __str__(self):
        return f"{len(self.compiled)} kernels compiled, {len(self.cached)} in the cache"


def listen(kernels: Kernels) -> None:
    """Has Triton report every kernel that it compiles or takes from its cache."""

    def note(*, src, metadata_group: dict[str, str], cache_hit: bool, **_) -> None:
        (kernels.cached if cache_hit else kernels.compiled).append(src.name)
        if cache_hit:
            os.utime(Path(next(iter(metadata_group.values()))).parent)  # it is still in use

    triton.knobs.compilation.listener = note


def compile_only(capability: int) -> Kernels:
    """From here on this process compiles for a GPU of this compute capability (90 for 9.0), for tensors on the CPU."""
    run = JITFunction.run

    def compile_it(kernel: JITFunction, *args, grid, warmup, **kwargs) -> None:
        run(kernel, *args, grid=grid, warmup=True, **kwargs)

    JITFunction.run = compile_it
    triton.runtime.driver.set_active(StandInDriver(capability))
    backends.triton.why_unavailable = lambda: None
    backends.triton.refusals = lambda head: ["float64"] if head.grid.dtype == torch.float64 else []
    kernels = Kernels()
    listen(kernels)
    return kernels
