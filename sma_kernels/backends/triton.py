"""Backend `triton`: one set of kernels for NVIDIA and AMD GPUs. Triton is imported by the first call that needs it."""

import importlib.util
from functools import cache

import torch

from sma_kernels import checks
from sma_kernels.head import Cotangents, Gradients, Head, Outputs, Saved, inputs_of


@cache
def why_unavailable() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "no Triton is installed"
    try:
        import triton
    except ImportError as error:
        return f"Triton is installed, but does not load: {error}"
    if triton.knobs.runtime.interpret or torch.cuda.is_available():
        return None
    built = torch.version.cuda or torch.version.hip
    return "no GPU driver or no GPU found" if built else "this torch is built without CUDA and ROCm"


def describe() -> str:
    import triton

    return f"Triton {triton.__version__}, " + ("interpreted on the CPU" if _interprets() else "compiled on first use")


def refusals(head: Head) -> list[str]:
    found = []
    grid = head.grid
    if grid.device.type != "cuda" and not (grid.device.type == "cpu" and _interprets()):
        hint = " (CPU tensors run under TRITON_INTERPRET=1)" if grid.device.type == "cpu" else ""
        found.append(f"runs on CUDA and ROCm tensors; got a tensor on {grid.device.type}{hint}")
    if grid.dtype == torch.float64:
        found.append("float64 is not supported: its sums are carried in float32")
    # By a loop: torch.compile of torch 2.11 ends its graph at `max(..., default=0)`.
    largest = (head.regions * head.channels) ** 2
    for tensor in (head.values, head.features, head.maps):
        if tensor is not None and len(tensor):
            largest = max(largest, tensor.numel() // len(tensor))
    if largest >= 2**31:
        found.append("one sample has 2**31 elements or more, which 32-bit offsets inside a sample cannot reach")
    return found


@torch.compiler.assume_constant_result
def _interprets() -> bool:
    if importlib.util.find_spec("triton") is None:
        return False
    import triton

    return bool(triton.knobs.runtime.interpret)


def forward(head: Head) -> Outputs:
    from sma_kernels.triton_kernels import launch

    checks.memory(**inputs_of(head)._asdict())
    return launch.forward(head)


def backward(head: Head, saved: Saved, cotangents: Cotangents, needs: list[bool]) -> Gradients:
    from sma_kernels.triton_kernels import launch

    checks.memory(**inputs_of(head)._asdict())
    checks.memory(**{f"saved_{name}": tensor for name, tensor in saved._asdict().items()})
    checks.memory(**{f"grad_{name}": tensor for name, tensor in cotangents._asdict().items()})
    return launch.backward(head, saved, cotangents, needs)
