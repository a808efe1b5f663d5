"""The calls that the comparisons time: every shape with its merges, and the module with its convolution."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import module
from benchmarks.baselines import implementations, unused_outputs, with_backend
from benchmarks.jobs import CPU, Job, jobs
from benchmarks.module import MODULE, ModuleCall, convolution_alone, module_inputs, module_of
from benchmarks.shapes import CPU_SHAPES, GPU_SHAPES, SHAPES, Shape, inputs, lower_bound_bytes, merge_rows, on_cpu
from benchmarks.timing import bytes_of

SMALL = Shape(batch=2, values=24, height=3, width=5, regions=3, channels=2, embed=8, what="for tests")
NCHW = torch.contiguous_format


def of_module(shape: Shape = SMALL) -> dict[str, torch.Tensor]:
    return module_inputs(shape, torch.float32, NCHW, CPU)


def floating_point_operations(implementation, tensors) -> int:
    """Of PyTorch's products in forward and backward."""
    with FlopCounterMode(display=False) as counter:
        sum(output.sum() for output in implementation(tensors)).backward()
    return counter.get_total_flops()


def test_every_shape_has_its_merges():
    assert set(SHAPES) == {*CPU_SHAPES, *GPU_SHAPES} and set(GPU_SHAPES) - set(CPU_SHAPES) == {"S5"}
    calls = jobs()
    assert len(set(calls)) == len(calls)
    for function, shapes, dtypes in (
        ("sma_attention", CPU_SHAPES, ("float32", "bfloat16")),
        (MODULE, ("S1", "S2", "S3", "S4"), ("float32",)),
    ):
        expected = {
            Job(function, shape, dtype, layout, merge)
            for shape, merge in merge_rows(shapes)
            for dtype in dtypes
            for layout in ("nchw", "nhwc")
        }
        assert {call for call in calls if call.function == function} == expected
    assert {"max", "none"} <= {call.merge for call in calls if call.function == "attention_pool"}
    assert {call.merge for call in calls if call.function == "attention_diversity"} == {""}


def test_one_sample_stays_one_sample_on_a_cpu():
    assert {name: on_cpu(name).batch for name in CPU_SHAPES} == dict.fromkeys(CPU_SHAPES, 16) | {"S6": 1, "S7": 1}


def test_a_bag_has_one_row_of_positions_and_one_group_of_features():
    bag = SHAPES["S6"]
    tensors = inputs(bag._replace(width=30), torch.float32, NCHW, CPU)
    assert tensors["values"].shape == (1, 512, 1, 30) and tensors["features"].shape == (1, 128, 1, 30)
    assert lower_bound_bytes(bag, torch.bfloat16, "forward") == 20_000 * (512 + 128) * 2


@pytest.mark.parametrize("function", ("sma_attention", MODULE))
def test_the_merge_reaches_every_implementation(function):
    tensors = of_module() if function == MODULE else inputs(SMALL, torch.float32, NCHW, CPU)
    other = {"sdpa pooling": (2, 2, 3, 24), "convolution": (2, 16, 3, 5)}
    for name, make in implementations(function, CPU, merge="none").items():
        assert make()(tensors)[0].shape == other.get(name, (2, 3, 2, 24)), name
    merged, maps, correlation = 4 * 2 * 3 * 15, 4 * 2 * 6 * 15, 4 * 2 * 6 * 6
    assert bytes_of(unused_outputs(function, tensors, merge="max")) == merged + maps + correlation
    assert bytes_of(unused_outputs(function, tensors, merge="none")) == maps + maps + correlation


def test_a_baseline_of_sdpa_shares_one_group_of_features():
    shared = SMALL._replace(shared=True)
    tensors = inputs(shared, torch.float32, NCHW, CPU)
    (pooled,) = implementations("sma_attention", CPU)["sdpa pooling"]()(tensors)
    repeated = {**tensors, "features": tensors["features"].repeat(1, shared.channels, 1, 1)}
    (expected,) = implementations("sma_attention", CPU)["sdpa pooling"]()(repeated)
    torch.testing.assert_close(pooled, expected)


@pytest.mark.parametrize("backend", ("cpu", "reference"))
@pytest.mark.parametrize("merge", SMALL.merges)
def test_a_row_of_the_module_is_the_module_in_training(backend, merge):
    tensors = of_module()
    plain = module.SMAAttention(24, 3, 2, 8, merge=merge, backend=backend)
    missing = plain.load_state_dict(
        {name: tensor.detach() for name, tensor in tensors.items() if name != "x"}, strict=False
    )
    assert not missing.unexpected_keys and all(
        "running" in name or "num_batches" in name for name in missing.missing_keys
    )
    expected = plain(tensors["x"])
    outputs = with_backend(MODULE, backend, merge=merge)(tensors)
    torch.testing.assert_close(outputs, (expected.pooled, expected.diversity))
    gradients = torch.autograd.grad([output.sum() for output in outputs], list(tensors.values()))
    assert all(gradient.shape == tensor.shape for gradient, tensor in zip(gradients, tensors.values(), strict=True))


def test_the_fused_module_includes_the_products_of_its_convolution():
    """Forward and the gradients of x and of the weight; everything else is in the kernels, which PyTorch does not count."""
    tensors = of_module()
    convolution = 3 * 2 * SMALL.batch * SMALL.positions * SMALL.values * SMALL.groups * SMALL.embed
    assert floating_point_operations(convolution_alone, tensors) == convolution
    assert floating_point_operations(with_backend(MODULE, "cpu"), tensors) == convolution
    assert floating_point_operations(with_backend(MODULE, "reference"), tensors) > convolution


def test_a_module_is_made_once(monkeypatch):
    """Its construction is no part of a call; other tensors need another module."""
    made = []
    monkeypatch.setattr(
        module, "module_of", lambda tensors, **settings: made.append(1) or module_of(tensors, **settings)
    )
    call, first, second = ModuleCall("cpu"), of_module(), of_module(SMALL._replace(values=16))
    pooled = [call(tensors)[0] for tensors in (first, first, second)]
    assert len(made) == 2 and [result.shape[-1] for result in pooled] == [24, 24, 16]
