"""Backend `cuda`: the C++/CUDA kernels of csrc/cuda, behind two private operators of the compiled module."""

from functools import cache

import torch

from sma_kernels.args import Cotangents, Gradients, Head, Outputs, Saved
from sma_kernels.backends import build_info, extension
from sma_kernels.backends.cpu import call_arguments
from sma_kernels.library import define_backend_operators

OLDEST = (8, 0)  # asynchronous copies and bfloat16 products begin there

define_backend_operators("cuda")


def why_unavailable() -> str | None:
    if extension.WHY_NOT:
        return extension.WHY_NOT
    facts = build_info.read()
    if not facts.get("architectures"):
        return f"not built ({facts.get('left_out', {}).get('cuda', 'the extension has no CUDA part')})"
    if not torch.cuda.is_available():
        return "no driver (torch finds no CUDA card that it can use)"
    return _why_no_card_is_served()


@cache  # the cards of a process do not change
def _why_no_card_is_served() -> str | None:
    reasons = [_why_unserved(index) for index in range(torch.cuda.device_count())]
    return reasons[0] if all(reasons) else None


def describe() -> str:
    return ", ".join(build_info.read().get("architectures", []))


def refusals(head: Head) -> list[str]:
    device = head.grid.device
    if device.type != "cuda" or torch.version.cuda is None:
        return [f"runs on tensors on an NVIDIA card; got a tensor on {device.type}"]
    found = []
    if head.grid.dtype == torch.float64:
        found.append("float64 is left to backend='reference': cards run it at a small part of their speed")
    unserved = _why_unserved(device.index)
    return [*found, unserved] if unserved else found


@torch.compiler.assume_constant_result  # it reads files, which a traced graph cannot
def _why_unserved(index: int | None) -> str | None:
    """Why the kernels do not run on the card `index`; None is the current one."""
    capability = torch.cuda.get_device_capability(index)
    if capability < OLDEST:
        return f"needs compute capability 8.0 or newer; {torch.cuda.get_device_name(index)} has {capability}"
    if not _serves(build_info.read().get("architectures", []), capability):
        return (
            f"not built for compute capability {capability[0]}.{capability[1]}: "
            "set TORCH_CUDA_ARCH_LIST and install anew"
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


def forward(head: Head) -> Outputs:
    return Outputs(*torch.ops.sma_kernels._forward_cuda.default(*call_arguments(head)))


def backward(head: Head, saved: Saved, cotangents: Cotangents, needs: list[bool]) -> Gradients:
    return Gradients(*torch.ops.sma_kernels._backward_cuda.default(*cotangents, *saved, *call_arguments(head), needs))
