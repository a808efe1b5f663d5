"""Inputs and incoming gradients in any layout give the same bits as contiguous ones; gradients have the strides of
`empty_like`."""

import pytest
import torch

from tests.helpers import cases
from tests.helpers.cases import Case


def sliced_batch(x):
    return torch.stack((x, torch.full_like(x, torch.nan)), 1)[:, 0]


def permuted(x):
    return x.transpose(-1, -2).contiguous().transpose(-1, -2)


def offset(x):
    return torch.cat((torch.full_like(x[:1], torch.nan), x))[1:]


def sliced_channels_last(x):
    wide = torch.cat((x, torch.full_like(x, torch.nan)), 1).contiguous(memory_format=torch.channels_last)
    return wide[:, : x.shape[1]]


def strided_width(x):
    return torch.stack((x, torch.full_like(x, torch.nan)), -1)[..., 0]


LAYOUTS = (
    lambda x: x.contiguous(memory_format=torch.channels_last),
    sliced_batch,
    permuted,
    offset,
    sliced_channels_last,
    strided_width,
)
LAYOUT_NAMES = ("channels_last", "sliced_batch", "permuted", "offset", "sliced_channels_last", "strided_width")


@pytest.mark.parametrize("which", ("values", "features"))
@pytest.mark.parametrize("dtype", (torch.float32, torch.float16), ids=str)
@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_NAMES)
def test_input_layouts(layout, dtype, which, backend, device):
    case = Case()
    plain = cases.inputs(case, dtype, device=device)
    arranged = {**plain, which: layout(plain[which])}
    assert torch.equal(arranged[which], plain[which]) and arranged[which].data_ptr() != plain[which].data_ptr()
    expected, actual = cases.run(case, plain, backend), cases.run(case, arranged, backend)
    for name, tensor in actual.items():
        torch.testing.assert_close(tensor, expected[name], rtol=2e-3 if dtype == torch.float16 else 2e-5, atol=1e-5)
    assert actual[f"d_{which}"].stride() == torch.empty_like(arranged[which]).stride()


def test_expanded_input(backend, device):
    case = Case()
    plain = cases.inputs(case, torch.float32, device=device)
    shrunk = {**plain, "values": plain["values"][:, :1, :1, :1].expand_as(plain["values"])}
    dense = {**shrunk, "values": shrunk["values"].contiguous()}
    expected, actual = cases.run(case, dense, backend), cases.run(case, shrunk, backend)
    for name, tensor in actual.items():
        torch.testing.assert_close(tensor, expected[name], rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("function", ("attention_diversity", "correlate_attention", "attention_pool"))
def test_layouts_of_given_maps(function, backend, device):
    case = Case(function=function)
    plain = cases.inputs(case, torch.float32, device=device)
    arranged = {**plain, "maps": permuted(plain["maps"])}
    expected, actual = cases.run(case, plain, backend), cases.run(case, arranged, backend)
    for name, tensor in actual.items():
        torch.testing.assert_close(tensor, expected[name], rtol=2e-5, atol=1e-6)
    assert actual["d_maps"].stride() == torch.empty_like(arranged["maps"]).stride()


def expanded(grad):
    return grad.flatten()[0].expand(grad.shape)


def slice_of_cat(grad):
    return torch.cat((torch.full_like(grad, torch.nan), grad), -1)[..., grad.shape[-1] :]


def transposed(grad):
    return grad.transpose(0, -1).contiguous().transpose(0, -1)


def channels_last(grad):
    return grad.contiguous(memory_format=torch.channels_last) if grad.dim() == 4 else transposed(grad)


STRIDED = (expanded, slice_of_cat, transposed, channels_last)


@pytest.mark.parametrize("stride", STRIDED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("merge", ("max", "none"))
@pytest.mark.parametrize(
    "function, masked",
    [*((function, False) for function in cases.FUNCTIONS), *((function, True) for function in cases.MASKED)],
)
def test_incoming_gradients_of_any_stride(function, masked, merge, stride, backend, device):
    """Each incoming gradient in turn is strided; results must be bit-identical to those for its contiguous copy."""
    case = Case(function=function, merge=merge, masked=masked)
    tensors = cases.inputs(case, torch.float32, device=device)
    grads = cases.cotangents(cases.call(case, tensors, backend), seed=5)
    for index, grad in enumerate(grads):
        strided = stride(grad)
        assert not strided.is_contiguous() or strided.dim() == 1 or strided.stride(-1) == 1
        dense = [*grads[:index], strided.contiguous(), *grads[index + 1 :]]
        mixed = [*grads[:index], strided, *grads[index + 1 :]]
        expected, actual = cases.run(case, tensors, backend, dense), cases.run(case, tensors, backend, mixed)
        for name in expected:
            assert torch.equal(actual[name], expected[name]), f"{name} under a strided gradient of output {index}"


def test_sum_sends_an_expanded_gradient(backend, device):
    tensors = cases.inputs(Case(), torch.float32, device=device)
    gradients = {}
    for name in ("reference", backend):
        values = tensors["values"].detach().requires_grad_()
        sum(out.sum() for out in cases.call(Case(), {**tensors, "values": values}, name)).backward()
        gradients[name] = values.grad
    torch.testing.assert_close(gradients[backend], gradients["reference"], rtol=1e-4, atol=1e-5)


def test_outputs_are_contiguous(backend, device):
    tensors = cases.inputs(Case(layout=torch.channels_last), torch.float32, device=device)
    for name, out in zip(cases.OUTPUTS["sma_attention"], cases.call(Case(), tensors, backend), strict=True):
        assert out.is_contiguous(), name
