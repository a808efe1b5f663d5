"""Diversity variants: their values for known maps, their separation of maps, and finite gradients."""

import math

import pytest
import torch
from torch.testing import assert_close

from sma_kernels import SMAOutput, attention_diversity
from sma_models.losses.diversity import VARIANTS, diversity_term

ACTIVE = [variant for variant in VARIANTS if variant != "none"]


def output_of(maps, margin=0.5):
    batch, regions, channels = maps.shape[:3]
    correlation = torch.zeros(batch, regions * channels, regions * channels)
    return SMAOutput(maps[:, :, 0, 0], maps[:, :, 0], maps, attention_diversity(maps, margin=margin), correlation)


def spots(*places, side=4):
    """Maps [1,1,K,side,side], each a single bright position."""
    maps = torch.zeros(1, 1, len(places), side * side)
    for channel, position in enumerate(places):
        maps[0, 0, channel, position] = 1.0
    return maps.unflatten(3, (side, side))


@pytest.mark.parametrize("variant", ACTIVE)
def test_maps_alike_cost_more_than_maps_apart(variant):
    alike, apart = spots(3, 3, 3), spots(1, 7, 12)
    soft = torch.full_like(alike, 0.02)
    assert diversity_term(variant, output_of(alike + soft)) > diversity_term(variant, output_of(apart + soft)) + 0.05


@pytest.mark.parametrize(
    "variant, maps, value",
    [
        ("hinge", spots(3, 3), 0.5),
        ("hinge", spots(3, 4), 0.0),
        ("bhattacharyya", spots(3, 3), 1.0),
        ("bhattacharyya", spots(3, 4), 0.0),
        # Half of the weight is shared: the overlap is the root of 1/2.
        ("bhattacharyya", torch.tensor([[[[[1.0, 0.0]], [[1.0, 1.0]]]]]), math.sqrt(0.5)),
        ("orthogonal", spots(3, 3), 2.0),
        ("orthogonal", spots(3, 4), 0.0),
        ("channel_grouping", spots(3, 3), 0.9),
        ("channel_grouping", spots(3, 4), -0.1),
        # Two spots among 16 positions, mean 1: values 16 and 0 have variance 128 at two positions.
        ("partition", spots(3, 4), math.log1p(2 / 16)),
        ("none", spots(3, 3), 0.0),
    ],
)
def test_values_of_known_maps(variant, maps, value):
    assert diversity_term(variant, output_of(maps)).tolist() == pytest.approx([value], abs=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_map_per_region_costs_nothing(variant):
    assert diversity_term(variant, output_of(torch.rand(2, 3, 1, 4, 4))).tolist() == [0, 0]


@pytest.mark.parametrize("variant", ACTIVE)
def test_one_term_a_sample_whatever_the_order_and_scale_of_maps(variant):
    maps = torch.rand(3, 2, 4, 5, 5)
    term = diversity_term(variant, output_of(maps))
    assert term.shape == (3,)
    shuffled = maps[:, :, [2, 0, 3, 1]] * torch.rand(3, 2, 1, 1, 1).add(0.5)
    assert_close(diversity_term(variant, output_of(shuffled)), term)
    assert_close(diversity_term(variant, output_of(maps[1:2])), term[1:2])


@pytest.mark.parametrize("variant", ACTIVE)
@pytest.mark.parametrize("kind", ["random", "equal", "some zero"])
def test_gradients_are_finite_and_point_apart(variant, kind):
    maps = torch.rand(2, 2, 3, 4, 4)
    if kind == "equal":
        maps = maps[:, :, :1].repeat(1, 1, 3, 1, 1)
    if kind == "some zero":
        maps[:, :, 0] = 0
    maps.requires_grad_()
    term = diversity_term(variant, output_of(maps)).sum()
    (gradient,) = torch.autograd.grad(term, maps)
    assert torch.isfinite(gradient).all()
    if kind == "random":
        with torch.no_grad():
            assert diversity_term(variant, output_of(maps - 1e-3 * gradient)).sum() < term


def test_an_unknown_variant_is_named():
    with pytest.raises(ValueError, match=r"hinge.*cosine"):
        diversity_term("cosine", output_of(spots(1, 2)))
