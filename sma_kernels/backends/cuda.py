"""Backend `cuda`: the C++/CUDA kernels of csrc/cuda, behind two private operators of the compiled module."""

from functools import cache

import torch

from sma_kernels.args import AttentionArgs, GradInputs, GradOutputs, Outputs, Saved, flatten
from sma_kernels.backends import build_info, extension
from sma_kernels.library import define_backend_operators

OLDEST = (8, 0)  # the first with asynchronous copies and bfloat16 products

define_backend_operators("cuda")


def unavailable_reason() -> str | None:
    if extension.LOAD_ERROR:
        return extension.LOAD_ERROR
    facts = build_info.read()
    if not facts.get("architectures"):
        return f"not built ({facts.get('left_out', {}).get('cuda', 'the extension has no CUDA part')})"
    if not torch.cuda.is_available():
        return "no driver (torch finds no CUDA GPU that it can use)"
    return _no_device_reason()


@cache  # the GPUs of a process do not change
def _no_device_reason() -> str | None:
    reasons = [_device_unavailable_reason(index) for index in range(torch.cuda.device_count())]
    return reasons[0] if all(reasons) else None


def describe() -> str:
    return ", ".join(build_info.read().get("architectures", []))


def not_supported_reasons(args: AttentionArgs) -> list[str]:
    device = args.grid.device
    if device.type != "cuda" or torch.version.cuda is None:
        return [f"runs on tensors on an NVIDIA GPU; got a tensor on {device.type}"]
    messages = []
    if args.grid.dtype == torch.float64:
        messages.append("float64 is not supported (GPUs run it at a fraction of their speed); use backend='reference'")
    unavailable = _device_unavailable_reason(device.index)
    return [*messages, unavailable] if unavailable else messages


@torch.compiler.assume_constant_result  # it reads files, which cannot be traced
def _device_unavailable_reason(index: int | None) -> str | None:
    """Why the kernels do not run on the GPU `index` (None: the current one), or None if they do."""
    capability = torch.cuda.get_device_capability(index)
    if capability < OLDEST:
        return f"needs compute capability 8.0 or newer; {torch.cuda.get_device_name(index)} has {capability}"
    if not _serves(build_info.read().get("architectures", []), capability):
        return (
            f"not built for compute capability {capability[0]}.{capability[1]}: set TORCH_CUDA_ARCH_LIST and reinstall"
        )
    return None


def _serves(architectures: list[str], capability: tuple[int, int]) -> bool:
    """Machine code runs on its own major version from its minor version on; "+PTX" runs on everything newer."""
    for architecture in architectures:
        number, _, ptx = architecture.partition("+")
        major, minor = (int(part) for part in number.split("."))
        if (major == capability[0] and minor <= capability[1]) or (ptx and (major, minor) <= capability):
            return True
    return False


def forward(args: AttentionArgs) -> Outputs:
    return Outputs(*torch.ops.sma_kernels._forward_cuda.default(*flatten(args)))


def backward(args: AttentionArgs, saved: Saved, grad_outputs: GradOutputs, needs: list[bool]) -> GradInputs:
    return GradInputs(*torch.ops.sma_kernels._backward_cuda.default(*grad_outputs, *saved, *flatten(args), needs))
