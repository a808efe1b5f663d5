"""torch.func, forward mode, second derivatives and activation checkpointing: correct, or rejected with a clear error."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from tests.helpers import cases
from tests.helpers.cases import Case

REFUSED = "only with backend='reference'; auto takes it"


def pooled_loss(function, backend, device="cpu"):
    """(scalar function of one tensor, that tensor) through a public function."""
    case = cases.smaller(Case(function=function))
    tensors = cases.inputs(case, torch.float32, device=device)
    name = cases.TENSORS[function][0]

    def loss(tensor):
        return sum(part.square().sum() for part in cases.call(case, {**tensors, name: tensor}, backend))

    return loss, tensors[name]


TRANSFORMS = {
    "grad": lambda loss, x: torch.func.grad(loss)(x),
    "vmap": lambda loss, x: torch.func.vmap(loss)(torch.stack([x, 2 * x])),
    "vmap of grad": lambda loss, x: torch.func.vmap(torch.func.grad(loss))(torch.stack([x, 2 * x])),
    "jvp": lambda loss, x: torch.func.jvp(loss, (x,), (x.cos(),))[1],
    "hessian": lambda loss, x: torch.func.grad(lambda y: torch.func.grad(loss)(y).square().sum())(x),
}
EXPECTED = {
    "grad": lambda loss, x: gradient(loss, x),
    "vmap": lambda loss, x: torch.stack([loss(x), loss(2 * x)]),
    "vmap of grad": lambda loss, x: torch.stack([gradient(loss, x), gradient(loss, 2 * x)]),
    "jvp": lambda loss, x: (gradient(loss, x) * x.cos()).sum(),
    "hessian": lambda loss, x: gradient(lambda y: gradient(loss, y, create_graph=True).square().sum(), x),
}


def gradient(loss, x, create_graph=False):
    x = x if x.requires_grad else x.clone().requires_grad_()
    return torch.autograd.grad(loss(x), x, create_graph=create_graph)[0]


@pytest.mark.mode("torch.func (grad, vmap, jvp)")
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("function", ("sma_attention", "attention_pool"))
@pytest.mark.parametrize("plain", ("auto", "reference"))
def test_transforms_of_torch_func(plain, function, transform):
    loss, x = pooled_loss(function, plain)
    exact, _ = pooled_loss(function, "reference")
    assert_close(TRANSFORMS[transform](loss, x), EXPECTED[transform](exact, x), rtol=1e-3, atol=1e-5)


@pytest.mark.interpreted
@pytest.mark.mode("torch.func (grad, vmap, jvp)", refused=REFUSED)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_of_torch_func_are_refused_by_fused_backends(fused, transform, device):
    loss, x = pooled_loss("sma_attention", fused, device)
    with pytest.raises(RuntimeError, match=r"torch\.func \(grad, vmap, jvp\).*need backend='reference'"):
        TRANSFORMS[transform](loss, x)


def tangent_of(loss, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(loss(forward_ad.make_dual(x, x.cos()))).tangent


@pytest.mark.mode("forward-mode derivatives")
@pytest.mark.parametrize("function", cases.FUNCTIONS)
@pytest.mark.parametrize("plain", ("auto", "reference"))
def test_forward_mode(plain, function):
    loss, x = pooled_loss(function, plain)
    exact, _ = pooled_loss(function, "reference")
    assert_close(tangent_of(loss, x), (gradient(exact, x) * x.cos()).sum(), rtol=1e-3, atol=1e-5)


@pytest.mark.interpreted
@pytest.mark.mode("forward-mode derivatives", refused=REFUSED)
@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_forward_mode_is_refused_by_fused_backends(fused, function, device):
    """torch silently drops the tangent of an operator without a forward formula."""
    loss, x = pooled_loss(function, fused, device)
    with pytest.raises(RuntimeError, match="forward-mode derivatives need backend='reference'"):
        tangent_of(loss, x)


@pytest.mark.interpreted
@pytest.mark.mode("second derivatives", refused="only with backend='reference'")
@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_second_derivatives_are_refused_by_fused_backends(fused, function, device):
    loss, x = pooled_loss(function, fused, device)
    x.requires_grad_()
    with pytest.raises(RuntimeError, match=rf'second derivatives of sma_kernels\.{function}.*backend="reference"'):
        gradient(loss, x, create_graph=True).sum().backward()


@pytest.mark.mode("second derivatives", backend="reference")
def test_second_derivatives_of_the_reference():
    case = cases.smaller(Case(merge="mean", margin=-1.0))  # smooth: no argmax, and no kink of the hinge
    tensors = cases.inputs(case, torch.float64)

    def outputs(values, features):
        return cases.call(case, {**tensors, "values": values, "features": features}, "reference")

    inputs = (tensors["values"].requires_grad_(), tensors["features"].requires_grad_())
    assert torch.autograd.gradgradcheck(outputs, inputs)


@pytest.mark.interpreted
@pytest.mark.mode("activation checkpointing")
@pytest.mark.parametrize("reentrant", (False, True))
def test_activation_checkpointing(backend, reentrant, device):
    loss, x = pooled_loss("sma_attention", backend, device)
    expected = gradient(loss, x)
    leaf = x.clone().requires_grad_()
    checkpoint(loss, leaf, use_reentrant=reentrant).backward()
    assert_close(leaf.grad, expected)
