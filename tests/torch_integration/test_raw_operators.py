"""The registered operators called without the public checks: they raise, and access no memory out of bounds."""

from contextlib import suppress

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers import cases
from tests.helpers.cases import Case
from tests.operators.test_registration import operator_arguments

pytestmark = pytest.mark.mode("operators past the public checks")
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
REFUSALS = (RuntimeError, ValueError, TypeError, IndexError)
SIZES = st.lists(st.integers(0, 5), max_size=6)
DTYPES = st.sampled_from((torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int32, torch.bool))


@SETTINGS
@given(data=st.data(), function=st.sampled_from(cases.FUNCTIONS), merge=st.sampled_from(("max", "mean", "none", "sum")))
def test_any_tensors_run_or_raise(data, function, merge):
    """One or more inputs replaced by tensors of any size and type; if they are valid, the backward runs as well."""
    case = Case(function=function, merge=merge)
    tensors = cases.inputs(case, torch.float32)
    names = cases.TENSORS[function] + (("mask",) if function in cases.MASKED else ())
    for name in data.draw(st.sets(st.sampled_from(names), min_size=1)):
        tensors[name] = torch.zeros(data.draw(SIZES), dtype=data.draw(DTYPES))
        if tensors[name].is_floating_point():
            tensors[name].requires_grad_()
    operator = getattr(torch.ops.sma_kernels, function).default
    with suppress(*REFUSALS):
        out = operator(*operator_arguments(case, tensors, "cpu"))
        parts = [part for part in (out if isinstance(out, tuple) else (out,)) if part.requires_grad]
        if parts:
            sum(part.double().sum() for part in parts).backward()


@SETTINGS
@given(data=st.data(), function=st.sampled_from(cases.FUNCTIONS))
def test_any_cotangents_and_kept_results_run_or_raise(data, function):
    """The backward operator with tensors of any size as incoming gradients and as saved results of the forward."""
    case = Case(function=function)
    tensors = cases.inputs(case, torch.float32)
    backward = getattr(torch.ops.sma_kernels, f"{function}_backward").default
    names = [argument.name for argument in backward._schema.arguments]
    count = sum(name.startswith(("grad_", "saved_")) for name in names)
    given_tensors = [
        data.draw(st.sampled_from((None, torch.zeros(data.draw(SIZES), dtype=data.draw(DTYPES))))) for _ in range(count)
    ]
    needs = data.draw(st.lists(st.booleans(), max_size=9))
    with suppress(*REFUSALS):
        backward(*given_tensors, *operator_arguments(case, tensors, "cpu"), needs)


@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_an_empty_axis_is_refused_by_name(function):
    """Except for the batch, the first axis of tensors that have one, which may be empty."""
    case = Case(function=function)
    tensors = cases.inputs(case, torch.float32)
    operator = getattr(torch.ops.sma_kernels, function).default
    for name, tensor in tensors.items():
        first = 1 if name in ("values", "features", "maps") else 0
        for axis in range(first, tensor.dim()):
            with pytest.raises(ValueError, match=rf"\b{name}\b|features and weight|values and"):
                operator(*operator_arguments(case, {**tensors, name: tensor.narrow(axis, 0, 0)}, "cpu"))


@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_each_kept_result_must_be_there(function):
    """The backward without one of the saved results that it reads."""
    case = Case(function=function)
    tensors = cases.inputs(case, torch.float32)
    arguments = operator_arguments(case, tensors, "cpu")
    out = getattr(torch.ops.sma_kernels, function).default(*arguments)
    results = dict(zip(cases.OUTPUTS_OF_OPERATORS[function], out if isinstance(out, tuple) else (out,), strict=True))
    backward = getattr(torch.ops.sma_kernels, f"{function}_backward").default
    names = [argument.name for argument in backward._schema.arguments]
    saved = [name.removeprefix("saved_") for name in names if name.startswith("saved_")]
    cotangents = [
        torch.ones_like(result) for result in tuple(results.values())[: sum(name.startswith("grad_") for name in names)]
    ]
    needs = [True] * len(cases.TENSORS[function])
    backward(*cotangents, *(results[name] for name in saved), *arguments, needs)
    for missing in saved:
        rest = (None if name == missing else results[name] for name in saved)
        with pytest.raises(ValueError, match=r"must be a tensor.*got None"):
            backward(*cotangents, *rest, *arguments, needs)


@pytest.mark.parametrize("function", ("sma_attention", "attention_pool"))
def test_a_winner_that_no_channel_is(function):
    """No gradient passes through its position. In so small a case, a write by that index would leave the scratch memory, which
    the sanitizer detects."""
    case = Case(function=function, regions=1, channels=2, height=2, width=2, values=3, embed=3)
    arguments = operator_arguments(case, cases.inputs(case, torch.float32), "cpu")
    results = dict(
        zip(
            cases.OUTPUTS_OF_OPERATORS[function],
            getattr(torch.ops.sma_kernels, function).default(*arguments),
            strict=True,
        )
    )
    backward = getattr(torch.ops.sma_kernels, f"{function}_backward").default
    results["winner"].fill_(255)
    given_tensors = [
        torch.ones_like(results[name.removeprefix("grad_")])
        if name == "grad_pooled"
        else results[name.removeprefix("saved_")]
        if name.startswith("saved_")
        else None
        for name in (argument.name for argument in backward._schema.arguments)
        if name.startswith(("grad_", "saved_"))
    ]
    gradients = backward(*given_tensors, *arguments, [True] * len(cases.TENSORS[function]))
    gradients = dict(zip(cases.TENSORS[function], gradients, strict=True))
    of_maps = gradients["weight" if function == "sma_attention" else "maps"]
    assert gradients["values"].any() and not of_maps.any()
