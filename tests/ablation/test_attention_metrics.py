"""Attention metrics on constructed maps."""

import pytest
import torch

from sma_kernels import SMAAttention
from sma_models.ablation.attention_metrics import (
    RegionAttention,
    chance_levels,
    effective_area,
    merged_attention,
    region_scores,
)

#       0  1    2  3
MASK = [1, 0.5, 0, 0]


def scores(attention, mask=MASK):
    scores = region_scores(torch.tensor([attention], dtype=torch.float32), torch.tensor([mask], dtype=torch.float32))
    return dict(zip(("energy", "pointing", "iou"), scores[:, 0].tolist(), strict=True))


def test_energy_pointing_and_overlap_by_hand():
    # The region covers 1.5 positions, rounded up to the two strongest.
    assert scores([4, 3, 2, 1]) == pytest.approx({"energy": (4 + 1.5) / 10, "pointing": 1, "iou": 1.5 / 2})
    assert scores([1, 2, 3, 4]) == pytest.approx({"energy": 2 / 10, "pointing": 0, "iou": 0})
    assert scores([3, 4, 0, 0]) == pytest.approx({"energy": 5 / 7, "pointing": 0.5, "iou": 1.5 / 2})
    # Scale does not matter.
    assert scores([40, 30, 20, 10]) == pytest.approx(scores([4, 3, 2, 1]))
    # A region smaller than half a position still counts as one position.
    assert scores([4, 3, 2, 1], [0.2, 0, 0, 0])["iou"] == pytest.approx(0.2)


def test_ties_count_alike_wherever_they_lie():
    # Two of four equal positions are as good as half of each.
    assert scores([1, 1, 1, 1]) == pytest.approx({"energy": 1.5 / 4, "pointing": 1.5 / 4, "iou": 1 / 2.5})
    assert scores([1, 1, 1, 1], MASK[::-1]) == pytest.approx(scores([1, 1, 1, 1]))


def test_effective_area():
    maps = torch.tensor([[1.0, 1, 1, 1], [5, 0, 0, 0], [1, 1, 0, 0]])
    assert effective_area(maps).tolist() == pytest.approx([1, 0.25, 0.5])


def test_chance_levels_of_constant_guesses():
    masks = torch.zeros(3, 2, 1, 4)
    masks[0, 0, 0, 0] = masks[1, 0, 0, 0] = 1  # unit 0 shows at position 0 of two faces
    masks[2, 1, 0, 2:] = 1  # unit 1 at positions 2 and 3 of one face
    present = torch.tensor([[True, False], [True, True], [False, True]])  # the region on face 1 is hidden
    levels = chance_levels(masks, present)
    energy = {name: level[0].tolist() for name, level in levels.items()}
    assert energy["uniform"] == pytest.approx([1 / 4, 2 / 4])
    # Mean regions are [1,0,0,0] and [0,0,1,1].
    assert energy["all_units"] == pytest.approx([1 / 3, 2 / 3]) and energy["other_unit"] == pytest.approx([0, 0])
    # A face that shows the unit too weakly to be labelled does not count.
    masks[2, 0, 0, 3] = 1
    assert chance_levels(masks, present)["uniform"][0].tolist() == pytest.approx([1 / 4, 2 / 4])


@pytest.fixture
def looking():
    """Attention of two regions and two channels, its output, and the regions that the faces show."""
    attention = SMAAttention(3, 2, 2, 4, gate=0.3).requires_grad_(False)
    return attention, attention(torch.randn(4, 3, 2, 2)), torch.tensor([[1, 0], [1, 0], [0, 0], [1, 0]]).bool()


def test_only_faces_that_show_the_region_count(looking):
    attention, output, present = looking
    masks = torch.zeros(4, 2, 2, 2)
    masks[:2, :, 0, 0] = 1  # hidden on the last face
    metric = RegionAttention(2, 2)
    for rows in (slice(0, 1), slice(1, 4)):
        part = type(output)(*(tensor[rows] for tensor in output))
        metric.update(attention, part, present[rows], masks[rows])
    scores = metric.compute()
    share = output.attention[:2, 0, 0, 0] / output.attention[:2, 0].sum((1, 2))
    assert float(scores["energy"][0]) == pytest.approx(float(share.mean()), rel=1e-5)
    area = effective_area(output.attention[:, 0].flatten(1))[[0, 1, 3]].mean()
    assert float(scores["area"][0]) == pytest.approx(float(area), rel=1e-5)
    assert scores["energy"][1].isnan() and scores["area"][1].isnan()


def test_winner_shares_show_a_starved_channel(looking):
    attention, output, present = looking
    maps = torch.zeros(4, 2, 2, 2, 2)
    maps[:, :, 0] = torch.tensor([[0.5, 0.3], [0.1, 0.1]])
    maps[:, :, 1] = torch.tensor([[0.0, 0.0], [0.0, 0.6]])
    attention = SMAAttention(3, 2, 2, 4, correlate=False)
    metric = RegionAttention(2, 2)
    metric.update(attention, output._replace(maps=maps, attention=maps.amax(2)), present, None)
    scores = metric.compute()
    assert scores["winner_share"][0].tolist() == pytest.approx([0.9 / 1.5, 0.6 / 1.5])
    assert scores["energy"].isnan().all()


def test_maps_that_are_merged_and_refined(looking):
    attention, output, _ = looking
    assert torch.allclose(attention.refine(output.maps)[0].amax(2), output.attention, atol=1e-6)
    assert torch.equal(merged_attention(output), output.attention)
    unmerged = output._replace(attention=output.maps)
    assert torch.allclose(merged_attention(unmerged), output.maps.mean(2))
