"""A mask of valid positions in every mode of use: both paths, autocast, torch.compile, export, ONNX, checkpointing."""

from contextlib import nullcontext

import onnxruntime
import pytest
import torch
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

from sma_kernels import SMAAttention
from tests.helpers import cases
from tests.helpers.cases import Case
from tests.operators.test_registration import operator_arguments
from tests.torch_integration.test_direct import Intercepting
from tests.torch_integration.test_freed_memory import release

pytestmark = [pytest.mark.mode("mask of valid positions"), pytest.mark.filterwarnings("ignore")]
CASE = Case(masked=True, batch=3, regions=2, channels=3, embed=5, values=9, height=3, width=5)


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def masks(count, device="cpu"):
    return [cases.mask(CASE, seed).to(device) for seed in range(count)]


@pytest.mark.parametrize("function", cases.MASKED)
def test_opcheck(function, fused, device):
    case = cases.replace(CASE, function=function)
    tensors = cases.inputs(case, torch.float32, device=device)
    for name in cases.TENSORS[function]:
        tensors[name].requires_grad_()
    torch.library.opcheck(getattr(torch.ops.sma_kernels, function).default, operator_arguments(case, tensors, fused))


@pytest.mark.interpreted
@pytest.mark.parametrize("merge", ("max", "none"))
def test_both_paths_give_the_same_bits(merge, fused, device):
    case = cases.replace(CASE, merge=merge)
    tensors = cases.inputs(case, torch.float32, device=device)
    cases.call(case, tensors, fused)  # the first call is dispatched
    runs = []
    for mode in (nullcontext(), Intercepting()):
        with mode:
            runs.append(cases.run(case, tensors, fused))
    for name, result in runs[0].items():
        assert torch.equal(result, runs[1][name]), name


@pytest.mark.interpreted
def test_changing_the_mask_before_the_backward_is_an_error(fused, device):
    tensors = cases.inputs(CASE, torch.float32, device=device)
    tensors["values"].requires_grad_()
    for mode in (nullcontext(), nullcontext(), Intercepting()):  # dispatched, on the fast path, dispatched
        with mode:
            pooled = cases.call(CASE, tensors, fused)[0]
        tensors["mask"].logical_not_()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            pooled.sum().backward()


@pytest.mark.interpreted
@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16), ids=str)
def test_autocast(dtype, backend, device):
    if backend == "triton" and device.type == "cpu":
        pytest.skip("the interpreter's bfloat16 products are wrong")
    tensors = cases.inputs(CASE, torch.float32, device=device)
    with torch.autocast(device.type, dtype):
        actual, expected = cases.call(CASE, tensors, backend), cases.call(CASE, tensors, "reference")
    for ours, theirs in zip(actual, expected, strict=True):
        assert_close(ours, theirs, rtol=2e-2, atol=2e-2)


@pytest.mark.interpreted
def test_checkpointing_recomputes_with_the_mask(backend, device):
    def gradient(run):
        tensors = cases.inputs(CASE, torch.float32, device=device)
        features = tensors["features"].requires_grad_()
        run(lambda features: cases.call(CASE, {**tensors, "features": features}, backend)[0], features).sum().backward()
        return features.grad

    plain = gradient(lambda function, features: function(features))
    assert torch.equal(gradient(lambda function, features: checkpoint(function, features, use_reentrant=False)), plain)


@pytest.mark.interpreted
@pytest.mark.parametrize("how", ("freed", "cut short"))
@pytest.mark.parametrize("function", cases.MASKED)
def test_a_freed_mask_is_named(function, how, backend, device):
    case = cases.replace(CASE, function=function)
    tensors = cases.inputs(case, torch.float32, device=device)
    cases.call(case, tensors, backend)  # the second call may take the fast path
    release(tensors["mask"], how)
    with pytest.raises(RuntimeError, match=r"^mask must have memory for \d+ bytes"):
        cases.call(case, tensors, backend)


def test_one_graph_serves_all_masks(backend, device):
    compilations = []

    def counted(graph, _):
        compilations.append(graph)
        return graph.forward

    tensors = cases.inputs(CASE, torch.float32, device=device)
    compiled = torch.compile(
        lambda mask: cases.call(CASE, {**tensors, "mask": mask}, backend), fullgraph=True, backend=counted
    )
    for mask in masks(4, device):
        assert_close(compiled(mask), cases.call(CASE, {**tensors, "mask": mask}, backend))
    assert len(compilations) == 1


@pytest.fixture
def head(backend, device):
    torch.manual_seed(0)
    return SMAAttention(9, 2, 3, 5, backend=backend).to(device)


@pytest.fixture
def x(device):
    return torch.randn(CASE.batch, 9, CASE.height, CASE.width, device=device)


def test_module_in_training_uses_the_valid_positions_only(head, x, device):
    """Also for the statistics of the batch norm: those of the valid positions alone."""
    (mask,) = masks(1, device)
    x.masked_fill_(~mask[:, None], torch.nan)
    out = head(x, mask)
    out.pooled.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters() if parameter.grad is not None)
    statistics = torch.nn.BatchNorm2d(15).to(device)
    statistics(head.embed[0](x.movedim(1, -1)[mask].mT[None, :, :, None]))
    assert_close(head.embed[1].running_mean, statistics.running_mean)
    assert_close(head.embed[1].running_var, statistics.running_var)


def test_module_with_an_all_true_mask_is_the_module_without(head, x):
    everywhere = torch.ones(CASE.batch, CASE.height, CASE.width, dtype=torch.bool, device=x.device)
    for mode in (True, False):
        head.train(mode)
        assert_close(tuple(head(x, everywhere)), tuple(head(x)), rtol=1e-4, atol=1e-5)


def test_module_in_evaluation_equals_training_mode_on_the_same_statistics(head, x, device):
    (mask,) = masks(1, device)
    x.masked_fill_(~mask[:, None], torch.nan)
    head(x, mask)
    head.eval()
    expected = head(x, mask)
    expected.pooled.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters() if parameter.grad is not None)
    head.train()
    head.embed[1].eval()
    assert_close(tuple(head(x, mask)), tuple(expected), rtol=1e-4, atol=1e-5)


class Deployed(torch.nn.Module):
    def __init__(self, head):
        super().__init__()
        self.head = head.eval()

    def forward(self, x, mask):
        return tuple(self.head(x, mask))


@pytest.mark.mode("mask of valid positions", backend="auto")
def test_export_and_onnx_take_any_mask(tmp_path):
    deployed = Deployed(SMAAttention(9, 2, 3, 5))
    batch = torch.export.Dim("batch", min=1)
    x = torch.randn(CASE.batch, 9, CASE.height, CASE.width)
    program = torch.export.export(deployed, (x, masks(1)[0]), dynamic_shapes=({0: batch}, {0: batch}))
    reference = Deployed(SMAAttention(9, 2, 3, 5, backend="reference"))
    reference.load_state_dict(deployed.state_dict())
    path = tmp_path / "head.onnx"
    torch.onnx.export(
        reference, (x, masks(1)[0]), path, input_names=["x", "mask"], dynamic_shapes=({0: batch}, {0: batch})
    )
    session = onnxruntime.InferenceSession(str(path))
    for seed, mask in enumerate(masks(3)):
        x = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).masked_fill(~mask[:, None], torch.nan)
        expected = deployed(x, mask)
        assert_close(program.module()(x, mask), expected)
        for ours, theirs in zip(session.run(None, {"x": x.numpy(), "mask": mask.numpy()}), expected, strict=True):
            assert_close(torch.from_numpy(ours), theirs, rtol=1e-3, atol=1e-5)
