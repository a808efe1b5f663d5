"""Backend `triton`: one set of kernels for NVIDIA and AMD GPUs. Triton is imported by the first call that needs it."""

import importlib.util
from functools import cache
from typing import Any

import torch

from sma_kernels import checks
from sma_kernels.args import AttentionArgs, GradInputs, GradOutputs, Outputs, Saved, inputs_by_name
from sma_kernels.library import LIBRARY, define_backend_operators

define_backend_operators("triton")  # for the fast path, which is in C++


@cache
def unavailable_reason() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "no Triton is installed"
    try:
        import triton
    except ImportError as error:
        return f"Triton is installed, but does not load: {error}"
    if triton.knobs.runtime.interpret or torch.cuda.is_available():
        return None
    built = torch.version.cuda or torch.version.hip
    return "no GPU driver or no GPU messages" if built else "this torch is built without CUDA and ROCm"


def describe() -> str:
    import triton

    return f"Triton {triton.__version__}, " + ("interpreted on the CPU" if _interprets() else "compiled on first use")


def not_supported_reasons(args: AttentionArgs) -> list[str]:
    messages = []
    grid = args.grid
    if grid.device.type != "cuda" and not (grid.device.type == "cpu" and _interprets()):
        hint = " (CPU tensors run under TRITON_INTERPRET=1)" if grid.device.type == "cpu" else ""
        messages.append(f"runs on CUDA and ROCm tensors; got a tensor on {grid.device.type}{hint}")
    if grid.dtype == torch.float64:
        messages.append("float64 is not supported: sums are accumulated in float32")
    # A loop, because torch.compile of torch 2.11 breaks the graph at `max(..., default=0)`.
    largest = (args.regions * args.channels) ** 2
    for tensor in (args.values, args.features, args.maps):
        if tensor is not None and tensor.shape[0]:
            largest = max(largest, tensor.numel() // tensor.shape[0])
    if largest >= 2**31:
        messages.append("one sample has 2**31 elements or more, which 32-bit offsets inside a sample cannot reach")
    return messages


@torch.compiler.assume_constant_result
def _interprets() -> bool:
    if importlib.util.find_spec("triton") is None:
        return False
    import triton

    return bool(triton.knobs.runtime.interpret)


def forward(args: AttentionArgs) -> Outputs:
    from sma_kernels.triton_kernels import launch

    checks.memory(**inputs_by_name(args))
    return launch.forward(args)


def backward(args: AttentionArgs, saved: Saved, grad_outputs: GradOutputs, needs: list[bool]) -> GradInputs:
    from sma_kernels.triton_kernels import launch

    checks.memory(**inputs_by_name(args))
    checks.memory(**{f"saved_{name}": tensor for name, tensor in saved._asdict().items()})
    checks.memory(**{f"grad_{name}": tensor for name, tensor in grad_outputs._asdict().items()})
    return launch.backward(args, saved, grad_outputs, needs)


def _forward_operator(*flat: Any) -> Outputs:
    return forward(AttentionArgs(*flat))


def _backward_operator(*flat: Any) -> GradInputs:
    n_grads, n_saved = len(GradOutputs._fields), len(Saved._fields)
    grads, saved, (*arguments, needs) = flat[:n_grads], flat[n_grads : n_grads + n_saved], flat[n_grads + n_saved :]
    return backward(AttentionArgs(*arguments), Saved(*saved), GradOutputs(*grads), needs)


LIBRARY.impl("_forward_triton", _forward_operator, "CompositeExplicitAutograd")
LIBRARY.impl("_backward_triton", _backward_operator, "CompositeExplicitAutograd")
