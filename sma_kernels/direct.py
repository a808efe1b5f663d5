"""The short way of `sma_attention`: straight to the CPU kernels where nobody traces, transforms or casts.

A registered operator in Python and the checks before it cost several times what a small call computes. The kernels check
their tensors themselves; where they or this module find anything unusual, the long way is taken, which says what it is.
"""

import math

import torch
from torch import Tensor

from sma_kernels import backends, checks, modes
from sma_kernels.ops.fused import FORMULAS


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
    arguments = (values, features, weight, bias, t, t_tensor, g, g_tensor, relation_bias, activation, merge, margin)
    try:
        if not values.is_cpu or not len(values):
            return None
        if _differentiated(tensors):
            return _Differentiable.apply(*arguments, "cpu")[:5]
        return _forward(*arguments)[:5]
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return None


def _forward(values, features, *rest) -> tuple[Tensor, ...]:
    return torch.ops.sma_kernels._forward_cpu.default(values, features, None, *rest, True, True)


class _Differentiable(torch.autograd.Function):
    """The operator's own formula, without the dispatcher on its way."""

    @staticmethod
    def forward(ctx, *arguments):
        setup_context, _ = FORMULAS["sma_attention"]
        # Apart from `setup_context` torch binds the arguments by inspecting the signature, at every call.
        values = arguments[0]
        outputs = tuple(values.new_empty(0) if out is None else out for out in _forward(*arguments[:-1]))
        setup_context(ctx, arguments, outputs)
        return outputs

    @staticmethod
    def backward(ctx, *cotangents):
        _, derive = FORMULAS["sma_attention"]
        return derive(ctx, *cotangents)


def _numbers(t, t_tensor, g, g_tensor, margin) -> bool:
    """Whether temperature, gate and margin are floats in their ranges, or tensors."""
    return (
        (t_tensor is not None or (type(t) is float and 0 < t < math.inf))
        and (g_tensor is not None or (type(g) is float and 0 <= g <= 1))
        and type(margin) is float
        and checks.finite(margin)
    )


def _differentiated(tensors: tuple) -> bool:
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)
