"""Fast path of `sma_attention` in plain eager mode: calls the CPU kernels directly.

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

_EAGER_TYPES = {Tensor, nn.Parameter, type(None)}  # subclasses may override operations


def needs_dispatch(tensors: Iterable[Tensor | None]) -> bool:
    """True if a torch mode, transform or tensor subclass may intercept operations on these tensors."""
    return (
        torch.compiler.is_compiling()
        or not set(map(type, tensors)) <= _EAGER_TYPES
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or torch.is_autocast_enabled("cuda")
        or backends.functorch_active()
    )


def sma_attention(args: AttentionArgs, backend: str) -> list[Tensor] | None:
    """The five outputs of `sma_kernels.sma_attention`, or None if the call must go through the dispatcher."""
    if torch.compiler.is_compiling() or backend not in ("cpu", "auto") or not backends.has_run("cpu"):
        return None
    if needs_dispatch(tensors_of(args)) or not _usual_settings(args):
        return None
    return torch.ops.sma_kernels._sma_attention_cpu.default(*flatten(args))


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
