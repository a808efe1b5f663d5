"""How attention meets the true regions, how it is shared among channels, and what constant guesses would score."""

import torch
from torch import Tensor
from torchmetrics import Metric

from sma_kernels import SMAAttention, SMAOutput

REGION_MEASURES = ("energy", "pointing", "iou")


def merged_attention(output: SMAOutput) -> Tensor:
    """One map a region, float32 [B,R,H,W]: A, or with merge="none" the mean of the channels' maps."""
    attention = output.attention.float()
    return attention.mean(2) if attention.ndim == 5 else attention


def region_scores(maps: Tensor, masks: Tensor) -> Tensor:
    """How well maps [n,L], non-negative, meet true regions [n,L], shares in 0..1: [3,n], as in `REGION_MEASURES`.

    energy:   share of the map that lies inside the region
    pointing: share of the strongest position that lies inside it (the pointing game, with masks that are shares)
    iou:      intersection over union of the region and as many of the strongest positions as it covers, at least one
    Positions that tie count alike.
    """
    shares = maps / maps.sum(1, keepdim=True).clamp_min(1e-12)
    peaks = (maps == maps.amax(1, keepdim=True)).to(maps.dtype)
    pointing = (peaks * masks).sum(1) / peaks.sum(1)
    area = masks.sum(1, keepdim=True).round().clamp_min(1)
    weakest = maps.sort(1, descending=True).values.gather(1, area.long() - 1)
    above, tied = (maps > weakest).to(maps.dtype), (maps == weakest).to(maps.dtype)
    chosen = above + tied * (area - above.sum(1, keepdim=True)) / tied.sum(1, keepdim=True)
    overlap = torch.minimum(chosen, masks).sum(1) / torch.maximum(chosen, masks).sum(1)
    return torch.stack([(shares * masks).sum(1), pointing, overlap])


def effective_area(maps: Tensor) -> Tensor:
    """1/(L·Σp²) of maps [n,L] scaled to sum 1: the share of the positions over which a map is spread."""
    shares = maps / maps.sum(1, keepdim=True).clamp_min(1e-12)
    return 1 / (maps.shape[1] * shares.square().sum(1))


def chance_levels(masks: Tensor, shows: Tensor) -> dict[str, Tensor]:
    """What constant maps score against the true regions [n,R,H,W]: float32 [3,R] each, as in `REGION_MEASURES`.

    uniform:    a uniform map
    all_units:  the mean region of all action units
    other_unit: the mean region of another action unit; the mean over all others
    shows: bool [n,R]; only faces that show the action unit count, as in `RegionAttention`; NaN where there are none.
    """
    flat = masks.flatten(2)
    shown = visible(shows, flat)
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


def visible(shows: Tensor, masks: Tensor) -> Tensor:
    """bool [n,R], which of the regions [n,R,L] that faces show can be seen: some are hidden by what lies in front."""
    return shows & (masks.sum(2) > 0)


def _constant(guess: Tensor, truth: Tensor) -> Tensor:
    return region_scores(guess.expand_as(truth), truth).mean(1)


class RegionAttention(Metric):
    """Attention on the faces that show an action unit or class; `compute` returns float32 [R] each, NaN where none does.

    energy, pointing, iou: see `region_scores`; NaN without true regions
    area:                  see `effective_area`
    winner_share:          [R,K], the share of A that each channel's refined map provides, being the largest there
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
    def update(self, attention: SMAAttention, output: SMAOutput, shows: Tensor, masks: Tensor | None) -> None:
        """shows: bool [B,R]; masks: [B,R,H,W] shares of positions inside the true regions, or None."""
        maps = merged_attention(output).flatten(2)
        refined = attention.refine(output.maps)[0].flatten(3)
        largest = refined.amax(2, keepdim=True)
        wins = (largest * (refined == largest)).sum(3)
        shares = wins / wins.sum(2, keepdim=True).clamp_min(1e-12)
        self.area += (effective_area(maps.flatten(0, 1)).view(shows.shape) * shows).sum(0)
        self.winners += (shares * shows[:, :, None]).sum(0)
        self.shown += shows.sum(0)
        if masks is None:
            return
        truth = masks.flatten(2)
        counted = visible(shows, truth)
        scores = region_scores(maps.flatten(0, 1), truth.flatten(0, 1)).view(-1, *shows.shape)
        self.hits += (scores * counted).sum(1)
        self.scored += counted.sum(0)

    def compute(self) -> dict[str, Tensor]:
        found = dict(zip(REGION_MEASURES, self.hits / self.scored, strict=True))
        return found | {"area": self.area / self.shown, "winner_share": self.winners / self.shown[:, None]}
