"""The short way of `sma_attention`: straight to the CPU kernels where nobody differentiates, traces, transforms or casts.

A registered operator in Python and the checks before it cost several times what a small call computes. The kernels check
their tensors themselves; where they or this module find anything unusual, the long way is taken, which says what it is.
"""

import math

import torch
from torch import Tensor, nn

from sma_kernels import backends, checks

_PLAIN = {Tensor, nn.Parameter, type(None)}  # subclasses have ways of their own


def sma_attention(
    values, features, weight, bias, temperature, gate, relation_bias, activation, merge, margin, backend
) -> tuple[Tensor, ...] | None:
    """The five outputs, or None where the long way must be taken. Arguments as in `sma_kernels.sma_attention`."""
    if torch.compiler.is_compiling() or backend not in ("cpu", "auto") or not backends.ran_before("cpu"):
        return None
    t, t_tensor = (0.0, temperature) if isinstance(temperature, Tensor) else (temperature, None)
    g, g_tensor = (0.0, gate) if isinstance(gate, Tensor) else (gate, None)
    tensors = (values, features, weight, bias, t_tensor, g_tensor, relation_bias)
    if not set(map(type, tensors)) <= _PLAIN or not _numbers(t, t_tensor, g, g_tensor, margin):
        return None
    if _watched() or _differentiated(tensors):
        return None
    try:
        if not values.is_cpu or not len(values):
            return None
        return torch.ops.sma_kernels._forward_cpu.default(
            *(values, features, None, weight, bias, t, t_tensor, g, g_tensor, relation_bias),
            *(activation, merge, margin, True, True),
        )[:5]
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return None


def _numbers(t, t_tensor, g, g_tensor, margin) -> bool:
    """Whether temperature, gate and margin are floats in their ranges, or tensors."""
    return (
        (t_tensor is not None or (type(t) is float and 0 < t < math.inf))
        and (g_tensor is not None or (type(g) is float and 0 <= g <= 1))
        and type(margin) is float
        and checks.finite(margin)
    )


def _watched() -> bool:
    """Whether a mode of torch must see the registered operator, or casts its inputs."""
    return (
        torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or backends.transformed()
    )


def _differentiated(tensors: tuple) -> bool:
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)
