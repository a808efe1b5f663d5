"""NaN, infinities, ties, empty batches, repeats and layouts, on the fused path, the blocked one, and with divided positions."""

import math

import pytest
import torch

from sma_kernels.triton_kernels import call, plan
from tests.helpers import cases
from tests.helpers.cases import Case
from tests.helpers.poison import check_a_nan_cosine, check_nan_stays_in_its_sample
from tests.operators.test_layouts import permuted, sliced_batch, sliced_channels_last

SIZES = dict(batch=2, regions=3, channels=2, embed=5, values=9, height=3, width=7)


@pytest.fixture(params=("fused", "blocked", "divided"))
def path(request, monkeypatch):
    if request.param == "blocked":
        monkeypatch.setattr(call, "MAX_ROWS", 0)
    elif request.param == "divided":
        monkeypatch.setattr(plan, "MIN_DIVIDED", 8)


@pytest.mark.parametrize("where, poison", (("values", math.nan), ("features", math.inf), ("features", -math.inf)))
@pytest.mark.parametrize("activation, merge", (("softmax", "max"), ("sigmoid", "mean"), ("softmax", "none")))
def test_nan_stays_in_its_sample(activation, merge, where, poison, path):
    case = Case(activation=activation, merge=merge, **SIZES)
    clean = cases.inputs(case, torch.float32)
    check_nan_stays_in_its_sample(case, clean, where, (2, 1, 4), poison, "triton")


def test_nan_wins_the_maximum(path):
    case = Case(function="attention_pool", **SIZES)
    tensors = cases.inputs(case, torch.float32)
    for channel in range(case.channels):
        maps = tensors["maps"].clone()
        maps[0, 0, channel, 2, 2] = math.nan
        attention = cases.call(case, {**tensors, "maps": maps}, "triton")[1]
        assert attention[0, 0, 2, 2].isnan() and attention.isnan().sum() == 1


@pytest.mark.parametrize("channels", (3, 9))
def test_the_first_maximum_takes_the_gradient(channels, path):
    case = Case(function="attention_pool", **{**SIZES, "channels": channels})
    tensors = cases.inputs(case, torch.float32)
    tensors["maps"] = torch.full_like(tensors["maps"], 0.5)
    actual = cases.run(case, tensors, "triton")["d_maps"]
    assert actual[:, :, 0].any() and not actual[:, :, 1:].any()


@pytest.mark.parametrize("channels", (2, 3))
def test_a_nan_cosine_is_a_nan_diversity_and_gradient(channels, path):
    check_a_nan_cosine(Case(function="attention_diversity", **{**SIZES, "channels": channels}), "triton")


@pytest.mark.parametrize("function", ("attention_diversity", "correlate_attention", "attention_pool"))
def test_all_zero_maps(function, path):
    case = Case(function=function, **SIZES)
    tensors = cases.inputs(case, torch.float32)
    tensors["maps"][0] = 0
    tensors["maps"][1, 1, 1] = 0
    expected, actual = cases.run(case, tensors, "reference"), cases.run(case, tensors, "triton")
    for name, tensor in actual.items():
        tolerance = 1e-4 * float(expected[name].abs().max())
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=tolerance)


def test_hinge_has_no_slope_at_the_margin(path):
    """Equal one-hot maps have a cosine of exactly 1; with margin 1, value and gradient are 0."""
    case = Case(function="attention_diversity", batch=1, regions=1, channels=2, height=1, width=9, margin=1.0)
    maps = torch.zeros(1, 1, 2, 1, 9)
    maps[..., 0] = 1
    actual = cases.run(case, {"maps": maps}, "triton")
    assert not actual["diversity"].any() and not actual["d_maps"].any()


@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_empty_batch(function):
    case = Case(function=function, **{**SIZES, "batch": 0})
    expected = cases.run(case, cases.inputs(case, torch.float32), "reference")
    for name, tensor in cases.run(case, cases.inputs(case, torch.float32), "triton").items():
        assert tensor.shape == expected[name].shape and not tensor.any(), name


def test_repeats_are_bit_equal(path):
    case = Case(**SIZES)
    tensors = cases.inputs(case, torch.float32)
    first = cases.run(case, tensors, "triton")
    for name, tensor in cases.run(case, tensors, "triton").items():
        assert torch.equal(tensor, first[name]), name


@pytest.mark.parametrize("arrange", (permuted, sliced_channels_last, sliced_batch), ids=lambda f: f.__name__)
def test_layouts(arrange):
    """Inputs and incoming gradients in other layouts; gradients have the strides of empty_like."""
    case = Case(**SIZES)
    plain = cases.inputs(case, torch.float32)
    arranged = {name: arrange(t) if name in ("values", "features") else t for name, t in plain.items()}
    grads = cases.cotangents(cases.call(case, plain, "reference"), 0)
    strided = [permuted(grad) if grad.dim() > 1 else grad.repeat_interleave(2)[::2] for grad in grads]
    expected = cases.run(case, plain, "triton", grads)
    actual = cases.run(case, arranged, "triton", strided)
    for name, tensor in actual.items():
        torch.testing.assert_close(tensor, expected[name], rtol=2e-5, atol=1e-5)
    for name in ("values", "features"):
        assert actual[f"d_{name}"].stride() == torch.empty_like(arranged[name]).stride()


def test_parameters_of_other_layouts_and_dtype():
    case = Case(**SIZES)
    plain = {name: tensor.half() for name, tensor in cases.inputs(case, torch.float16).items()}
    arranged = {**plain, "weight": permuted(plain["weight"]), "relation_bias": permuted(plain["relation_bias"])}
    expected, actual = cases.run(case, plain, "triton"), cases.run(case, arranged, "triton")
    for name, tensor in actual.items():
        assert torch.equal(tensor, expected[name]), name
    assert all(actual[f"d_{name}"].dtype == torch.float16 for name in plain)
    assert actual["d_weight"].stride() == torch.empty_like(arranged["weight"]).stride()
