"""The fast path returns the results of the operator, and leaves unsupported calls to it."""

import subprocess
import sys
from contextlib import nullcontext, suppress
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
from tests.helpers import cases
from tests.helpers.cases import Case

ROOT = Path(__file__).parents[2]


@pytest.fixture
def on_fast_path(fused, device, monkeypatch):
    """Records for each call whether the fast path ran."""
    cases.call(Case(), cases.inputs(Case(), torch.float32, device=device), fused)  # the first call is dispatched
    calls = []
    sma_attention = fast_path.sma_attention

    def recorded(*args):
        outputs = sma_attention(*args)
        calls.append(outputs is not None)
        return outputs

    monkeypatch.setattr(fast_path, "sma_attention", recorded)
    return calls


class Intercepting(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float64), ids=str)
@pytest.mark.parametrize("case", [c for c in cases.matrix() if c.function == "sma_attention"], ids=cases.ids)
def test_both_paths_give_the_same_bits(case, dtype, fused, device, on_fast_path):
    if fused != "cpu" and dtype == torch.float64:
        pytest.skip("the backend does not support float64")
    tensors = cases.inputs(case, dtype, device=device)
    fast = cases.call(case, tensors, fused)
    with Intercepting():
        dispatched = cases.call(case, tensors, fused)
    assert on_fast_path == [True, False]
    assert type(sma_kernels.sma_attention(**cases.inputs(case, dtype, device=device))) is sma_kernels.SMAOutput
    for ours, theirs in zip(fast, dispatched, strict=True):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)


@pytest.mark.parametrize("case", [c for c in cases.matrix() if c.function == "sma_attention"], ids=cases.ids)
def test_both_paths_give_the_same_gradients(case, fused, device, on_fast_path):
    fast = cases.run(case, cases.inputs(case, torch.float32, device=device), fused)
    with Intercepting():
        dispatched = cases.run(case, cases.inputs(case, torch.float32, device=device), fused)
    assert on_fast_path == [True, False]
    assert fast.keys() == dispatched.keys()
    for name, result in fast.items():
        assert torch.equal(result, dispatched[name]), name


@pytest.mark.parametrize("asked", (["values"], ["weight"], ["temperature"], ["values", "bias"]), ids="+".join)
@pytest.mark.parametrize("output", range(5), ids=sma_kernels.SMAOutput._fields)
def test_a_part_of_the_gradients(asked, output, fused, device, on_fast_path):
    """One output, some inputs: both paths agree, also on which inputs have no gradient."""

    def gradients():
        tensors = cases.inputs(Case(), torch.float32, device=device)
        leaves = [tensors[name].requires_grad_() for name in asked]
        actual = cases.call(Case(), tensors, fused)[output]
        return torch.autograd.grad(actual.sum(), leaves, allow_unused=True) if actual.requires_grad else None

    fast = gradients()
    with Intercepting():
        dispatched = gradients()
    assert on_fast_path == [True, False]
    assert (fast is None) == (dispatched is None)
    for ours, theirs in zip(fast or (), dispatched or (), strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)


@pytest.mark.interpreted
@pytest.mark.parametrize("absent", ("bias", "relation_bias", "temperature"))
def test_an_input_that_is_not_there(absent, fused, device, on_fast_path):
    """The inputs after it get their own gradients."""

    def gradients():
        inputs = cases.inputs(Case(), torch.float32, device=device)
        tensors = {name: tensor.requires_grad_() for name, tensor in inputs.items()}
        del tensors[absent]
        actual = cases.call(Case(), tensors, fused)
        return dict(zip(tensors, torch.autograd.grad(actual[0].sum() + actual[3].sum(), tensors.values()), strict=True))

    fast = gradients()
    with Intercepting():
        dispatched = gradients()
    assert on_fast_path == [True, False]
    assert all(torch.equal(gradient, dispatched[name]) for name, gradient in fast.items())


PATHS = pytest.mark.parametrize("path", (nullcontext, Intercepting), ids=("fast", "dispatched"))


def values_and_pooled(path, fused, device) -> tuple[torch.Tensor, torch.Tensor]:
    """A leaf tensor, and the values pooled from it on either path."""
    tensors = cases.inputs(Case(), torch.float32, device=device)
    values = tensors["values"].requires_grad_()
    with path():
        return values, cases.call(Case(), tensors, fused)[0]


