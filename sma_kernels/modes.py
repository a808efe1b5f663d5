"""Whether anybody must see the registered operators: then they are called, else the kernels behind them, at less cost."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sma_kernels import backends

_PLAIN = {Tensor, nn.Parameter, type(None)}  # subclasses have ways of their own


def watched(tensors: Iterable[Tensor | None]) -> bool:
    """Whether a mode or transform of torch traces, casts or replaces what is done with these tensors, or one of them does."""
    return (
        torch.compiler.is_compiling()
        or not set(map(type, tensors)) <= _PLAIN
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or torch.is_autocast_enabled("cuda")
        or backends.transformed()
    )
