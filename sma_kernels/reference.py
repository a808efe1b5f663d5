"""The mathematics of the attention head in plain PyTorch; every other backend is measured against this file.

Shapes: B batch, R regions, K channels per region, N = R*K maps (map n = r*K + k), G feature groups (1 or K),
D embedding width, C value channels, L = H*W positions. Everything is computed in float32, or in float64 for
float64 inputs, and rounded once at the end.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

NORM_FLOOR = 1e-6  # floor of a map's 2-norm in the cosine
SUM_FLOOR = 1e-6  # floor of a map's sum in the pooling


def wide_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which sums are carried for inputs of `dtype`."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on for `device`. Some have none, "meta" among them: torch raises where one asks it of those."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> AbstractContextManager:
    return torch.autocast(device.type, enabled=False) if autocasts(device) else nullcontext()


def attention_maps(features: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    """M [B,R,K,L] from features [B,G*D,H,W], weight [R,K,D] and bias [R,K]: each channel k reads feature group k."""
    _, channels, width = weight.shape
    grouped = features.flatten(2).unflatten(1, (-1, width)).expand(-1, channels, -1, -1)
    # Not einsum: onnxruntime's divides by the batch size, and an empty batch would kill its process.
    logits = (weight.transpose(0, 1) @ grouped).transpose(1, 2)
    if bias is not None:
        logits = logits + bias[..., None]
    return logits.softmax(-1) if activation == "softmax" else logits.sigmoid()


def cosine_gram(maps: Tensor) -> Tensor:
    """cos [B,N,N] between the maps [B,N,L] of each sample; an all-zero map has cosine 0 with every map."""
    unit = maps / torch.linalg.vector_norm(maps, dim=-1, keepdim=True).clamp_min(NORM_FLOOR)
    return unit @ unit.mT


def hinge_diversity(cos: Tensor, regions: int, channels: int, margin: float) -> Tensor:
    """Mean excess of the cosine over `margin` [B], over the ordered pairs of channels inside each region."""
    within = cos.unflatten(1, (regions, channels)).unflatten(3, (regions, channels))
    within = within.diagonal(dim1=1, dim2=3)  # [B,K,K,R]
    excess = (within - margin).relu()
    other = 1 - torch.eye(channels, dtype=cos.dtype, device=cos.device)
    pairs = max(1, regions * channels * (channels - 1))
    return torch.where(other[..., None] > 0, excess, 0).sum((1, 2, 3)) / pairs


def correlation_of(cos: Tensor, temperature: float | Tensor, relation_bias: Tensor | None) -> Tensor:
    """S [B,N,N]: each row a softmax over the other maps of the cosine, sharpened by 1/temperature."""
    scores = cos / temperature
    if relation_bias is not None:
        scores = scores + relation_bias
    return scores.softmax(-1)


def refine(maps: Tensor, correlation: Tensor, gate: float | Tensor) -> Tensor:
    """m' [B,N,L]: every map moves by `gate` towards the maps that it correlates with."""
    return maps + gate * (correlation @ maps - maps)


def merge_channels(maps: Tensor, merge: str) -> Tensor:
    """A from maps [B,R,K,L]: [B,R,L] for "max" (the first maximum takes the gradient) and "mean"; maps for "none"."""
    if merge == "max":
        winner = maps.argmax(2, keepdim=True)
        return maps.gather(2, winner).squeeze(2)
    return maps.mean(2) if merge == "mean" else maps


def pool(values: Tensor, attention: Tensor) -> Tensor:
    """Attention-weighted mean [B,...,C] of values [B,C,H,W] under attention [B,...,L]."""
    weighted = attention.flatten(1, -2) @ values.flatten(2).mT
    total = attention.sum(-1, keepdim=True).clamp_min(SUM_FLOOR)
    return weighted.unflatten(1, attention.shape[1:-1]) / total


def _wide(dtype: torch.dtype, *tensors: "Tensor | float | None") -> list:
    return [tensor.to(dtype) if isinstance(tensor, Tensor) else tensor for tensor in tensors]


def sma_attention(
    values, features, weight, bias, temperature, gate, relation_bias, activation, merge, margin
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(pooled, attention, maps, diversity, correlation), shapes as in `sma_kernels.sma_attention`."""
    dtype, size = values.dtype, values.shape[-2:]
    regions, channels, _ = weight.shape
    x, f, w, b, t, g, theta = _wide(wide_dtype(dtype), values, features, weight, bias, temperature, gate, relation_bias)
    with without_autocast(values.device):
        maps = attention_maps(f, w, b, activation)
        flat = maps.flatten(1, 2)
        cos = cosine_gram(flat)
        diversity = hinge_diversity(cos, regions, channels, margin)
        correlation = correlation_of(cos, t, theta)
        refined = refine(flat, correlation, g).unflatten(1, (regions, channels))
        attention = merge_channels(refined, merge)
        pooled = pool(x, attention)
    return (
        pooled.to(dtype),
        attention.unflatten(-1, size).to(dtype),
        maps.unflatten(-1, size).to(dtype),
        diversity,
        correlation,
    )


def multi_channel_attention(features, weight, bias, activation) -> Tensor:
    """maps [B,R,K,H,W]."""
    f, w, b = _wide(wide_dtype(features.dtype), features, weight, bias)
    with without_autocast(features.device):
        maps = attention_maps(f, w, b, activation)
    return maps.unflatten(-1, features.shape[-2:]).to(features.dtype)


def attention_diversity(maps, margin) -> Tensor:
    """diversity [B] of maps [B,R,K,H,W]."""
    (wide,) = _wide(wide_dtype(maps.dtype), maps)
    with without_autocast(maps.device):
        cos = cosine_gram(wide.flatten(3).flatten(1, 2))
        return hinge_diversity(cos, maps.shape[1], maps.shape[2], margin)


def correlate_attention(maps, temperature, gate, relation_bias) -> tuple[Tensor, Tensor]:
    """(refined maps [B,R,K,H,W], correlation [B,N,N])."""
    wide, t, g, theta = _wide(wide_dtype(maps.dtype), maps, temperature, gate, relation_bias)
    with without_autocast(maps.device):
        flat = wide.flatten(3).flatten(1, 2)
        correlation = correlation_of(cosine_gram(flat), t, theta)
        refined = refine(flat, correlation, g)
    return refined.reshape(maps.shape).to(maps.dtype), correlation


def attention_pool(values, maps, merge) -> tuple[Tensor, Tensor]:
    """(pooled, attention); with merge "none" attention is `maps` itself."""
    x, wide = _wide(wide_dtype(values.dtype), values, maps)
    with without_autocast(values.device):
        merged = merge_channels(wide.flatten(3), merge)
        pooled = pool(x, merged).to(values.dtype)
    attention = maps if merge == "none" else merged.unflatten(-1, maps.shape[-2:]).to(maps.dtype)
    return pooled, attention
