"""The short way of `sma_attention`: straight to the CPU kernels where nobody traces, transforms or casts.

A registered operator in Python and the checks before it cost several times what a small call computes. The kernels check
their tensors themselves; where they or this module find anything unusual, the long way is taken, which says what it is.
"""

import math

import torch
from torch import Tensor

from sma_kernels import backends, checks, modes


def sma_attention(
    values, features, weight, bias, temperature, gate, relation_bias, activation, merge, margin, backend
) -> tuple[Tensor, ...] | None:
    """The five outputs, or None where the long way must be taken. Arguments as in `sma_kernels.sma_attention`."""
    if torch.compiler.is_compiling() or backend not in ("cpu", "auto") or not backends.ran_before("cpu"):
        return None
    t, t_tensor = (0.0, temperature) if isinstance(temperature, Tensor) else (temperature, None)
    g, g_tensor = (0.0, gate) if isinstance(gate, Tensor) else (gate, None)
    tensors = (values, features, weight, bias, t_tensor, g_tensor, relation_bias)
    if modes.watched(tensors) or not _numbers(t, t_tensor, g, g_tensor, margin):
        return None
    try:
        if not values.is_cpu or not len(values):
            return None
        return torch.ops.sma_kernels._sma_attention_cpu.default(
            values, features, weight, bias, t, t_tensor, g, g_tensor, relation_bias, activation, merge, margin
        )
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
