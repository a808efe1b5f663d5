"""Scores of attention on maps whose score is known by hand, and what they do with what is undefined."""

import math

import pytest
import torch
from torch.testing import assert_close

from sma_models.ablation.scores import attention_scores, chance_levels, channel_scores, disagreement

NAN = math.nan
# One region of one face on a grid of four cells: it covers the first, and most of the second.
REGION = torch.tensor([[[1.0, 0.75, 0.25, 0.0]]])
SHOWN = torch.ones(1, 1, dtype=torch.bool)


def scores_of(*cells, region=REGION):
    found = attention_scores(torch.tensor([[cells]]), region, SHOWN)
    return {name: value.item() for name, value in found.items()}


def test_attention_inside_a_region_by_hand():
    found = scores_of(2.0, 1.0, 1.0, 0.0)
    assert found["energy"] == pytest.approx(0.5 + 0.75 / 4 + 0.25 / 4)
    assert found["pointing"] == 1 and found["iou"] == 1
    assert found["area"] == pytest.approx(1 / (4 * (1 / 4 + 1 / 16 + 1 / 16)))


def test_attention_beside_a_region_by_hand():
    found = scores_of(0.0, 1.0, 0.0, 3.0)
    assert found["energy"] == pytest.approx(0.75 / 4)
    assert found["pointing"] == 0
    # Two cells have the most attention, the second and the fourth; one of the three in question is in both.
    assert found["iou"] == pytest.approx(1 / 3)


def test_the_strongest_cell_points_at_a_region_that_it_only_touches():
    assert scores_of(0.0, 0.0, 1.0, 0.0)["pointing"] == 1


@pytest.mark.parametrize(("cells", "area"), [((1.0, 1.0, 1.0, 1.0), 1.0), ((0.0, 5.0, 0.0, 0.0), 0.25)])
def test_effective_area_is_the_share_of_the_grid(cells, area):
    assert scores_of(*cells)["area"] == pytest.approx(area)


def test_a_small_region_is_met_by_one_cell():
    region = torch.tensor([[[0.0, 0.6, 0.0, 0.0]]])
    assert scores_of(0.0, 1.0, 0.5, 0.0, region=region)["iou"] == 1
    tiny = torch.tensor([[[0.0, 0.4, 0.0, 0.0]]])
    assert math.isnan(scores_of(0.0, 1.0, 0.5, 0.0, region=tiny)["iou"])
    assert scores_of(0.0, 1.0, 0.0, 0.0, region=tiny)["energy"] == pytest.approx(0.4)


def test_only_faces_that_show_the_unit_count():
    generator = torch.Generator().manual_seed(0)
    attention, regions = torch.rand(2, 5, 3, 16, generator=generator)
    present = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]]).bool()
    found = attention_scores(attention, regions, present)
    for unit, faces in enumerate(([0, 1, 4], [1, 2])):
        each = [attention_scores(attention[[f]], regions[[f]], torch.ones(1, 3).bool()) for f in faces]
        for name, value in found.items():
            assert_close(value[unit], torch.stack([one[name][unit] for one in each]).mean())
    assert all(math.isnan(value[2]) for value in found.values())


def test_half_precision_and_scale_change_no_score():
    attention = torch.tensor([[[8.0, 4.0, 2.0, 2.0]]])
    expected = attention_scores(attention, REGION, SHOWN)
    for other in (attention.half(), attention * 1e-3):
        for name, value in attention_scores(other, REGION, SHOWN).items():
            assert value.dtype == torch.float32
            assert_close(value, expected[name])


def test_attention_that_is_nowhere_has_no_energy():
    assert scores_of(0.0, 0.0, 0.0, 0.0)["energy"] == 0


def test_chance_levels_by_hand():
    # Two units on three cells. The third face shows neither, but its regions count for the usual ones.
    regions = torch.tensor(
        [[[1.0, 0, 0], [0, 0, 1]], [[0.5, 0.5, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 0]]], dtype=torch.float32
    )
    present = torch.tensor([[1, 0], [1, 1], [0, 0]]).bool()
    found = chance_levels(regions, present)
    # Shown regions: (¾, ¼, 0) and (0, 0, 1). Usual ones: (½, ½, 0) and (0, ⅓, ⅔).
    assert_close(found["uniform"], torch.tensor([1 / 3, 1 / 3]))
    assert_close(found["mean_mask"], torch.tensor([0.75 * 1.5 / 6 + 0.25 * 2.5 / 6, 2 / 6]))
    assert_close(found["other_unit"], torch.tensor([0.25 / 3, 0.0]))


