"""The short way of `sma_attention` gives what the operator gives, and leaves to it whatever it cannot do."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch._dynamo import compiled_autograd
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import sma_kernels
from sma_kernels import fast_path
from tests import cases
from tests.cases import Case

ROOT = Path(__file__).parents[2]


@pytest.fixture
def taken(monkeypatch):
    """Whether the short way was taken, call by call."""
    cases.call(Case(), cases.inputs(Case(), torch.float32), "cpu")  # the first one says so in the log, the long way
    found = []
    short = fast_path.sma_attention

    def watch(*args):
        outputs = short(*args)
        found.append(outputs is not None)
        return outputs

    monkeypatch.setattr(fast_path, "sma_attention", watch)
    return found


class Watching(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float64), ids=str)
@pytest.mark.parametrize("case", [c for c in cases.matrix() if c.function == "sma_attention"], ids=cases.ids)
def test_both_ways_give_the_same_bits(case, dtype, taken):
    tensors = cases.inputs(case, dtype)
    short = cases.call(case, tensors, "cpu")
    with Watching():
        long = cases.call(case, tensors, "cpu")
    assert taken == [True, False]
    assert type(sma_kernels.sma_attention(**cases.inputs(case, dtype))) is sma_kernels.SMAOutput
    for ours, theirs in zip(short, long, strict=True):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)


@pytest.mark.parametrize("case", [c for c in cases.matrix() if c.function == "sma_attention"], ids=cases.ids)
def test_both_ways_give_the_same_gradients(case, taken):
    short = cases.run(case, cases.inputs(case, torch.float32), "cpu")
    with Watching():
        long = cases.run(case, cases.inputs(case, torch.float32), "cpu")
    assert taken == [True, False]
    assert short.keys() == long.keys()
    for name, result in short.items():
        assert torch.equal(result, long[name]), name


@pytest.mark.parametrize("asked", (["values"], ["weight"], ["temperature"], ["values", "bias"]), ids="+".join)
@pytest.mark.parametrize("output", range(5), ids=sma_kernels.SMAOutput._fields)
def test_a_part_of_the_gradients(asked, output, taken):
    """One output, some inputs: both ways agree, also on what has no gradient at all."""

    def gradients():
        tensors = cases.inputs(Case(), torch.float32)
        leaves = [tensors[name].requires_grad_() for name in asked]
        found = cases.call(Case(), tensors, "cpu")[output]
        return torch.autograd.grad(found.sum(), leaves, allow_unused=True) if found.requires_grad else None

    short = gradients()
    with Watching():
        long = gradients()
    assert taken == [True, False]
    assert (short is None) == (long is None)
    for ours, theirs in zip(short or (), long or (), strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)


@pytest.mark.parametrize("absent", ("bias", "relation_bias", "temperature"))
def test_an_input_that_is_not_there(absent, taken):
    """Those after it get their own gradients."""

    def gradients():
        tensors = {name: tensor.requires_grad_() for name, tensor in cases.inputs(Case(), torch.float32).items()}
        del tensors[absent]
        found = cases.call(Case(), tensors, "cpu")
        return dict(zip(tensors, torch.autograd.grad(found[0].sum() + found[3].sum(), tensors.values()), strict=True))

    short = gradients()
    with Watching():
        long = gradients()
    assert taken == [True, False]
    assert all(torch.equal(gradient, long[name]) for name, gradient in short.items())


WAYS = pytest.mark.parametrize("way", (nullcontext, Watching), ids=("short", "long"))


def values_and_pooled(way) -> tuple[torch.Tensor, torch.Tensor]:
    """A leaf, and what is pooled of it one way or the other."""
    tensors = cases.inputs(Case(), torch.float32)
    values = tensors["values"].requires_grad_()
    with way():
        return values, cases.call(Case(), tensors, "cpu")[0]


@WAYS
def test_a_second_derivative_is_refused(way, taken):
    values, pooled = values_and_pooled(way)
    (first,) = torch.autograd.grad(pooled.square().sum(), values, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivatives of sma_kernels"):
        first.sum().backward()
    assert taken == [way is nullcontext]


@WAYS
def test_gradients_of_a_batch_of_losses(way, taken):
    values, pooled = values_and_pooled(way)
    losses = torch.stack([pooled.detach().cos(), pooled.detach().sin()])
    (together,) = torch.autograd.grad(pooled, values, losses, is_grads_batched=True, retain_graph=True)
    for loss, gradient in zip(losses, together, strict=True):
        assert torch.equal(gradient, torch.autograd.grad(pooled, values, loss, retain_graph=True)[0])
    assert taken == [way is nullcontext]


@WAYS
def test_a_backward_that_is_watched_goes_through_the_registered_operator(way, taken):
    _, pooled = values_and_pooled(way)
    seen = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    with Counting():
        pooled.sum().backward()
    assert taken == [way is nullcontext]
    assert torch.ops.sma_kernels.sma_attention_backward.default in seen


@pytest.mark.parametrize("asked", (["values"], ["weight"], ["values", "bias"]), ids="+".join)
def test_unneeded_gradients_are_not_allocated(asked, taken):
    def allocated(names: list[str]) -> int:
        tensors = cases.inputs(Case(), torch.float32)
        leaves = {name: tensors[name].requires_grad_() for name in names}
        loss = cases.call(Case(), {**tensors, **leaves}, "cpu")[0].sum()
        with torch.profiler.profile() as profile:
            loss.backward()
        return next(event.count for event in profile.key_averages() if event.key == "aten::empty_like")

    everything = cases.TENSORS["sma_attention"]
    assert allocated(list(everything)) - allocated(asked) == len(everything) - len(asked)
    assert taken == [True, True]


CHECKPOINTED = """
import sys, torch
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode
from tests import cases
case = cases.Case(merge=sys.argv[1])
tensors = cases.inputs(case, torch.float32)
leaf = tensors["values"].requires_grad_()
def loss(values):
    return cases.call(case, {**tensors, "values": values}, "cpu")[0].sum()
