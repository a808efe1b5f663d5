"""What is compared: each peer of a function maps its tensors to its outputs."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import sma_kernels

Tensors = dict[str, Tensor]
Peer = Callable[[Tensors], tuple[Tensor, ...]]


def _sma_attention(tensors: Tensors, **settings: str) -> tuple[Tensor, ...]:
    outputs = sma_kernels.sma_attention(**tensors, **settings)
    return outputs.pooled, outputs.diversity


# A function's call on the tensors that `shapes.inputs` makes for it, with the outputs that a loss uses.
CALLS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "sma_attention": _sma_attention,
    "multi_channel_attention": lambda t, **settings: (sma_kernels.multi_channel_attention(**t, **settings),),
    "attention_diversity": lambda t, **settings: (sma_kernels.attention_diversity(**t, **settings),),
    "correlate_attention": lambda t, **settings: sma_kernels.correlate_attention(**t, **settings),
    "attention_pool": lambda t, **settings: sma_kernels.attention_pool(**t, **settings),
}


def unused_outputs(tensors: Tensors) -> list[Tensor]:
    """The outputs of `sma_attention` that no peer's loss uses. Its callers get them all the same, except from
    `torch.compile`, which leaves out what nobody asks for."""
    found = sma_kernels.sma_attention(**tensors)
    return [found.attention, found.maps, found.correlation]


def through(function: str, backend: str, **settings: str) -> Peer:
    """`settings` are those of the function, such as merge="none"."""
    return lambda tensors: CALLS[function](tensors, backend=backend, **settings)


def compiled(function: str, mode: str | None = None, **settings: str) -> Peer:
    """The eager form under `torch.compile`. A process that measures several shapes calls `torch.compiler.reset()` before
    each: torch gives up on a function that it has compiled too often."""
    return torch.compile(through(function, "reference", **settings), fullgraph=True, dynamic=False, mode=mode)


def sdpa_pooling(tensors: Tensors) -> tuple[Tensor, ...]:
    """Attention pooling alone, one query per map: no diversity, correlation, refinement, merge, nor maps to look at."""
    values, features, weight = tensors["values"], tensors["features"], tensors["weight"]
    _, channels, width = weight.shape
    keys = features.flatten(2).unflatten(1, (channels, width)).mT  # [B,K,L,D]
    queries = weight.to(keys.dtype).transpose(0, 1).expand(len(keys), -1, -1, -1)  # [B,K,R,D]
    pixels = values.flatten(2).mT.unsqueeze(1).expand(-1, channels, -1, -1)
    return (scaled_dot_product_attention(queries, keys, pixels, scale=1.0),)


def fused(device: torch.device) -> list[str]:
    """Backends that run on tensors of this device here; the interpreted ones are for tests."""
    names = ("cpu",) if device.type == "cpu" else sma_kernels.backends.ON_GPU
    return [name for name in names if not sma_kernels.backends.FUSED[name].unavailable_reason()]


def peers(function: str, device: torch.device) -> dict[str, Callable[[], Peer]]:
    """Name to maker; the fused backends come first. What was compiled before is forgotten."""
    torch.compiler.reset()
    found: dict[str, Callable[[], Peer]] = {name: (lambda name=name: through(function, name)) for name in fused(device)}
    found["eager"] = lambda: through(function, "reference")
    found["torch.compile"] = lambda: compiled(function)
    if function == "sma_attention":
        found["sdpa pooling"] = lambda: sdpa_pooling
    return found
