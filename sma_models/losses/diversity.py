"""Losses that keep the attention maps of a region apart: each takes an SMAOutput and returns one term per sample.

"hinge" is fused; the others are plain PyTorch, for research. They use the maps before refinement, scaled so that softmax
and sigmoid maps are comparable, and are 0 for a single map per region.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sma_kernels import SMAOutput

_FLOOR = 1e-6


def _hinge(output: SMAOutput) -> Tensor:
    return output.diversity


def _distributions(output: SMAOutput) -> Tensor:
    """Maps [B,R,K,L] in float32, each normalized to sum 1."""
    maps = output.maps.float().flatten(3)
    return maps / maps.sum(-1, keepdim=True).clamp_min(_FLOOR)


def _off_diagonal_mean(pairs: Tensor) -> Tensor:
    """Mean [B] of pairs [B,R,K,K] over regions and ordered pairs of different channels."""
    regions, channels = pairs.shape[1:3]
    off = pairs.sum((1, 2, 3)) - pairs.diagonal(dim1=2, dim2=3).sum((1, 2))
    return off / (regions * channels * max(channels - 1, 1))


def _bhattacharyya(output: SMAOutput) -> Tensor:
    """Mean overlap Σ√(pq), which is 1 minus the squared Hellinger distance (Li et al., CVPR 2018)."""
    # The floor keeps the gradient of the root finite at zeros of a map.
    roots = _distributions(output).clamp_min(_FLOOR**2).sqrt()
    return _off_diagonal_mean(roots @ roots.mT)


def _orthogonal(output: SMAOutput) -> Tensor:
    """Mean over regions of ‖AAᵀ − I‖² (Frobenius), A the maps as distributions (Lin et al., ICLR 2017)."""
    maps = _distributions(output)
    unlike = maps @ maps.mT - torch.eye(maps.shape[2], device=maps.device)
    return unlike.square().sum((2, 3)).mean(1)


_EXCESS = 0.1


def _channel_grouping(output: SMAOutput) -> Tensor:
    """At positions where a map is strong, all other maps should be below a margin of 0.1 (MA-CNN, ICCV 2017).

    Maps are normalized to peak 1 for the comparison, and to sum 1 for the weights of the mean.
    """
    weights = _distributions(output)
    peaks = weights / weights.amax(-1, keepdim=True).clamp_min(_FLOOR)
    channels = peaks.shape[2]
    same = torch.eye(channels, dtype=torch.bool, device=peaks.device)[:, :, None]
    others = peaks[:, :, None].masked_fill(same, 0).amax(3)
    return (weights * (others - _EXCESS)).sum(-1).mean((1, 2))


def _partition(output: SMAOutput) -> Tensor:
    """log(1 + K/σ²), σ² the variance across a region's maps at a position, maps scaled to mean 1 (DAN, 2021)."""
    maps = _distributions(output)
    variance = (maps * maps.shape[-1]).var(2).mean(-1)
    return torch.log1p(maps.shape[2] / variance.clamp_min(_FLOOR)).mean(1)


_UNFUSED: dict[str, Callable[[SMAOutput], Tensor]] = {
    "bhattacharyya": _bhattacharyya,
    "orthogonal": _orthogonal,
    "channel_grouping": _channel_grouping,
    "partition": _partition,
}
VARIANTS = ("none", "hinge", *_UNFUSED)


def check_variant(diversity: str) -> None:
    """ValueError unless `diversity` is one of `VARIANTS`."""
    if diversity not in VARIANTS:
        raise ValueError(f"diversity must be one of {', '.join(VARIANTS)}; got {diversity!r}")


def diversity_term(variant: str, output: SMAOutput) -> Tensor:
    """The term to minimize, float32 [B], differentiable; 0 for a single map per region or the variant "none".

    variant: one of `VARIANTS`; ValueError otherwise.
    """
    check_variant(variant)
    if variant == "none" or output.maps.shape[2] == 1:
        return torch.zeros_like(output.diversity)
    return _UNFUSED.get(variant, _hinge)(output)
