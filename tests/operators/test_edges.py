"""Empty batches, zeros, infinities, poisoned memory, repeats and threads."""

import math

import pytest
import torch

import sma_kernels
from tests.helpers import cases
from tests.helpers.cases import Case
from tests.helpers.poison import check_a_nan_cosine, check_nan_stays_in_its_sample

MASKED = [cases.replace(case, masked=True, batch=3) for case in (Case(), Case(merge="none"), cases.LONG_SUMS)]


@pytest.mark.parametrize("case", [*cases.matrix(), cases.LONG_SUMS, *MASKED], ids=cases.ids)
def test_every_element_is_written(case, backend, device, poisoned_memory):
    for layout in (torch.contiguous_format, torch.channels_last):
        tensors = cases.inputs(cases.replace(case, layout=layout), torch.float32, device=device)
        for name, tensor in cases.run(case, tensors, backend).items():
            assert tensor.isfinite().all(), name


@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_empty_batch(function, backend, device):
    case = Case(function=function, batch=0)
    expected = cases.run(case, cases.inputs(case, torch.float32, device=device), "reference")
    actual = cases.run(case, cases.inputs(case, torch.float32, device=device), backend)
    for name, tensor in actual.items():
        assert tensor.shape == expected[name].shape and tensor.dtype == expected[name].dtype, name
        assert not tensor.any(), name


def test_no_gradient_wanted_by_any_output(backend, device):
    tensors = cases.inputs(Case(), torch.float32, device=device)
    weight = tensors["weight"].detach().requires_grad_()
    pooled = cases.call(Case(), {**tensors, "weight": weight}, backend)[0]
    (grad,) = torch.autograd.grad(pooled.sum() * 0, weight)
    assert not grad.any()


@pytest.mark.parametrize("function", ("attention_diversity", "correlate_attention", "attention_pool"))
def test_all_zero_maps(function, backend, device):
    """cos is 0, pooled is 0, and gradients equal those of the reference, whose floors have no gradient."""
    case = Case(function=function)
    tensors = cases.inputs(case, torch.float32, device=device)
    tensors["maps"] = tensors["maps"].clone()
    tensors["maps"][0] = 0
    tensors["maps"][1, 1, 2] = 0
    expected, actual = cases.run(case, tensors, "reference"), cases.run(case, tensors, backend)
    for name, tensor in actual.items():
        assert tensor.isfinite().all(), name
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-4 * float(expected[name].abs().max()))


# A NaN with a payload, as hardware may produce it: integer arithmetic on its bits must not turn it into a number.
PAYLOAD = torch.tensor(0x7FC001FF, dtype=torch.int32).view(torch.float32)


@pytest.mark.parametrize("poison", (math.nan, math.inf, PAYLOAD), ids=("nan", "inf", "payload"))
@pytest.mark.parametrize("where", ("values", "features"))
@pytest.mark.parametrize("merge", ("max", "mean", "none"))
@pytest.mark.parametrize("activation", ("softmax", "sigmoid"))
def test_nan_stays_in_its_sample(activation, merge, where, poison, backend, device):
    case = Case(batch=3, activation=activation, merge=merge)
    clean = cases.inputs(case, torch.float32, device=device)
    check_nan_stays_in_its_sample(case, clean, where, (2, 3, 4), poison, backend)


def test_nan_wins_the_maximum(backend, device):
    case = Case(function="attention_pool")
    tensors = cases.inputs(case, torch.float32, device=device)
    for channel in range(case.channels):
        maps = tensors["maps"].clone()
        maps[0, 0, channel, 2, 2] = math.nan
        attention = cases.call(case, {**tensors, "maps": maps}, backend)[1]
        assert attention[0, 0, 2, 2].isnan() and attention.isnan().sum() == 1


def test_a_nan_cosine_is_a_nan_diversity_and_gradient(backend, device):
    check_a_nan_cosine(Case(function="attention_diversity"), backend, device)


def test_the_first_maximum_takes_the_gradient(backend, device):
    case = Case(function="attention_pool")
    tensors = cases.inputs(case, torch.float32, device=device)
    tensors["maps"] = torch.full_like(tensors["maps"], 0.5)
    actual = cases.run(case, tensors, backend)["d_maps"]
    assert actual[:, :, 0].any() and not actual[:, :, 1:].any()


def test_hinge_has_no_slope_at_the_margin(backend, device):
    """Equal one-hot maps have a cosine of exactly 1; with margin 1, value and gradient are 0."""
    maps = torch.zeros(1, 1, 2, 1, 3, device=device)
    maps[..., 0] = 1
    maps.requires_grad_()
    diversity = sma_kernels.attention_diversity(maps, margin=1.0, backend=backend)
    diversity.sum().backward()
    assert not diversity.any() and not maps.grad.any()


def test_repeats_are_bit_equal(backend, device):
    case = Case(batch=5)
    tensors = cases.inputs(case, torch.float32, device=device)
    first = cases.run(case, tensors, backend)
    for _ in range(5):
        for name, tensor in cases.run(case, tensors, backend).items():
            assert torch.equal(tensor, first[name]), name


def test_second_derivative_is_refused(backend, device):
    tensors = cases.inputs(Case(), torch.float32, device=device)
    values = tensors["values"].detach().requires_grad_()
    pooled = cases.call(Case(), {**tensors, "values": values}, backend)[0]
    (grad,) = torch.autograd.grad(pooled.square().sum(), values, create_graph=True)
    with pytest.raises(RuntimeError, match='backend="reference"'):
        grad.sum().backward()


def test_float_and_tensor_scalars_agree(backend, device):
    tensors = cases.inputs(Case(), torch.float32, device=device)
    with_floats = {**tensors, "temperature": 0.2, "gate": 0.4}
    for one, other in zip(cases.call(Case(), tensors, backend), cases.call(Case(), with_floats, backend), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16), ids=str)
def test_parameters_may_have_the_inputs_dtype(dtype, backend, device):
    tensors = cases.inputs(Case(), dtype, device=device)
    low = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    actual = cases.run(Case(), low, backend)
    assert all(actual[f"d_{name}"].dtype == dtype for name in low)
    assert actual["diversity"].dtype == actual["correlation"].dtype == torch.float32


@pytest.mark.parametrize("scale", (1.0, 1e-5), ids=("normal", "subnormal"))
@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16), ids=str)
def test_results_are_rounded_once_and_to_nearest(dtype, scale, backend, device):
    """The CPU kernels compute 16-bit calls in float32 and return that result, rounded as by torch."""
    if backend != "cpu":
        pytest.skip("other backends may use 16-bit operands")
    for merge in ("max", "none"):
        case = Case(merge=merge, values=41)
        narrow = cases.inputs(case, dtype)
        narrow["values"] = narrow["values"] * scale
        wide = {name: tensor.float() for name, tensor in narrow.items()}
        for name, got, expected in zip(
            cases.OUTPUTS["sma_attention"], cases.call(case, narrow, "cpu"), cases.call(case, wide, "cpu"), strict=True
        ):
            assert torch.equal(got, expected.to(got.dtype)), name
