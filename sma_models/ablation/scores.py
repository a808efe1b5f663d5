"""Where attention looks, how its channels share the work, and whether two initialisations agree.

n faces, R regions, K channels, and L positions of the maps' grid. A face counts for a region only if it shows that
region's action unit: of the others nobody knows where attention should be. What is undefined is NaN, and left out of
means.
"""

import torch
from torch import Tensor

from sma_models.metrics import relative_change, within_cosine

_FLOOR = 1e-12
_FLAT = 1e-3  # deviation over mean below which a map is constant: finer differences are rounding where it is float16


def attention_scores(attention: Tensor, regions: Tensor, present: Tensor) -> dict[str, Tensor]:
    """Scores of attention against true regions, means over the faces that show the unit, float32 [R] each.

    energy:   share of the attention that lies inside the true region, 0 to 1
    pointing: share of faces whose strongest cell touches the true region (Zhang et al., ECCV 2016)
    iou:      intersection over union of the strongest cells, as many as the region has area, with the cells that the
              region covers by more than half; undefined for a face where it covers none so
    area:     1/(L·Σp²) of the attention p scaled to sum 1: the share of the grid over which it spreads, 1/L to 1

    attention: [n,R,L], not negative
    regions:   [n,R,L], share of each cell inside the true region, 0 to 1
    present:   bool [n,R], whether the face shows the unit
    Raises ValueError for shapes that do not fit.
    """
    _check_regions(regions, present)
    if attention.shape != regions.shape:
        raise ValueError(f"attention must have the shape of regions, {_shape(regions)}; got {_shape(attention)}")
    attention, regions = _distributions(attention), regions.float()
    strongest = attention.argmax(-1, keepdim=True)
    scores = {
        "energy": (attention * regions).sum(-1),
        "pointing": (regions.gather(-1, strongest).squeeze(-1) > 0).float(),
        "iou": _overlap(attention, regions),
        "area": 1 / (attention.shape[-1] * attention.square().sum(-1).clamp_min(_FLOOR)),
    }
    return {name: score.where(present, torch.nan).nanmean(0) for name, score in scores.items()}


def _overlap(attention: Tensor, regions: Tensor) -> Tensor:
    """Intersection over union [n,R] of the strongest cells with the mostly covered ones; NaN without any of these."""
    size = regions.sum(-1, keepdim=True).round().clamp_min(1)
    rank = attention.argsort(dim=-1, descending=True, stable=True).argsort(-1)
    chosen, covered = rank < size, regions > 0.5
    overlap = (chosen & covered).sum(-1) / (chosen | covered).sum(-1)
    return overlap.where(covered.any(-1), torch.nan)


def chance_levels(regions: Tensor, present: Tensor) -> dict[str, Tensor]:
    """The energy of `attention_scores` of attention that sees no face, float32 [R] each.

    uniform:    the same everywhere
    mean_mask:  the mean of all regions of all faces: what looking at faces' usual active places gives
    other_unit: the mean over the other units of looking at their mean region; NaN if there is one unit

    regions, present: as in `attention_scores`
    """
    _check_regions(regions, present)
    regions = regions.float()
    shown = regions.where(present[:, :, None], torch.nan).nanmean(0)
    usual = regions.mean(0)
    across = shown @ _distributions(usual).T  # [R,R]: energy inside the row's region of the column's mean region
    others = across.masked_fill(torch.eye(len(across), dtype=torch.bool), 0).sum(1) / (len(across) - 1)
    return {
        "uniform": shown.mean(-1),
        "mean_mask": shown @ _distributions(usual.mean(0)),
        "other_unit": others,
    }


def channel_scores(maps: Tensor, refined: Tensor, winner: Tensor | None) -> dict[str, Tensor]:
    """How a region's channels differ, and what the refinement does to them, means over all faces, float32.

    cosine_before, cosine_after: scalars, mean cosine of two maps of one region, before and after refinement; NaN if
                                 K = 1
    moved:                       scalar, mean over maps of ‖refined − maps‖/‖maps‖
    winner_share:                [R,K], share of positions that each channel wins; NaN if the merge has no winner

    maps, refined: [n,R,K,L]
    winner:        integers [n,R,L], the channel that the merge took; None of a merge that takes none
    Raises ValueError for shapes that do not fit.
    """
    if maps.ndim != 4 or refined.shape != maps.shape:
        raise ValueError(f"maps and refined must be [n,R,K,L] both; got {_shape(maps)} and {_shape(refined)}")
    n, units, channels, positions = maps.shape
    if winner is not None and winner.shape != (n, units, positions):
        raise ValueError(f"winner must be {[n, units, positions]} (n, R, L); got {_shape(winner)}")
    maps, refined = maps.float(), refined.float()
    if winner is None:
        share = maps.new_full((units, channels), torch.nan)
    else:
        share = torch.stack([(winner == channel).float().mean((0, 2)) for channel in range(channels)], 1)
    return {
        "cosine_before": within_cosine(maps).mean(),
        "cosine_after": within_cosine(refined).mean(),
        "moved": relative_change(maps, refined).mean(),
        "winner_share": share,
    }


def disagreement(attention: Tensor) -> Tensor:
    """Correlation of the maps of every two initialisations, float32 [S,S]: 1 where they look at the same places.

    Pearson's correlation over positions, mean over faces and regions. A map that varies by less than a thousandth of
    its mean looks nowhere: its correlations are undefined.

    attention: [S,n,R,L], of S initialisations on the same faces. Raises ValueError for another number of dimensions.
    """
    if attention.ndim != 4:
        raise ValueError(f"attention must be [S,n,R,L]; got {_shape(attention)}")
    attention = attention.float()
    mean = attention.mean(-1, keepdim=True)
    centred = attention - mean
    length = centred.norm(dim=-1, keepdim=True)
    varies = length > _FLAT * mean.abs() * attention.shape[-1] ** 0.5
    unit = (centred / length).where(varies, 0).flatten(1)
    defined = varies.float().flatten(1)
    return (unit @ unit.T) / (defined @ defined.T)


def _distributions(maps: Tensor) -> Tensor:
    """Maps [...,L] in float32, each scaled to sum 1; a map of zeros stays one."""
    maps = maps.float()
    return maps / maps.sum(-1, keepdim=True).clamp_min(_FLOOR)


def _check_regions(regions: Tensor, present: Tensor) -> None:
    if regions.ndim != 3 or present.shape != regions.shape[:2] or present.dtype != torch.bool:
        raise ValueError(
            f"regions must be [n,R,L] and present bool [n,R]; got {_shape(regions)} and {present.dtype} {_shape(present)}"
        )


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)
