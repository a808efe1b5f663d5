"""Tensors whose storage was freed or shrunk: RuntimeError that names the tensor. Without the check, the process crashed, or
an argument counted as absent."""

import pytest
import torch

from sma_kernels import SMAAttention
from tests.helpers import cases
from tests.helpers.cases import Case
from tests.operators.test_registration import operator_arguments

pytestmark = [pytest.mark.interpreted, pytest.mark.mode("storages freed under their tensors")]
LEFT = {"freed": lambda held: 0, "cut short": lambda held: held - 1}


def release(tensor, how):
    storage = tensor.untyped_storage()
    storage.resize_(LEFT[how](storage.nbytes()))


@pytest.mark.parametrize("how", LEFT)
@pytest.mark.parametrize(
    "function, name", [(function, name) for function in cases.FUNCTIONS for name in cases.TENSORS[function]]
)
def test_an_argument_of_the_forward(function, name, how, backend, device):
    case = Case(function=function)
    tensors = cases.inputs(case, torch.float32, device=device)
    cases.call(case, tensors, backend)  # the second call may take the fast path
    release(tensors[name], how)
    with pytest.raises(RuntimeError, match=rf"^{name} must have memory for \d+ bytes; got a storage of \d+ bytes"):
        cases.call(case, tensors, backend)


@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_under_autocast(function, backend, device):
    case = Case(function=function)
    tensors = cases.inputs(case, torch.float32, device=device)
    name = cases.TENSORS[function][0]
    release(tensors[name], "freed")
    with torch.autocast(device.type, torch.bfloat16), pytest.raises(RuntimeError, match=rf"^{name} must have memory"):
        cases.call(case, tensors, backend)


@pytest.mark.parametrize("how", LEFT)
@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_what_the_backward_reads(function, how, fused, device):
    """Each argument and each result of the forward in turn."""
    case = Case(function=function)
    inputs = cases.inputs(case, torch.float32, device=device)
    results = {f"saved_{name}" for name in ("attention", "maps", "correlation")} & {
        argument.name for argument in backward_of(function)._schema.arguments
    }
    for name in (*inputs, *results):
        leaves = {key: tensor.detach().clone().requires_grad_() for key, tensor in inputs.items()}
        outputs = dict(zip(cases.OUTPUTS_OF_OPERATORS[function], cases.call(case, leaves, fused), strict=False))
        grads = cases.cotangents(tuple(outputs.values()), seed=0)
        release(outputs[name[6:]] if name in results else leaves[name], how)
        with pytest.raises(RuntimeError, match=rf"^{name} must have memory"):
            torch.autograd.backward(tuple(outputs.values()), grads)


@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_arguments_past_the_public_checks(function, fused, device):
    """The registered operators, forward and backward."""
    case = Case(function=function)
    tensors = cases.inputs(case, torch.float32, device=device)
    arguments = operator_arguments(case, tensors, fused)
    forward, backward = getattr(torch.ops.sma_kernels, function).default, backward_of(function)
    results = forward(*arguments)
    by_name = dict(
        zip(cases.OUTPUTS_OF_OPERATORS[function], results if isinstance(results, tuple) else (results,), strict=True)
    )
    names = [argument.name for argument in backward._schema.arguments]
    read = {
        name: torch.ones_like(by_name[name[5:]]) if name.startswith("grad_") else by_name[name[6:]].clone()
        for name in names
        if name.startswith(("grad_", "saved_"))
    }
    needs = [True] * len(cases.TENSORS[function])
    for name, tensor in read.items():
        freed = tensor.clone()
        release(freed, "freed")
        with pytest.raises(RuntimeError, match=rf"^{name} must have memory"):
            backward(*{**read, name: freed}.values(), *arguments, needs)
    release(tensors[cases.TENSORS[function][-1]], "freed")
    with pytest.raises(RuntimeError, match=rf"^{cases.TENSORS[function][-1]} must have memory"):
        forward(*arguments)


def backward_of(function):
    return getattr(torch.ops.sma_kernels, f"{function}_backward").default


def test_an_expanded_tensor_needs_no_more_than_it_has(backend, device):
    case = Case()
    tensors = cases.inputs(case, torch.float32, device=device)
    values = tensors["values"][:1].clone().expand_as(tensors["values"])
    actual = cases.call(case, {**tensors, "values": values}, backend)
    expected = cases.call(case, {**tensors, "values": values.clone()}, backend)
    assert torch.equal(actual[0], expected[0])


@pytest.mark.parametrize("name", ("weight", "bias", "log_temperature", "gate_logit", "relation_bias"))
def test_a_parameter_of_the_module(name, backend, device):
    head = SMAAttention(5, 2, 2, 3, backend=backend).to(device)
    release(getattr(head, name), "freed")
    with pytest.raises(RuntimeError, match=rf"^{name} must have memory"):
        head(torch.randn(1, 5, 2, 2, device=device))