def test_chance_levels_are_the_energy_of_such_attention():
    generator = torch.Generator().manual_seed(1)
    regions = torch.rand(6, 4, 9, generator=generator)
    present = torch.rand(6, 4, generator=generator) > 0.4
    found = chance_levels(regions, present)
    usual = regions.mean(0)
    others = [
        attention_scores(usual.roll(shift, 0).expand_as(regions), regions, present)["energy"] for shift in (1, 2, 3)
    ]
    for name, expected in {
        "uniform": attention_scores(torch.ones_like(regions), regions, present)["energy"],
        "mean_mask": attention_scores(usual.mean(0).expand_as(regions), regions, present)["energy"],
        "other_unit": torch.stack(others).mean(0),
    }.items():
        assert_close(found[name], expected)


def test_one_unit_has_no_other_unit():
    found = chance_levels(REGION, SHOWN)
    assert math.isnan(found["other_unit"]) and found["uniform"].item() == pytest.approx(0.5)


def test_a_unit_that_no_face_shows_has_no_chance_level():
    found = chance_levels(REGION.expand(1, 2, 4), torch.tensor([[True, False]]))
    assert all(value.isnan().tolist() == [False, True] for value in found.values())


def test_channels_by_hand():
    maps = torch.tensor([[[[1.0, 0], [0, 1]], [[3, 4], [3, 4]]]])
    refined = torch.tensor([[[[1.0, 0], [1, 1]], [[3, 4], [0, 0]]]])
    winner = torch.tensor([[[0, 0], [1, 0]]], dtype=torch.uint8)
    found = channel_scores(maps, refined, winner)
    assert found["cosine_before"].item() == pytest.approx((0 + 1) / 2)
    assert found["cosine_after"].item() == pytest.approx((0.5**0.5 + 0) / 2)
    assert found["moved"].item() == pytest.approx((0 + 1 + 0 + 1) / 4)
    assert_close(found["winner_share"], torch.tensor([[1.0, 0.0], [0.5, 0.5]]))


def test_one_channel_has_no_cosine_and_wins_everywhere():
    found = channel_scores(torch.ones(2, 3, 1, 4), torch.ones(2, 3, 1, 4), torch.zeros(2, 3, 4, dtype=torch.uint8))
    assert found["cosine_before"].isnan() and found["cosine_after"].isnan() and found["moved"] == 0
    assert_close(found["winner_share"], torch.ones(3, 1))


def test_a_merge_without_a_winner_has_no_share():
    found = channel_scores(torch.ones(2, 3, 2, 4), torch.ones(2, 3, 2, 4), None)
    assert found["winner_share"].shape == (3, 2) and found["winner_share"].isnan().all()


def test_agreement_of_initialisations_is_the_correlation_of_their_maps():
    generator = torch.Generator().manual_seed(2)
    attention = torch.rand(3, 4, 2, 16, generator=generator)
    expected = torch.stack([torch.corrcoef(attention[:, n, r]) for n in range(4) for r in range(2)]).mean(0)
    assert_close(disagreement(attention), expected)


def test_agreement_knows_nothing_of_scale_and_is_signed():
    first = torch.tensor([4.0, 1, 0, 3])
    maps = torch.stack([first, 3 * first + 1, 5 - first])[:, None, None]
    assert_close(disagreement(maps), torch.tensor([[1.0, 1, -1], [1, 1, -1], [-1, -1, 1]]))


def test_constant_maps_are_left_out_of_agreement():
    generator = torch.Generator().manual_seed(3)
    attention = torch.rand(2, 3, 2, 64, generator=generator) + 0.5
    expected = disagreement(attention[:, :2])
    attention[0, 2] = 1 / 64 + 1e-6 * torch.rand(2, 64, generator=generator)
    found = disagreement(attention)
    assert_close(found, expected)
    attention[0] = 1 / 64
    assert disagreement(attention).isnan().tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: attention_scores(torch.ones(1, 2, 4), REGION, SHOWN), r"shape of regions, \[1, 1, 4\]; got \[1, 2, 4\]"),
        (lambda: attention_scores(REGION, REGION, SHOWN.float()), r"present bool \[n,R\]; got \[1, 1, 4\] and torch.float32"),
        (lambda: chance_levels(REGION, SHOWN[0]), r"present bool \[n,R\]; got \[1, 1, 4\] and torch.bool \[1\]"),
        (lambda: chance_levels(REGION[0], SHOWN), r"regions must be \[n,R,L\]"),
        (lambda: channel_scores(REGION, REGION, None), r"maps and refined must be \[n,R,K,L\] both"),
        (lambda: channel_scores(torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 5), None), "both; got .*5"),
        (
            lambda: channel_scores(torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4), torch.zeros(1, 2, 2, 2)),
            r"winner must be \[1, 2, 4\] \(n, R, L\); got \[1, 2, 2, 2\]",
        ),
        (lambda: disagreement(REGION), r"attention must be \[S,n,R,L\]; got \[1, 1, 4\]"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
