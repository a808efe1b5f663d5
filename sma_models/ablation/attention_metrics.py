"""Agreement of attention with the true regions, its distribution over channels, and the scores of constant guesses."""

import torch
from torch import Tensor
from torchmetrics import Metric

from sma_kernels import SMAAttention, SMAOutput

REGION_MEASURES = ("energy", "pointing", "iou")


def merged_attention(output: SMAOutput) -> Tensor:
    """One map per region, float32 [B,R,H,W]: A, or with merge="none" the mean over the channels."""
    attention = output.attention.float()
    return attention.mean(2) if attention.ndim == 5 else attention


def region_scores(maps: Tensor, masks: Tensor) -> Tensor:
    """Agreement of non-negative maps [n,L] with true regions [n,L] (coverage in 0..1): [3,n], as in `REGION_MEASURES`.

    energy:   share of the map inside the region
    pointing: coverage at the strongest position (the pointing game with fractional masks)
    iou:      intersection over union of the region and the strongest positions, as many as it covers, at least one
    Tied positions count alike.
    """
    shares = maps / maps.sum(1, keepdim=True).clamp_min(1e-12)
    peaks = (maps == maps.amax(1, keepdim=True)).to(maps.dtype)
    pointing = (peaks * masks).sum(1) / peaks.sum(1)
    area = masks.sum(1, keepdim=True).round().clamp_min(1)
    weakest = maps.sort(1, descending=True).values.gather(1, area.long() - 1)
    above, tied = (maps > weakest).to(maps.dtype), (maps == weakest).to(maps.dtype)
    strongest = above + tied * (area - above.sum(1, keepdim=True)) / tied.sum(1, keepdim=True)
    overlap = torch.minimum(strongest, masks).sum(1) / torch.maximum(strongest, masks).sum(1)
    return torch.stack([(shares * masks).sum(1), pointing, overlap])


def effective_area(maps: Tensor) -> Tensor:
    """1/(L·Σp²) of maps [n,L] scaled to sum 1: the effective share of positions that a map covers."""
    shares = maps / maps.sum(1, keepdim=True).clamp_min(1e-12)
    return 1 / (maps.shape[1] * shares.square().sum(1))


def chance_levels(masks: Tensor, present: Tensor) -> dict[str, Tensor]:
    """Scores of constant maps against the true regions [n,R,H,W]: float32 [3,R] each, as in `REGION_MEASURES`.

    uniform:    a uniform map
    all_units:  the mean region of all action units
    other_unit: the mean region of another action unit; the mean over all others
    present: bool [n,R]; only faces with the action unit count, as in `RegionAttention`; NaN without any.
    """
    flat = masks.flatten(2)
    shown = visible(present, flat)
    mean_of = torch.stack([flat[shown[:, unit], unit].sum(0) for unit in range(flat.shape[1])])
    mean_of = mean_of / shown.sum(0).clamp_min(1)[:, None]
    levels: dict[str, list[Tensor]] = {"uniform": [], "all_units": [], "other_unit": []}
    for unit in range(flat.shape[1]):
        truth = flat[shown[:, unit], unit]
        others = [_constant(mean_of[other], truth) for other in range(flat.shape[1]) if other != unit]
        levels["uniform"].append(_constant(torch.ones_like(truth[0]) if len(truth) else mean_of[0], truth))
        levels["all_units"].append(_constant(mean_of.mean(0), truth))
        levels["other_unit"].append(torch.stack(others).mean(0) if others else truth.new_full((3,), torch.nan))
    return {name: torch.stack(columns, 1) for name, columns in levels.items()}


def visible(present: Tensor, masks: Tensor) -> Tensor:
    """bool [n,R]: present regions [n,R,L] that are not hidden by an occluder."""
    return present & (masks.sum(2) > 0)


def _constant(guess: Tensor, truth: Tensor) -> Tensor:
    return region_scores(guess.expand_as(truth), truth).mean(1)


class RegionAttention(Metric):
    """Attention on faces with an action unit or class present; `compute` returns float32 [R] each, NaN without any.

    energy, pointing, iou: see `region_scores`; NaN without true regions
    area:                  see `effective_area`
    winner_share:          [R,K], the share of A where the refined map of each channel is the largest
    """

    full_state_update = False
    hits: Tensor
    scored: Tensor
    area: Tensor
    winners: Tensor
    shown: Tensor

    def __init__(self, regions: int, channels: int) -> None:
        super().__init__()
        for name, shape in (
            ("hits", (len(REGION_MEASURES), regions)),
            ("scored", (regions,)),
            ("area", (regions,)),
            ("winners", (regions, channels)),
            ("shown", (regions,)),
        ):
            self.add_state(name, default=torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    @torch.no_grad()
    def update(self, attention: SMAAttention, output: SMAOutput, present: Tensor, masks: Tensor | None) -> None:
        """present: bool [B,R]; masks: [B,R,H,W] shares of positions inside the true regions, or None."""
        maps = merged_attention(output).flatten(2)
        refined = attention.refine(output.maps)[0].flatten(3)
        largest = refined.amax(2, keepdim=True)
        wins = (largest * (refined == largest)).sum(3)
        shares = wins / wins.sum(2, keepdim=True).clamp_min(1e-12)
        self.area += (effective_area(maps.flatten(0, 1)).view(present.shape) * present).sum(0)
        self.winners += (shares * present[:, :, None]).sum(0)
        self.shown += present.sum(0)
        if masks is None:
            return
        truth = masks.flatten(2)
        counted = visible(present, truth)
        scores = region_scores(maps.flatten(0, 1), truth.flatten(0, 1)).view(-1, *present.shape)
        self.hits += (scores * counted).sum(1)
        self.scored += counted.sum(0)

    def compute(self) -> dict[str, Tensor]:
        scores = dict(zip(REGION_MEASURES, self.hits / self.scored, strict=True))
        return scores | {"area": self.area / self.shown, "winner_share": self.winners / self.shown[:, None]}
