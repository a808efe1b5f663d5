"""Masks of valid positions on the emulated GPU, on every path of the kernels that apply one."""

import math

import pytest
import torch

from tests.cuda_emulator.test_operators import CLUSTERS, DTYPES, PATHS, SMALL, clusters  # noqa: F401
from tests.helpers import cases, error_rule
from tests.helpers.cases import Case
from tests.operators.test_mask import (  # noqa: F401
    test_a_sample_without_a_valid_position,
    test_equals_a_call_on_the_valid_positions_alone,
    test_gradients_of_invalid_positions_stay_zero_under_bad_incoming_gradients,
)

TWO_DTYPES = pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
COMBINATIONS = [case for case in cases.matrix(**SMALL, masked=True) if case.function in cases.MASKED]
NAN_AT_INVALID = ("values", "features")


def inputs(case: Case, *args, **options) -> dict[str, torch.Tensor | None]:
    """Inputs with NaN at the positions that are not valid."""
    tensors = cases.inputs(case, *args, **options)
    if "mask" in tensors:
        invalid = ~tensors["mask"][:, None]
        for name in NAN_AT_INVALID:
            if name in tensors:
                tensors[name].masked_fill_(invalid, math.nan)  # the copy that masked_fill returns is contiguous
    return tensors


@pytest.fixture
def error_excess(monkeypatch, backend, device):
    """The error rule with a mask, and with NaN at the positions that are not valid."""
    monkeypatch.setattr(error_rule, "inputs", inputs)
    return lambda case, dtype, seeds=1: error_rule.error_excess(
        cases.replace(case, masked=True), dtype, backend, device, seeds
    )


@pytest.mark.parametrize("case", COMBINATIONS, ids=cases.ids)
def test_every_combination_in_float16(case, error_excess):
    """One sample in three has no valid position."""
    assert not error_excess(cases.replace(case, batch=3), torch.float16, seeds=2)


@TWO_DTYPES
@pytest.mark.parametrize("path", PATHS)
def test_masked_paths(path, dtype, error_excess):
    seeds = 2 if path == "half-rows" else 1  # by chance, the only seed's error of one gradient is large
    assert not error_excess(PATHS[path], dtype, seeds)


@TWO_DTYPES
@pytest.mark.parametrize("path", ("flat", "flat-channels", "channels-last"))
def test_masked_paths_with_much_shared_memory(path, dtype, error_excess, emulated_gpu):
    emulated_gpu.shared_limit = 227 * 1024
    assert not error_excess(PATHS[path], dtype)


@pytest.mark.parametrize(
    ("case", "dtype"),
    (
        ("short-last-slice", torch.float32),
        ("several-tiles", torch.bfloat16),
        ("channels-last", torch.bfloat16),
        ("rows-of-seven", torch.bfloat16),
    ),
    ids=str,
)
def test_clusters_share_masked_samples(case, dtype, error_excess, clusters):  # noqa: F811
    assert not error_excess(CLUSTERS[case], dtype)


@TWO_DTYPES
def test_masked_arrays_in_the_workspace(dtype, error_excess, emulated_gpu):
    emulated_gpu.shared_limit = (86 if dtype == torch.float32 else 56) * 1024
    assert not error_excess(Case(regions=5, channels=4, embed=5, values=9, height=9, width=15), dtype)


@pytest.mark.parametrize("activation", ("softmax", "sigmoid"))
def test_slices_without_a_valid_position(activation, backend, clusters):  # noqa: F811
    """All but one of a sample, and all of another sample."""
    case = Case(values=5, embed=3, height=4, width=56, activation=activation)
    tensors = cases.inputs(case, torch.float32)
    tensors["mask"] = torch.zeros(2, 4, 56, dtype=torch.bool)
    tensors["mask"][0, 2, 10:40] = True
    expected, actual = cases.run(case, tensors, "reference"), cases.run(case, tensors, backend)
    for name, tensor in expected.items():
        torch.testing.assert_close(
            actual[name], tensor, rtol=2e-4, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_valid_positions_without_finite_logits(backend, clusters):  # noqa: F811
    """Their maps are NaN, as without a mask, and those of invalid positions 0."""
    case = Case(
        function="multi_channel_attention", batch=1, regions=1, channels=1, embed=1, height=4, width=56, bias=False
    )
    mask = torch.arange(4 * 56).view(1, 4, 56) % 3 > 0
    tensors = {"features": torch.full((1, 1, 4, 56), 2.0), "weight": torch.full((1, 1, 1), -3e38), "mask": mask}
    (maps,) = cases.call(case, {**tensors, "bias": None}, backend)
    assert torch.equal(maps[:, 0, 0].isnan(), mask) and not maps[:, 0, 0][~mask].any()


@pytest.mark.parametrize("path", ("flat", "wide-rows", "channels-last", "more-rows", "stream"))
def test_gradients_of_invalid_positions_are_zero_in_a_nan_loss(path, backend):
    case = cases.replace(PATHS[path], masked=True)
    tensors = inputs(case, torch.bfloat16)
    grads = cases.cotangents(cases.call(case, tensors, backend), 0)
    grads[0].fill_(math.nan)
    results = cases.run(case, tensors, backend, grads)
    for name in ("d_values", "d_features"):
        nan = results[name].isnan().movedim(1, -1)
        assert nan[tensors["mask"]].all() and not results[name].movedim(1, -1)[~tensors["mask"]].any(), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_mask_of_valid_positions_only_changes_no_bit(dtype, backend):
    case = Case(**SMALL)
    tensors = cases.inputs(case, dtype)
    everywhere = torch.ones(case.batch, case.height, case.width, dtype=torch.bool)
    with_mask = cases.run(case, {**tensors, "mask": everywhere}, backend)
    for name, result in cases.run(case, tensors, backend).items():
        assert torch.equal(result, with_mask[name]), name
