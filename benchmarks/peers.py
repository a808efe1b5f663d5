"""What is compared: each peer of a function maps its tensors to its outputs."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import sma_kernels

Tensors = dict[str, Tensor]
Peer = Callable[[Tensors], tuple[Tensor, ...]]


def _sma_attention(tensors: Tensors, backend: str) -> tuple[Tensor, ...]:
    found = sma_kernels.sma_attention(**tensors, backend=backend)
    return found.pooled, found.diversity


# A function's call on the tensors that `shapes.inputs` makes for it, with the outputs that a loss uses.
CALLS: dict[str, Callable[[Tensors, str], tuple[Tensor, ...]]] = {
    "sma_attention": _sma_attention,
    "multi_channel_attention": lambda t, backend: (sma_kernels.multi_channel_attention(**t, backend=backend),),
    "attention_diversity": lambda t, backend: (sma_kernels.attention_diversity(**t, backend=backend),),
    "correlate_attention": lambda t, backend: sma_kernels.correlate_attention(**t, backend=backend),
    "attention_pool": lambda t, backend: sma_kernels.attention_pool(**t, backend=backend),
}


def unused_outputs(tensors: Tensors) -> list[Tensor]:
    """The outputs of `sma_attention` that no peer's loss uses. Its callers get them all the same, except from
    `torch.compile`, which leaves out what nobody asks for."""
    found = sma_kernels.sma_attention(**tensors)
    return [found.attention, found.maps, found.correlation]


def through(function: str, backend: str) -> Peer:
    return lambda tensors: CALLS[function](tensors, backend)


def compiled(function: str, **options) -> Peer:
    """The eager form under `torch.compile`, fresh for every shape; its default mode unless `options` say otherwise."""
    torch.compiler.reset()
    return torch.compile(through(function, "reference"), fullgraph=True, dynamic=False, **options)


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
    return [name for name in names if not sma_kernels.backends.FUSED[name].why_unavailable()]


def peers(function: str, device: torch.device) -> dict[str, Callable[[], Peer]]:
    """Name to maker; the fused backends come first."""
    found: dict[str, Callable[[], Peer]] = {name: (lambda name=name: through(function, name)) for name in fused(device)}
    found["eager"] = lambda: through(function, "reference")
    found["torch.compile"] = lambda: compiled(function)
    if function == "sma_attention":
        found["sdpa pooling"] = lambda: sdpa_pooling
    return found


def check(found: dict[str, Peer], tensors: Tensors) -> None:
    """No row is timed whose results are not the eager ones."""
    expected = found["eager"](tensors)
    for name, peer in found.items():
        if name == "sdpa pooling":
            continue
        for got, wanted in zip(peer(tensors), expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=0.02, atol=0.02 if got.dtype != torch.float32 else 1e-3)
