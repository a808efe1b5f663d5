"""Which calls take the fast path: those of a compiled backend that has run on the device."""

import pytest
import torch

import sma_kernels
from sma_kernels import backends, fast_path
from sma_kernels.args import AttentionArgs
from tests.helpers import cases
from tests.helpers.cases import Case
from tests.torch_integration.test_direct import on_fast_path  # noqa: F401


@pytest.fixture
def compiled() -> str:
    return "cpu"


def test_the_first_call_on_a_device_is_dispatched(monkeypatch):
    """It examines the device, and logs the choice of the backend once per process."""
    tensors = cases.inputs(Case(), torch.float32)
    args = AttentionArgs(values=tensors["values"], features=tensors["features"], weight=tensors["weight"])
    for ran_on, expected in (
        ({}, False),
        ({"cpu": {torch.device("meta")}}, False),
        ({"cpu": {torch.device("cpu")}}, True),
    ):
        monkeypatch.setattr(backends, "_ran_on", ran_on)
        assert fast_path._has_run(args, "cpu") == fast_path._has_run(args, "auto") == expected


def test_a_choice_of_triton_is_dispatched(on_fast_path, monkeypatch):  # noqa: F811
    tensors = cases.inputs(Case(), torch.float32)
    monkeypatch.setitem(backends._ran_on, "triton", {torch.device("cpu")})
    cases.call(Case(), tensors, "auto")
    monkeypatch.setattr(backends, "candidates", lambda args: ("triton", "cpu"))
    fast_path.sma_attention(AttentionArgs(**{name: tensors[name] for name in ("values", "features", "weight")}), "auto")
    assert on_fast_path == [True, False]


@pytest.mark.parametrize("name", ("values", "features", "weight"))
def test_sizes_that_no_choice_can_be_made_for(name, on_fast_path):  # noqa: F811
    """On meta tensors, which are not on a CPU, `auto` would look for the nearest sizes in its table."""
    tensors = cases.inputs(Case(), torch.float32, device="meta")
    for unusual in (None, torch.empty(2, device="meta")):
        with pytest.raises((TypeError, ValueError), match=name):
            sma_kernels.sma_attention(**{**tensors, name: unusual})
    assert on_fast_path == [False, False]


class DropsTheGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return tensor.sum()

    @staticmethod
    def backward(ctx, grad):
        return None


@pytest.mark.parametrize(
    ("asked", "loss"),
    [
        pytest.param("weight", lambda out: DropsTheGradient.apply(out.pooled), id="no gradient arrives"),
        pytest.param("values", lambda out: out.diversity.sum(), id="no gradient is needed"),
    ],
)
def test_a_backward_without_work_runs_no_kernel(asked, loss, on_fast_path):  # noqa: F811
    tensors = cases.inputs(Case(), torch.float32)
    leaf = tensors[asked].requires_grad_()
    out = cases.call(Case(), tensors, "cpu")
    with torch.profiler.profile() as profile:
        (grad,) = torch.autograd.grad(loss(sma_kernels.SMAOutput(*out)), leaf, allow_unused=True)
    assert on_fast_path == [True]
    assert grad is None or not grad.any()
    events = {event.key for event in profile.key_averages()}
    assert "sma_kernels::sma_attention_backward" in events and "sma_kernels::_backward_cpu" not in events


def test_saved_tensors_that_return_on_a_device_without_a_backend(on_fast_path):  # noqa: F811
    tensors = cases.inputs(Case(), torch.float32)
    tensors["values"].requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: saved, lambda saved: saved.to("meta")):
        pooled = cases.call(Case(), tensors, "cpu")[0]
    with pytest.raises(RuntimeError, match="the saved features are on meta"):
        pooled.sum().backward()
    assert on_fast_path == [True]


@pytest.mark.gpu
def test_float64_on_a_gpu_is_left_to_the_reference():
    tensors = cases.inputs(Case(), torch.float64, device="cuda")
    cases.call(Case(), cases.inputs(Case(), torch.float32, device="cuda"), "cuda")
    with pytest.raises(RuntimeError, match="float64 is not supported"):
        cases.call(Case(), tensors, "cuda")
    expected = cases.call(Case(), tensors, "reference")
    for ours, theirs in zip(cases.call(Case(), tensors, "auto"), expected, strict=True):
        assert torch.equal(ours, theirs)