@PATHS
def test_a_second_derivative_is_refused(path, fused, device, on_fast_path):
    values, pooled = values_and_pooled(path, fused, device)
    (first,) = torch.autograd.grad(pooled.square().sum(), values, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivatives of sma_kernels"):
        first.sum().backward()
    assert on_fast_path == [path is nullcontext]


@PATHS
def test_gradients_of_a_batch_of_losses(path, fused, device, on_fast_path):
    values, pooled = values_and_pooled(path, fused, device)
    losses = torch.stack([pooled.detach().cos(), pooled.detach().sin()])
    (together,) = torch.autograd.grad(pooled, values, losses, is_grads_batched=True, retain_graph=True)
    for loss, gradient in zip(losses, together, strict=True):
        assert torch.equal(gradient, torch.autograd.grad(pooled, values, loss, retain_graph=True)[0])
    assert on_fast_path == [path is nullcontext]


@pytest.mark.interpreted
@PATHS
def test_a_backward_that_a_mode_intercepts_goes_through_the_registered_operator(path, fused, device, on_fast_path):
    _, pooled = values_and_pooled(path, fused, device)
    seen = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function)
            return function(*args, **(kwargs or {}))

    with Counting():
        pooled.sum().backward()
    assert on_fast_path == [path is nullcontext]
    assert torch.ops.sma_kernels.sma_attention_backward.default in seen


@pytest.mark.parametrize("asked", (["values"], ["weight"], ["values", "bias"]), ids="+".join)
def test_unneeded_gradients_are_not_allocated(asked, fused, device, on_fast_path):
    def allocated(names: list[str]) -> int:
        tensors = cases.inputs(Case(), torch.float32, device=device)
        leaves = {name: tensors[name].requires_grad_() for name in names}
        loss = cases.call(Case(), {**tensors, **leaves}, fused)[0].sum()
        with torch.profiler.profile() as profile:
            loss.backward()
        return next(event.count for event in profile.key_averages() if event.key == "aten::empty_like")

    everything = cases.TENSORS["sma_attention"]
    assert allocated(list(everything)) - allocated(asked) == len(everything) - len(asked)
    assert on_fast_path == [True, True]


CHECKPOINTED = """
import sys, torch
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode
from tests.helpers import cases
backend, device, merge = sys.argv[1:]
case = cases.Case(merge=merge)
tensors = cases.inputs(case, torch.float32, device=device)
leaf = tensors["values"].requires_grad_()
def loss(values):
    return cases.call(case, {**tensors, "values": values}, backend)[0].sum()
checkpoint(loss, leaf, use_reentrant=False).backward()  # dispatched, since it is the first call; then fast
first, leaf.grad = leaf.grad, None
again = checkpoint(loss, leaf, use_reentrant=False)  # fast, then dispatched
with FlopCounterMode(display=False): again.backward()
torch.testing.assert_close(leaf.grad, first, rtol=0, atol=0)
"""


@pytest.mark.parametrize("merge", ("max", "none"))
def test_checkpointing_may_run_one_path_first_and_the_other_again(merge, fused, device):
    subprocess.run([sys.executable, "-c", CHECKPOINTED, fused, device.type, merge], cwd=ROOT, check=True)


@PATHS
@pytest.mark.parametrize("merge", ("max", "none"))
def test_a_compiled_backward(merge, path, fused, device, on_fast_path):
    case = Case(merge=merge, bias=False)
    inputs = cases.inputs(case, torch.float32, device=device)
    tensors = {name: tensor.requires_grad_() for name, tensor in inputs.items() if tensor is not None}
    with path():
        loss = cases.call(case, {"bias": None, **tensors}, fused)[0].sum()
    expected = torch.autograd.grad(loss, tensors.values(), retain_graph=True)
    with compiled_autograd._enable(torch.compile(backend="eager")):
        loss.backward()
    for (name, tensor), gradient in zip(tensors.items(), expected, strict=True):
        assert torch.equal(tensor.grad, gradient), name
    assert on_fast_path == [path is nullcontext]


