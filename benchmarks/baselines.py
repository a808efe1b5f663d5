"""The compared implementations of each function: ours, and the baselines. Each maps tensors to outputs."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

import sma_kernels
from benchmarks.module import MODULE, ModuleCall, Tensors, convolution_alone

Implementation = Callable[[Tensors], tuple[Tensor, ...]]


def _sma_attention(tensors: Tensors, **settings: str) -> tuple[Tensor, ...]:
    outputs = sma_kernels.sma_attention(**tensors, **settings)
    return outputs.pooled, outputs.diversity


# Calls of each function on the tensors of `shapes.inputs`, with the outputs that a loss uses.
CALLS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "sma_attention": _sma_attention,
    "multi_channel_attention": lambda t, **settings: (sma_kernels.multi_channel_attention(**t, **settings),),
    "attention_diversity": lambda t, **settings: (sma_kernels.attention_diversity(**t, **settings),),
    "correlate_attention": lambda t, **settings: sma_kernels.correlate_attention(**t, **settings),
    "attention_pool": lambda t, **settings: sma_kernels.attention_pool(**t, **settings),
}


# Implementations of a part of a function, or of another one with a similar purpose: their results are not compared.
PARTS = ("sdpa pooling", "convolution")


def unused_outputs(function: str, tensors: Tensors, **settings: str) -> list[Tensor]:
    """The outputs that the benchmark's loss does not use. All implementations compute them, except `torch.compile`, which
    removes unused outputs."""
    if function == MODULE:
        outputs = ModuleCall("auto", **settings).outputs(tensors)
    elif function == "sma_attention":
        outputs = sma_kernels.sma_attention(**tensors, **settings)
    else:
        return []
    return [outputs.attention, outputs.maps, outputs.correlation]


def with_backend(function: str, backend: str, **settings: str) -> Implementation:
    """The function or the module on one backend; `settings` are its keyword arguments, such as merge="none"."""
    if function == MODULE:
        return ModuleCall(backend, **settings)
    return lambda tensors: CALLS[function](tensors, backend=backend, **settings)


def compiled(function: str, mode: str | None = None, **settings: str) -> Implementation:
    """The eager form under `torch.compile`. A process that measures several shapes must call `torch.compiler.reset()`
    before each: torch stops compiling a function after too many recompilations."""
    if function == MODULE:
        return ModuleCall("reference", compiled=True, mode=mode, **settings)
    return torch.compile(with_backend(function, "reference", **settings), fullgraph=True, dynamic=False, mode=mode)


def sdpa_pooling(tensors: Tensors) -> tuple[Tensor, ...]:
    """Attention pooling alone, one query per map: without diversity, correlation, refinement, merge and attention maps."""
    values, features, weight = tensors["values"], tensors["features"], tensors["weight"]
    _, channels, width = weight.shape
    keys = features.flatten(2).unflatten(1, (-1, width)).mT.expand(-1, channels, -1, -1)  # [B,K,L,D]
    queries = weight.to(keys.dtype).transpose(0, 1).expand(len(keys), -1, -1, -1)  # [B,K,R,D]
    pixels = values.flatten(2).mT.unsqueeze(1).expand(-1, channels, -1, -1)
    return (scaled_dot_product_attention(queries, keys, pixels, scale=1.0),)


def available_backends(device: torch.device) -> list[str]:
    """Fused backends that run on this device here; interpreted ones are excluded."""
    names = ("cpu",) if device.type == "cpu" else sma_kernels.backends.ON_GPU
    return [name for name in names if not sma_kernels.backends.FUSED[name].unavailable_reason()]


def implementations(function: str, device: torch.device, **settings: str) -> dict[str, Callable[[], Implementation]]:
    """Factories by name, fused backends first. Resets torch.compile."""
    torch.compiler.reset()
    makers: dict[str, Callable[[], Implementation]] = {
        name: (lambda name=name: with_backend(function, name, **settings)) for name in available_backends(device)
    }
    makers["eager"] = lambda: with_backend(function, "reference", **settings)
    makers["torch.compile"] = lambda: compiled(function, **settings)
    if function == "sma_attention":
        makers["sdpa pooling"] = lambda: sdpa_pooling
    if function == MODULE:
        makers["convolution"] = lambda: convolution_alone
    return makers
