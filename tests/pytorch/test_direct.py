"""The short way of `sma_attention` gives what the operator gives, and leaves to it whatever it cannot do."""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode

import sma_kernels
from sma_kernels import direct
from tests import cases
from tests.cases import Case


@pytest.fixture
def taken(monkeypatch):
    """Whether the short way was taken, call by call."""
    cases.call(Case(), cases.inputs(Case(), torch.float32), "cpu")  # the first one says so in the log, the long way
    found = []
    short = direct.sma_attention

    def watch(*args):
        outputs = short(*args)
        found.append(outputs is not None)
        return outputs

    monkeypatch.setattr(direct, "sma_attention", watch)
    return found


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float64), ids=str)
@pytest.mark.parametrize("case", [c for c in cases.matrix() if c.function == "sma_attention"], ids=cases.ids)
def test_both_ways_give_the_same_bits(case, dtype, taken):
    tensors = cases.inputs(case, dtype)
    short = cases.call(case, tensors, "cpu")
    tensors["values"].requires_grad_()
    long = cases.call(case, tensors, "cpu")
    assert taken == [True, False]
    assert type(sma_kernels.sma_attention(**cases.inputs(case, dtype))) is sma_kernels.SMAOutput
    for ours, theirs in zip(short, long, strict=True):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)


class Watching(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "context",
    [
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: FakeTensorMode(allow_non_fake_inputs=True),
        Watching,
        torch.autograd.forward_ad.dual_level,
    ],
    ids=("autocast", "fake tensors", "function mode", "forward derivatives"),
)
def test_long_way_is_taken_where_someone_watches(context, taken):
    tensors = cases.inputs(Case(), torch.float32)
    with context():
        cases.call(Case(), tensors, "auto")
    assert taken == [False]


class Named(torch.Tensor):
    pass


@pytest.mark.parametrize(
    "change",
    [
        {"backend": "reference"},
        {"values": torch.randn(2, 37, 5, 7).as_subclass(Named)},
        {"temperature": 1},
        {"margin": 0},
    ],
    ids=str,
)
def test_long_way_is_taken_for_the_unusual(change, taken):
    sma_kernels.sma_attention(**{**cases.inputs(Case(), torch.float32), "backend": "cpu", **change})
    assert taken == [False]
