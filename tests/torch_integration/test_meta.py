"""Meta tensors: shapes and dtypes of outputs and gradients, and operation counts by torch."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sma_kernels import SMAAttention, backends
from tests.helpers import cases
from tests.helpers.cases import Case
from tests.operators.test_registration import operator_arguments


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float64), ids=str)
@pytest.mark.parametrize("name", backends.NAMES)
@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_functions(function, name, dtype):
    """With any backend: networks that request one can be counted, too."""
    for merge in ("max", "none"):
        case = Case(function=function, merge=merge)
        actual = cases.run(case, cases.inputs(case, dtype, device="meta"), name)
        expected = cases.run(case, cases.inputs(case, dtype), "reference")
        assert {key: (result.shape, result.dtype) for key, result in actual.items()} == {
            key: (result.shape, result.dtype) for key, result in expected.items()
        }
        assert all(result.is_meta for result in actual.values())


@pytest.mark.parametrize("function", cases.FUNCTIONS)
def test_registered_operators(function):
    case = Case(function=function)
    operator = getattr(torch.ops.sma_kernels, function).default
    actual, expected = (
        operator(*operator_arguments(case, cases.inputs(case, torch.float32, device=device), "auto"))
        for device in ("meta", "cpu")
    )
    for ours, theirs in zip(*(x if isinstance(x, tuple) else (x,) for x in (actual, expected)), strict=True):
        assert ours.is_meta and ours.shape == theirs.shape and ours.dtype == theirs.dtype


def test_operations_of_the_module_are_counted():
    def count(device, backend):
        head = SMAAttention(5, regions=2, channels=3, embed_dim=4, backend=backend, device=device)
        with FlopCounterMode(display=False) as counter:
            head(torch.randn(2, 5, 3, 3, device=device)).pooled.sum().backward()
        return counter.get_total_flops()

    assert count("meta", "auto") == count("meta", "cpu") == count("cpu", "reference") > 0