checkpoint(loss, leaf, use_reentrant=False).backward()  # forward the long way, since it is the first call; then the short
first, leaf.grad = leaf.grad, None
again = checkpoint(loss, leaf, use_reentrant=False)  # forward the short way, then the long one
with FlopCounterMode(display=False):
    again.backward()
torch.testing.assert_close(leaf.grad, first, rtol=0, atol=0)
"""


@pytest.mark.parametrize("merge", ("max", "none"))
def test_checkpointing_may_take_one_way_forth_and_the_other_again(merge):
    subprocess.run([sys.executable, "-c", CHECKPOINTED, merge], cwd=ROOT, check=True)


@WAYS
@pytest.mark.parametrize("merge", ("max", "none"))
def test_a_compiled_backward(merge, way, taken):
    case = Case(merge=merge, bias=False)
    tensors = {name: t.requires_grad_() for name, t in cases.inputs(case, torch.float32).items() if t is not None}
    with way():
        loss = cases.call(case, {"bias": None, **tensors}, "cpu")[0].sum()
    expected = torch.autograd.grad(loss, tensors.values(), retain_graph=True)
    with compiled_autograd._enable(torch.compile(backend="eager")):
        loss.backward()
    for (name, tensor), gradient in zip(tensors.items(), expected, strict=True):
        assert torch.equal(tensor.grad, gradient), name
    assert taken == [way is nullcontext]


@WAYS
def test_a_tangent_of_a_cotangent_is_refused(way, taken):
    values, pooled = values_and_pooled(way)
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match="forward-mode derivatives"):
        torch.autograd.grad(pooled, values, forward_ad.make_dual(torch.ones_like(pooled), torch.ones_like(pooled)))
    assert taken == [way is nullcontext]


@pytest.mark.parametrize("name", ("values", "features", "weight", "bias", "temperature", "gate", "relation_bias"))
def test_a_tensor_that_is_negative_by_its_flag_takes_the_long_way(name, taken):
    tensors = cases.inputs(Case(), torch.float32)
    expected = cases.call(Case(), {**tensors, name: -tensors[name]}, "cpu")
    found = cases.call(Case(), {**tensors, name: torch._neg_view(tensors[name])}, "cpu")
    assert taken == [True, False]
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_the_short_way_back_meets_no_registered_operator(taken):
    """Else it would be as slow as the long one, and nobody would see."""
    _, pooled = values_and_pooled(nullcontext)
    loss = pooled.sum()
    with torch.profiler.profile() as profile:
        loss.backward()
    assert taken == [True]
    assert not [event.key for event in profile.key_averages() if "sma_kernels::" in event.key]


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
    ids=("reference", "subclass", "temperature", "margin"),
)
def test_long_way_is_taken_for_the_unusual(change, taken):
    sma_kernels.sma_attention(**{**cases.inputs(Case(), torch.float32), "backend": "cpu", **change})
    assert taken == [False]