@PATHS
def test_a_tangent_of_a_cotangent_is_refused(path, fused, device, on_fast_path):
    values, pooled = values_and_pooled(path, fused, device)
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match="forward-mode derivatives"):
        torch.autograd.grad(pooled, values, forward_ad.make_dual(torch.ones_like(pooled), torch.ones_like(pooled)))
    assert on_fast_path == [path is nullcontext]


@pytest.mark.parametrize("name", ("values", "features", "weight", "bias", "temperature", "gate", "relation_bias"))
def test_a_tensor_with_the_negative_bit_is_dispatched(name, fused, device, on_fast_path):
    tensors = cases.inputs(Case(), torch.float32, device=device)
    expected = cases.call(Case(), {**tensors, name: -tensors[name]}, fused)
    actual = cases.call(Case(), {**tensors, name: torch._neg_view(tensors[name])}, fused)
    assert on_fast_path == [True, False]
    for ours, theirs in zip(actual, expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.interpreted
def test_the_backward_of_the_fast_path_calls_no_registered_operator(fused, device, on_fast_path):
    """Otherwise it would be as slow as the dispatcher path, unnoticed."""
    _, pooled = values_and_pooled(nullcontext, fused, device)
    loss = pooled.sum()
    with torch.profiler.profile() as profile:
        loss.backward()
    assert on_fast_path == [True]
    assert "sma_kernels::sma_attention_backward" not in [event.key for event in profile.key_averages()]


@pytest.mark.parametrize(
    "context",
    [
        lambda device: torch.autocast(device, torch.bfloat16),
        lambda device: FakeTensorMode(allow_non_fake_inputs=True),
        lambda device: Intercepting(),
        lambda device: forward_ad.dual_level(),
    ],
    ids=("autocast", "fake tensors", "function mode", "forward derivatives"),
)
def test_calls_that_torch_intercepts_are_dispatched(context, fused, device, on_fast_path):
    tensors = cases.inputs(Case(), torch.float32, device=device)
    with context(device.type), suppress(RuntimeError):  # an explicit backend refuses forward derivatives
        cases.call(Case(), tensors, fused)
    assert on_fast_path == [False]


class Named(torch.Tensor):
    pass


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {"backend": "reference"},
        lambda tensors: {"values": tensors["values"].as_subclass(Named)},
        lambda tensors: {"temperature": 1},
        lambda tensors: {"margin": 0},
    ],
    ids=("reference", "subclass", "temperature", "margin"),
)
def test_unusual_arguments_are_dispatched(change, fused, device, on_fast_path):
    tensors = cases.inputs(Case(), torch.float32, device=device)
    sma_kernels.sma_attention(**{**tensors, "backend": fused, **change(tensors)})
    assert on_fast_path == [False]


@pytest.mark.parametrize("names", (["values"], ["values", "features"]), ids="+".join)
def test_a_fault_of_the_kernel_is_raised_and_the_call_is_not_repeated(names, fused, device, on_fast_path, monkeypatch):
    """The inputs are valid (one expanded element), but too large for the outputs (CPU) or the kernels (CUDA)."""
    element = torch.ones(1, device=device)
    huge = element.as_strided((1, 1, 2**22, 2**22), (1, 1, 0, 0)).requires_grad_("features" in names)
    monkeypatch.setattr(sma_kernels.backends, "forward", lambda *_: pytest.fail("the call was repeated"))
    with pytest.raises((RuntimeError, ValueError), match=r"alloc|longer"):
        sma_kernels.sma_attention(huge, huge, element.expand(4, 1, 1), backend=fused)
    assert not on_fast_path  # it raised instead of returning


@pytest.mark.parametrize("name", ("values", "features", "weight", "bias", "relation_bias", "temperature", "gate"))
def test_invalid_tensors_are_left_to_the_dispatcher_path_without_an_error(name, fused, device, on_fast_path):
    """The dispatcher path raises the error that names the argument: sizes, dtype and freed memory."""
    tensors = cases.inputs(Case(), torch.float32, device=device)
    freed = tensors[name].clone()
    freed.untyped_storage().resize_(0)
    for tensor in (tensors[name][None], tensors[name].to(torch.int32), freed):
        with pytest.raises((TypeError, ValueError, RuntimeError), match=name):
            cases.call(Case(), {**tensors, name: tensor}, fused)
    assert on_fast_path == [False] * 3
