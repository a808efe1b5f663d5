"""Requirements of torch for an operator: schema, fake, autograd, autocast."""

from dataclasses import fields

import pytest
import torch

import sma_kernels
from sma_kernels.args import AttentionArgs
from tests.helpers import cases
from tests.helpers.cases import Case


def operator_arguments(case, tensors, backend):
    """Positional arguments of torch.ops.sma_kernels.<function>."""
    arguments = []
    for name in cases.TENSORS[case.function]:
        arguments += [0.2, tensors[name]] if name in ("temperature", "gate") else [tensors[name]]
    arguments += [tensors.get("mask")] if case.function in cases.MASKED else []
    return (*arguments, *(getattr(case, name) for name in cases.SETTINGS[case.function]), backend)


@pytest.mark.parametrize("merge", ("max", "none"))
@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_opcheck(function, merge, backend, device):
    case = Case(function=function, merge=merge)
    tensors = {
        name: tensor.requires_grad_() for name, tensor in cases.inputs(case, torch.float32, device=device).items()
    }
    operator = getattr(torch.ops.sma_kernels, function).default
    torch.library.opcheck(operator, operator_arguments(case, tensors, backend))


@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_opcheck_of_the_backward(function, backend, device):
    case = Case(function=function)
    tensors = cases.inputs(case, torch.float32, device=device)
    forward = getattr(torch.ops.sma_kernels, function).default
    backward = getattr(torch.ops.sma_kernels, f"{function}_backward").default
    arguments = operator_arguments(case, tensors, backend)
    results = forward(*arguments)
    results = results if isinstance(results, tuple) else (results,)
    by_name = dict(zip(cases.OUTPUTS_OF_OPERATORS[function], results, strict=True))
    names = [argument.name for argument in backward._schema.arguments]
    grads = [torch.ones_like(by_name[name[5:]]) for name in names if name.startswith("grad_")]
    saved = [by_name[name[6:]] for name in names if name.startswith("saved_")]
    needs = [True] * len(cases.TENSORS[function])
    torch.library.opcheck(backward, (*grads, *saved, *arguments, needs), test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize("operator", ("_forward_cpu", "_forward_cuda", "_forward_triton", "_sma_attention"))
def test_private_operators_take_the_fields_of_the_record(operator):
    schema = getattr(torch.ops.sma_kernels, operator).default._schema
    names = [argument.name for argument in schema.arguments if argument.name != "backend"]
    assert names == [field.name for field in fields(AttentionArgs)]


def test_autocast_casts_feature_maps_and_nothing_else(backend, device):
    tensors = cases.inputs(Case(), torch.float32, device=device)
    leaves = {name: tensor.requires_grad_() for name, tensor in tensors.items()}
    with torch.autocast(device.type, torch.bfloat16):
        actual = cases.call(Case(), leaves, backend)
        expected = cases.call(Case(), leaves, "reference")
    assert [out.dtype for out in actual] == [out.dtype for out in expected]
    assert actual[0].dtype == torch.bfloat16 and actual[3].dtype == actual[4].dtype == torch.float32
    sum(out.float().sum() for out in actual).backward()
    assert all(leaf.grad.dtype == torch.float32 for leaf in leaves.values())


def test_the_choice_of_a_backend_is_logged_once(caplog, backend, device):
    sma_kernels.backends._ran_on.clear()
    tensors = cases.inputs(Case(), torch.float32, device=device)
    with caplog.at_level("INFO", logger="sma_kernels"):
        cases.call(Case(), tensors, backend)
        cases.call(Case(), tensors, backend)
    assert [record.message for record in caplog.records] == [f"backend={backend!r} runs on {backend!r}"]


def test_compiled_function_equals_eager(backend, device):
    case = Case()
    tensors = cases.inputs(case, torch.float32, device=device)
    compiled = torch.compile(
        lambda values: cases.call(case, {**tensors, "values": values}, backend), fullgraph=True, backend="aot_eager"
    )
    values = tensors["values"].detach().requires_grad_()
    (grad,) = torch.autograd.grad(compiled(values)[0].sum(), values)
    (expected,) = torch.autograd.grad(cases.call(case, {**tensors, "values": values}, backend)[0].sum(), values)
    assert torch.equal(grad, expected)


def backward_arguments(case, tensors, backend, grads, needs):
    """Arguments of torch.ops.sma_kernels.sma_attention_backward, from a forward on `tensors`."""
    results = torch.ops.sma_kernels.sma_attention.default(*operator_arguments(case, tensors, backend))
    _, attention, maps, _, correlation, attention_sum, winner = results
    return (
        *grads,
        attention,
        maps,
        correlation,
        attention_sum,
        winner,
        *operator_arguments(case, tensors, backend),
        needs,
    )


def test_values_reach_a_loss_through_pooled_alone(backend, device):
    case = Case()
    tensors = cases.inputs(case, torch.float32, device=device)
    grads = (None, None, None, torch.ones(case.batch, device=device), None)
    torch.use_deterministic_algorithms(True)  # fills uninitialized memory with NaN
    try:
        arguments = backward_arguments(case, tensors, backend, grads, [True] * 7)
        actual = torch.ops.sma_kernels.sma_attention_backward.default(*arguments)
    finally:
        torch.use_deterministic_algorithms(False)
    assert not actual[0].any() and actual[1].any()


@pytest.mark.parametrize(("output", "values", "weight"), [(0, True, False), (0, False, True), (3, True, True)])
def test_unneeded_gradients_are_not_computed(monkeypatch, output, values, weight, backend, device):
    """The formula requests only the gradients that autograd needs, and none for the values if pooled is unused."""
    tensors = cases.inputs(Case(), torch.float32, device=device)
    asked = []
    run = sma_kernels.backends.backward
    monkeypatch.setattr(sma_kernels.backends, "backward", lambda *args: (asked.append(args), run(*args))[1])
    tensors["values"].requires_grad_(values)
    tensors["weight"].requires_grad_(weight)
    operator = torch.ops.sma_kernels.sma_attention.default  # the public function may bypass it on a CPU: test_direct.py
    operator(*operator_arguments(Case(), tensors, backend))[output].sum().backward()
    ((_, _, cotangents, needs, _),) = asked
    assert needs == [values and output == 0, False, False, weight, False, False, False, False]
    assert [cotangent is not None for cotangent in cotangents] == [index == output for index in range(5)]
