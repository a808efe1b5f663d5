"""The mathematics of the attention head in plain PyTorch; every other backend is measured against this file.

Shapes: B batch, R regions, K channels per region, N = R*K maps (map n = r*K + k), G feature groups (1 or K),
D embedding width, C value channels, L = H*W positions. Everything is computed in float32, or in float64 for
float64 inputs, and rounded once at the end.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from sma_kernels.args import AttentionArgs, accum_dtype

NORM_FLOOR = 1e-6  # floor of a map's 2-norm in the cosine
SUM_FLOOR = 1e-6  # floor of a map's sum in the pooling


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on for `device`. torch raises for devices without autocast, "meta" among them."""
    return _has_autocast(device.type) and torch.is_autocast_enabled(device.type)


@torch.compiler.assume_constant_result  # torch 2.11 cannot trace it
def _has_autocast(device_type: str) -> bool:
    return torch.amp.is_autocast_available(device_type)


def without_autocast(device: torch.device) -> AbstractContextManager:
    return torch.autocast(device.type, enabled=False) if autocasts(device) else nullcontext()


def valid_only(feature_map: Tensor, mask: Tensor | None) -> Tensor:
    """The feature map [B,C,H,W] with zeros where the mask [B,H,W] is False, whatever it holds there."""
    return feature_map if mask is None else torch.where(mask[:, None], feature_map, 0)


def attention_maps(
    features: Tensor, weight: Tensor, bias: Tensor | None, activation: str, mask: Tensor | None = None
) -> Tensor:
    """M [B,R,K,L] from features [B,G*D,H,W], weight [R,K,D] and bias [R,K]: each channel k reads feature group k. 0 where
    the mask [B,H,W] is False."""
    _, channels, width = weight.shape
    grouped = features.flatten(2).unflatten(1, (-1, width)).expand(-1, channels, -1, -1)
    # Not einsum: onnxruntime's divides by the batch size, and an empty batch would kill its process.
    logits = (weight.transpose(0, 1) @ grouped).transpose(1, 2)
    if bias is not None:
        logits = logits + bias[..., None]
    if mask is None:
        return logits.softmax(-1) if activation == "softmax" else logits.sigmoid()
    valid = mask.flatten(1)[:, None, None]
    if activation == "softmax":
        # Without a valid position, a softmax would be 0/0: overwritten below, but NaN for torch's anomaly mode.
        maps = torch.where(valid | ~valid.any(-1, keepdim=True), logits, -torch.inf).softmax(-1)
    else:
        maps = logits.sigmoid()
    return torch.where(valid, maps, 0)


def cosine_gram(maps: Tensor) -> Tensor:
    """cos [B,N,N] between the maps [B,N,L] of each sample; an all-zero map has cosine 0 with every map."""
    # Not torch.linalg.vector_norm: on the CPU it sums without blocks, and loses two digits over 100,000 positions.
    norm = maps.square().sum(-1, keepdim=True).clamp_min(NORM_FLOOR**2).sqrt()
    unit = maps / norm
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
    """S [B,N,N]: each row a softmax over all maps, itself among them, of the cosine, sharpened by 1/temperature."""
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
        argmax = maps.argmax(2, keepdim=True)
        return maps.gather(2, argmax).squeeze(2)
    return maps.mean(2) if merge == "mean" else maps


def pool(values: Tensor, attention: Tensor) -> Tensor:
    """Attention-weighted mean [B,...,C] of values [B,C,H,W] under attention [B,...,L]."""
    weighted = attention.flatten(1, -2) @ values.flatten(2).mT
    total = attention.sum(-1, keepdim=True).clamp_min(SUM_FLOOR)
    return weighted.unflatten(1, attention.shape[1:-1]) / total


def _to(dtype: torch.dtype, *tensors: Tensor | float | None) -> list[Any]:
    return [tensor.to(dtype) if isinstance(tensor, Tensor) else tensor for tensor in tensors]


def sma_attention(args: AttentionArgs) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(pooled, attention, maps, diversity, correlation), shapes as in `sma_kernels.sma_attention`."""
    dtype, size = args.grid.dtype, args.grid.shape[-2:]
    regions, channels = args.regions, args.channels
    accum = accum_dtype(dtype)
    x, f, w, b = _to(accum, args.values, args.features, args.weight, args.bias)
    t, g, theta = _to(accum, args.temperature_value, args.gate_value, args.relation_bias)
    with without_autocast(args.grid.device):
        maps = attention_maps(valid_only(f, args.mask), w, b, args.activation, args.mask)
        flat = maps.flatten(1, 2)
        cos = cosine_gram(flat)
        diversity = hinge_diversity(cos, regions, channels, args.margin)
        correlation = correlation_of(cos, t, theta)
        refined = refine(flat, correlation, g).unflatten(1, (regions, channels))
        attention = merge_channels(refined, args.merge)
        pooled = pool(valid_only(x, args.mask), attention)
    return (
        pooled.to(dtype),
        attention.unflatten(-1, size).to(dtype),
        maps.unflatten(-1, size).to(dtype),
        diversity,
        correlation,
    )


def multi_channel_attention(args: AttentionArgs) -> Tensor:
    """maps [B,R,K,H,W]."""
    dtype, size = args.grid.dtype, args.grid.shape[-2:]
    f, w, b = _to(accum_dtype(dtype), args.features, args.weight, args.bias)
    with without_autocast(args.grid.device):
        maps = attention_maps(valid_only(f, args.mask), w, b, args.activation, args.mask)
    return maps.unflatten(-1, size).to(dtype)


def attention_diversity(args: AttentionArgs) -> Tensor:
    """diversity [B] of maps [B,R,K,H,W]."""
    (maps,) = _to(accum_dtype(args.grid.dtype), args.maps)
    with without_autocast(maps.device):
        cos = cosine_gram(maps.flatten(3).flatten(1, 2))
        return hinge_diversity(cos, args.regions, args.channels, args.margin)


def correlate_attention(args: AttentionArgs) -> tuple[Tensor, Tensor]:
    """(refined maps [B,R,K,H,W], correlation [B,N,N])."""
    accum = accum_dtype(args.grid.dtype)
    maps, t, g, theta = _to(accum, args.maps, args.temperature_value, args.gate_value, args.relation_bias)
    with without_autocast(maps.device):
        flat = maps.flatten(3).flatten(1, 2)
        correlation = correlation_of(cosine_gram(flat), t, theta)
        refined = refine(flat, correlation, g)
    return refined.reshape(maps.shape).to(args.grid.dtype), correlation


def attention_pool(args: AttentionArgs) -> tuple[Tensor, Tensor]:
    """(pooled, attention); with merge "none" attention is `maps` itself."""
    dtype, size = args.grid.dtype, args.grid.shape[-2:]
    x, maps = _to(accum_dtype(dtype), args.values, args.maps)
    with without_autocast(maps.device):
        merged = merge_channels(maps.flatten(3), args.merge)
        pooled = pool(x, merged).to(dtype)
    return pooled, args.grid if args.merge == "none" else merged.unflatten(-1, size).to(dtype)
