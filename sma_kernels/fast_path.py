"""Fast path of `sma_attention` in plain eager mode: one operator in C++ that calls the kernels of every fused backend.

A registered operator in Python and the checks before it cost several times what a small call computes. The C++ side
validates the call without raising: anything unusual returns None, and the dispatcher path raises the descriptive error.
Errors of the kernels themselves, such as out of memory, are raised here.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sma_kernels import backends, checks
from sma_kernels.args import AttentionArgs, flatten, tensors_of
from sma_kernels.backends import extension

_EAGER_TYPES = {Tensor, nn.Parameter, type(None)}  # subclasses may override operations
_run = torch.ops.sma_kernels._sma_attention.default


def needs_dispatch(tensors: Iterable[Tensor | None]) -> bool:
    """True if a torch mode, transform or tensor subclass may intercept operations on these tensors."""
    return (
        torch.compiler.is_compiling()
        or not _EAGER_TYPES.issuperset(map(type, tensors))
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or torch._C._get_tracing_state() is not None
        or torch._C._is_any_autocast_enabled()
        or backends.functorch_active()
    )


def sma_attention(args: AttentionArgs, backend: str) -> list[Tensor] | None:
    """The five outputs of `sma_kernels.sma_attention`, or None if the call must go through the dispatcher."""
    if torch.compiler.is_compiling() or backend == "reference" or backend not in backends.NAMES or extension.LOAD_ERROR:
        return None
    if needs_dispatch(tensors_of(args)) or not _usual_settings(args):
        return None
    name = _proven_backend(args, backend)
    return None if name is None else _run(*flatten(args), name)


def _proven_backend(args: AttentionArgs, backend: str) -> str | None:
    """The fused backend that runs the call, if it has run on this device: the first call there takes the dispatcher path,
    which examines the device and logs the choice."""
    values, features, weight = args.values, args.features, args.weight
    if values is None or features is None or weight is None:
        return None
    if (values.dim(), features.dim(), weight.dim()) != (4, 4, 3):
        return None  # choices depend on sizes
    name = backends.candidates(args)[0] if backend == "auto" else backend
    if not backends.has_run(name, features.device):
        return None
    return None if name in backends.ON_GPU and backends.FUSED[name].not_supported_reasons(args) else name


def _usual_settings(args: AttentionArgs) -> bool:
    """Whether the settings have the types of the schema, and numbers are in their ranges."""
    t, g, margin = args.temperature, args.gate, args.margin
    return (
        (args.temperature_tensor is not None or (type(t) is float and 0 < t < math.inf))
        and (args.gate_tensor is not None or (type(g) is float and 0 <= g <= 1))
        and type(margin) is float
        and checks.finite(margin)
        and args.activation in checks.ACTIVATIONS
        and args.merge in checks.MERGES
    )
