"""Which calls take the fast path: those of a fused backend that supports them and has run on their device."""

import pytest
import torch

import sma_kernels
from sma_kernels import backends, fast_path
from sma_kernels.args import AttentionArgs
from sma_kernels.backends import extension
from tests.helpers import cases
from tests.helpers.cases import Case
from tests.torch_integration.test_direct import on_fast_path  # noqa: F401

CPU = torch.device("cpu")


@pytest.fixture
def args() -> AttentionArgs:
    tensors = cases.inputs(Case(), torch.float32)
    return AttentionArgs(values=tensors["values"], features=tensors["features"], weight=tensors["weight"])


@pytest.mark.parametrize(("ran_on", "expected"), [({}, None), ({torch.device("meta")}, None), ({CPU}, "cpu")])
def test_the_first_call_on_a_device_is_dispatched(ran_on, expected, args, monkeypatch):
    """It examines the device, and logs the choice of the backend once per process."""
    monkeypatch.setattr(backends, "_ran_on", {"cpu": ran_on})
    assert fast_path._proven_backend(args, "cpu") == fast_path._proven_backend(args, "auto") == expected


def test_the_fast_path_needs_the_compiled_module(args, monkeypatch):
    """Triton runs without it."""
    args.temperature, args.merge = 0.1, "max"
    monkeypatch.setattr(backends, "_ran_on", {"cpu": {CPU}})
    assert fast_path.sma_attention(args, "cpu") is not None
    monkeypatch.setattr(extension, "LOAD_ERROR", "not built")
    assert fast_path.sma_attention(args, "cpu") is None


@pytest.mark.parametrize("unknown", ("unknown", ["cpu"], None))
def test_an_unknown_backend_has_the_error_of_the_dispatcher_path(unknown):
    with pytest.raises(ValueError, match="backend must be one of"):
        cases.call(Case(), cases.inputs(Case(), torch.float32), unknown)


@pytest.mark.parametrize("reasons", ([], ["too large"]))
def test_auto_runs_its_first_choice_if_that_supports_the_call(reasons, args, monkeypatch):
    monkeypatch.setattr(backends, "candidates", lambda args: ("triton", "cpu"))
    monkeypatch.setattr(backends, "_ran_on", {"cpu": {CPU}, "triton": {CPU}})
    monkeypatch.setattr(backends.FUSED["triton"], "not_supported_reasons", lambda args: reasons)
    assert fast_path._proven_backend(args, "auto") == (None if reasons else "triton")


@pytest.mark.parametrize("name", ("values", "features", "weight"))
def test_sizes_from_which_nothing_can_be_chosen(name):
    """On meta tensors, which are not on a CPU, `auto` would look for the nearest sizes in its table."""
    tensors = cases.inputs(Case(), torch.float32, device="meta")
    for unusual in (None, torch.empty(2, device="meta")):
        with pytest.raises((TypeError, ValueError), match=name):
            sma_kernels.sma_attention(**{**tensors, name: unusual})


def test_private_operator_leaves_unknown_backends_and_other_devices_to_the_dispatcher(args):
    """The kernels would take a CPU's pointers for those of a GPU."""
    run = torch.ops.sma_kernels._sma_attention.default
    assert run(*fast_path.flatten(args), "cpu") is not None
    assert run(*fast_path.flatten(args), "unknown") is None
    assert run(*fast_path.flatten(args), "cuda") is None


class DropsTheGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return tensor.sum()

    @staticmethod
    def backward(ctx, grad):
        return None


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("asked", "loss"),
    [
        pytest.param("weight", lambda out: DropsTheGradient.apply(out.pooled), id="no gradient arrives"),
        pytest.param("values", lambda out: out.diversity.sum(), id="no gradient is needed"),
    ],
)
def test_a_backward_without_work_runs_no_kernel(asked, loss, fused, device, on_fast_path):  # noqa: F811
    tensors = cases.inputs(Case(), torch.float32, device=device)
    leaf = tensors[asked].requires_grad_()
    out = cases.call(Case(), tensors, fused)
    with torch.profiler.profile() as profile:
        (grad,) = torch.autograd.grad(loss(sma_kernels.SMAOutput(*out)), leaf, allow_unused=True)
    assert on_fast_path == [True]
    assert grad is None or not grad.any()
    events = {event.key for event in profile.key_averages()}
    assert "sma_kernels::sma_attention_backward" in events and f"sma_kernels::_backward_{fused}" not in events


@pytest.mark.gpu
def test_float64_on_a_gpu_is_left_to_the_reference(gpu_backend):
    tensors = cases.inputs(Case(), torch.float64, device="cuda")
    cases.call(Case(), cases.inputs(Case(), torch.float32, device="cuda"), gpu_backend)
    with pytest.raises(RuntimeError, match="float64 is not supported"):
        cases.call(Case(), tensors, gpu_backend)
    expected = cases.call(Case(), tensors, "reference")
    for ours, theirs in zip(cases.call(Case(), tensors, "auto"), expected, strict=True):
        assert torch.equal(ours, theirs)
