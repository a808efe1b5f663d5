"""What is compared: each peer maps the arguments of `sma_attention` to (pooled, diversity)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import sma_kernels

Peer = Callable[[dict[str, Tensor]], tuple[Tensor, ...]]


def through(backend: str) -> Peer:
    def run(tensors: dict[str, Tensor]) -> tuple[Tensor, ...]:
        found = sma_kernels.sma_attention(**tensors, backend=backend)
        return found.pooled, found.diversity

    return run


def compiled() -> Peer:
    """The eager form under `torch.compile` with its default mode, fresh for every shape."""
    torch.compiler.reset()
    return torch.compile(through("reference"), fullgraph=True, dynamic=False)


def sdpa_pooling(tensors: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Attention pooling alone, one query per map: no diversity, correlation, refinement, merge, nor maps to look at."""
    values, features, weight = tensors["values"], tensors["features"], tensors["weight"]
    _, channels, width = weight.shape
    keys = features.flatten(2).unflatten(1, (channels, width)).mT  # [B,K,L,D]
    queries = weight.to(keys.dtype).transpose(0, 1).expand(len(keys), -1, -1, -1)  # [B,K,R,D]
    pixels = values.flatten(2).mT.unsqueeze(1).expand(-1, channels, -1, -1)
    return (scaled_dot_product_attention(queries, keys, pixels, scale=1.0),)


def peers() -> dict[str, Callable[[], Peer]]:
    """Name to maker; the fused backends that run here come first."""
    fused = {
        name: (lambda name=name: through(name))
        for name, backend in sma_kernels.backends.FUSED.items()
        if not backend.why_unavailable()
    }
    return {
        **fused,
        "eager": lambda: through("reference"),
        "torch.compile": compiled,
        "sdpa pooling": lambda: sdpa_pooling,
    }
