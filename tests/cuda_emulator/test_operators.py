"""The operator tests on the emulated GPU: one size of each kind, and every path of the kernels."""

import math

import pytest
import torch

import sma_kernels
from tests.helpers import cases, error_rule
from tests.helpers.cases import Case
from tests.helpers.long_sequences import INTERPRETED, padding
from tests.helpers.poison import check_nan_stays_in_its_sample
from tests.operators.test_edges import (  # noqa: F401
    test_a_nan_cosine_is_a_nan_diversity_and_gradient,
    test_hinge_has_no_slope_at_the_margin,
    test_nan_wins_the_maximum,
    test_the_first_maximum_takes_the_gradient,
)
from tests.operators.test_layouts import test_input_layouts  # noqa: F401

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
SMALL = dict(batch=2, regions=2, channels=3, embed=5, values=9, height=3, width=5)
NHWC = torch.channels_last


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", cases.matrix(**SMALL), ids=cases.ids)
def test_error_rule(case, dtype, backend, device):
    assert not error_rule.error_excess(case, dtype, backend, device, seeds=2)


# Each case covers one path: a flat run, rows of 16 and of 8 bytes, tiles of channels, positions and the embedding,
# blocks with more tiles than buffers, more rows of A than a block holds, one map, one position.
PATHS = {
    "flat": Case(batch=1, values=72, embed=8, height=7, width=7),
    "flat-channels": Case(batch=1, values=136, embed=16, height=3, width=3, merge="mean"),
    "wide-rows": Case(batch=1, values=24, embed=16, height=8, width=16),
    "half-rows": Case(batch=1, values=12, embed=12, height=6, width=14, activation="sigmoid"),
    "channels-last": Case(batch=1, values=72, embed=16, height=7, width=10, layout=NHWC),
    "channels-last-odd": Case(batch=1, values=67, embed=5, height=3, width=3, layout=NHWC, merge="none"),
    "embedding": Case(batch=1, regions=1, channels=2, embed=130, values=5, height=3, width=3),
    "rows": Case(batch=1, regions=9, channels=4, embed=3, values=67, height=3, width=3, merge="none"),
    "more-rows": Case(batch=2, regions=17, channels=4, embed=3, values=70, height=1, width=9, merge="none"),
    "stream": Case(batch=3, regions=1, channels=2, embed=2, values=200, height=8, width=9),
    "flat-stream": Case(batch=3, regions=1, channels=2, embed=2, values=264, height=3, width=3),
    "many-visits": Case(batch=1, regions=2, channels=2, embed=70, values=5, height=9, width=16),
    "maps-in-rounds": Case(batch=1, regions=33, channels=2, shared=True, embed=5, values=5, height=3, width=5),
    "one-map": Case(regions=1, channels=1, values=1, embed=1, height=2, width=3),
    "one-position": Case(height=1, width=1),
}


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("path", PATHS)
def test_paths(path, dtype, backend, device):
    assert not error_rule.error_excess(PATHS[path], dtype, backend, device)


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("path", ("flat", "flat-channels", "channels-last"))
def test_paths_with_much_shared_memory(path, dtype, backend, device, emulated_gpu):
    """Misaligned rows are copied flat by the head, too, and all features stay in shared memory."""
    emulated_gpu.shared_limit = 227 * 1024
    assert not error_rule.error_excess(PATHS[path], dtype, backend, device, seeds=2)


# Samples that several blocks share: the last slice shorter, several tiles of positions per slice, rows of 7, and maps of
# the caller.
CLUSTERS = {
    "short-last-slice": Case(batch=2, values=9, embed=12, height=11, width=20),
    "several-tiles": Case(batch=1, regions=1, values=5, embed=5, height=15, width=60, merge="none"),
    "channels-last": Case(batch=1, values=9, embed=16, height=15, width=26, layout=NHWC, activation="sigmoid"),
    "rows-of-seven": Case(batch=1, values=9, embed=16, height=7, width=55, merge="mean"),
    "given-maps": Case(function="correlate_attention", batch=1, height=11, width=20),
}


@pytest.fixture
def clusters(emulated_gpu):
    emulated_gpu.max_cluster, emulated_gpu.processors = 8, 100
    return emulated_gpu


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("case", CLUSTERS)
def test_clusters_share_samples(case, dtype, backend, device, clusters):
    assert not error_rule.error_excess(CLUSTERS[case], dtype, backend, device, seeds=2)


def test_a_long_padded_sequence(backend, device, clusters, monkeypatch):
    """Slices that are valid, in part or not at all."""
    monkeypatch.setattr(cases, "mask", padding)
    assert not error_rule.error_excess(INTERPRETED, torch.float32, backend, device, seeds=1)


def test_a_slice_without_finite_logits(backend, clusters):
    """Its maps are 0 where another slice has finite logits; a row without any is NaN, as in PyTorch."""
    features = torch.zeros(2, 1, 4, 56)
    features[0, :, 2:] = 2.0
    features[1] = 2.0
    weight = torch.full((1, 1, 1), -3e38)
    outputs = {
        name: sma_kernels.multi_channel_attention(features, weight, backend=name) for name in ("reference", backend)
    }
    torch.testing.assert_close(outputs[backend], outputs["reference"], equal_nan=True)
    assert outputs[backend][0, 0, 0, 2:].eq(0).all() and outputs[backend][1].isnan().all()


@pytest.mark.parametrize("limit", (56, 64), ids=lambda limit: f"{limit}KB")
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
def test_arrays_that_do_not_fit_go_to_the_workspace(dtype, limit, backend, device, emulated_gpu):
    """With less shared memory than any GPU has, first the maps and then almost all arrays move to the workspace."""
    small = dict(batch=2, regions=5, channels=4, embed=5, values=9, height=9, width=15)
    emulated_gpu.shared_limit = limit * 1024 + (30 * 1024 if dtype == torch.float32 else 0)
    assert not error_rule.error_excess(Case(**small), dtype, backend, device)


@pytest.mark.parametrize("dtype", (torch.float32, torch.float16), ids=str)
def test_slices_and_order_of_threads_change_no_answer(dtype, backend, device, emulated_gpu):
    """Bits do not depend on the order of the threads nor, with the same slices, on the GPU."""
    case = Case(batch=1, values=150, height=9, width=11)
    emulated_gpu.max_cluster = 8
    tensors = cases.inputs(case, dtype)
    first = cases.run(case, tensors, backend)
    for seed in range(2, 5):
        emulated_gpu.seed = seed
        for name, tensor in cases.run(case, tensors, backend).items():
            assert torch.equal(tensor, first[name]), name
    emulated_gpu.processors = 100  # now two blocks share the sample
    sliced = cases.run(case, tensors, backend)
    for name, tensor in sliced.items():
        torch.testing.assert_close(tensor, first[name], rtol=2e-2 if dtype == torch.float16 else 1e-4, atol=1e-3)
    emulated_gpu.seed = 5
    for name, tensor in cases.run(case, tensors, backend).items():
        assert torch.equal(tensor, sliced[name]), name


def test_any_address_is_read(backend, device, emulated_gpu):
    """Tensors that start at odd multiples of their element size are copied in narrow pieces."""
    case = Case(batch=1, values=24, embed=16, height=8, width=8)
    tensors = cases.inputs(case, torch.bfloat16)
    first = cases.run(case, tensors, backend)
    emulated_gpu.misalign = True
    for name, tensor in cases.run(case, tensors, backend).items():
        assert torch.equal(tensor, first[name]), name


def test_tf32_when_it_is_allowed(backend, device, emulated_gpu):
    case = Case(values=70, height=7, width=11)
    tensors = cases.inputs(case, torch.float32)
    exact = cases.run(case, tensors, backend)
    emulated_gpu.tf32 = True
    rounded = cases.run(case, tensors, backend)
    for name in ("pooled", "maps", "d_values", "d_features"):
        error = float((rounded[name] - exact[name]).norm() / exact[name].norm())
        assert 0 < error < 3e-3, name


@pytest.mark.parametrize("poison", (math.nan, math.inf))
@pytest.mark.parametrize("where", ("values", "features"))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nan_stays_in_its_sample(dtype, where, poison, backend, device):
    for activation, merge in (("softmax", "max"), ("sigmoid", "none")):
        case = Case(activation=activation, merge=merge, **{**SMALL, "batch": 3})
        clean = cases.inputs(case, dtype)
        check_nan_stays_in_its_sample(case, clean, where, (2, 2, 4), poison, backend)


def test_a_nan_stays_in_its_channel_of_a_flat_tile(backend, device):
    case = Case(batch=1, values=72, embed=8, height=3, width=3)
    tensors = cases.inputs(case, torch.bfloat16)
    clean = cases.run(case, tensors, backend)["pooled"]
    tensors["values"][0, 5, 0, 0] = math.nan
    pooled = cases.run(case, tensors, backend)["pooled"]
    assert pooled[..., 5].isnan().all()
    others = [channel for channel in range(72) if channel != 5]
    assert torch.equal(pooled[..., others], clean[..., others])


@pytest.mark.parametrize("output", cases.OUTPUTS["sma_attention"])
def test_each_output_alone_reaches_every_input(output, backend, device):
    case = Case(**SMALL)
    index = cases.OUTPUTS["sma_attention"].index(output)
    tensors = cases.inputs(case, torch.float32)
    gradients = {}
    for name in ("reference", backend):
        leaves = {k: v.detach().requires_grad_() for k, v in tensors.items()}
        out = cases.call(case, leaves, name)[index]
        (out * cases.cotangents((out,), 3)[0]).sum().backward()
        gradients[name] = {k: torch.zeros_like(v) if v.grad is None else v.grad for k, v in leaves.items()}
    for name, expected in gradients["reference"].items():
        torch.testing.assert_close(
            gradients[backend][name], expected, rtol=2e-5, atol=2e-5 * float(expected.abs().max() + 1)
        )


@pytest.mark.parametrize("name", ("temperature", "bias"))
def test_a_gradient_that_does_not_read_the_features(name, backend, device):
    """In float32 the maps are saved, too: nothing may be copied that nobody waits for."""
    case = Case(**SMALL, activation="sigmoid")
    tensors = cases.inputs(case, torch.float32)
    gradients = {}
    for computed_by in ("reference", backend):
        leaves = {k: v.detach().requires_grad_(k == name) for k, v in tensors.items()}
        pooled = cases.call(case, leaves, computed_by)[0]
        (pooled * cases.cotangents((pooled,), 3)[0]).sum().backward()
        gradients[computed_by] = leaves[name].grad
    torch.testing.assert_close(gradients[backend], gradients["reference"], rtol=2e-5, atol=2e-5)
