"""Masks of valid positions, on each path of a launch."""

import math
from dataclasses import replace

import pytest
import torch

from tests.helpers import cases, error_rule
from tests.helpers.cases import Case
from tests.triton.interpreter.paths import PATHS, take

SMALL = dict(batch=3, regions=3, channels=2, embed=5, values=9, height=3, width=7, masked=True)
MERGES = pytest.mark.parametrize(
    "merge, layout", (("max", torch.contiguous_format), ("none", torch.channels_last)), ids=("max-nchw", "none-nhwc")
)
every_path = pytest.mark.parametrize("path", PATHS)


@pytest.fixture
def case(path, merge, layout, monkeypatch):
    """Three samples, the last of them without a valid position."""
    return replace(take(path, monkeypatch, merge, shared=merge == "none", batch=3), masked=True, layout=layout)


def invalid_like(tensor, mask):
    """The invalid positions of a [B,...,H,W] tensor."""
    return ~mask.view(mask.shape[0], *[1] * (tensor.dim() - 3), *mask.shape[1:]).expand_as(tensor)


@MERGES
@every_path
def test_error_rule_in_bfloat16(case, as_hardware):
    assert not error_rule.error_excess(case, torch.bfloat16, "triton", "cpu", seeds=2)


@pytest.mark.parametrize("activation, merge", (("softmax", "mean"), ("sigmoid", "none"), ("sigmoid", "max")))
def test_error_rule_in_float32(activation, merge):
    case = Case(activation=activation, merge=merge, **SMALL)
    assert not error_rule.error_excess(case, torch.float32, "triton", "cpu", seeds=1)


@pytest.mark.parametrize("activation", ("softmax", "sigmoid"))
def test_error_rule_of_the_maps_alone(activation):
    case = Case(function="multi_channel_attention", activation=activation, **SMALL)
    assert not error_rule.error_excess(case, torch.float32, "triton", "cpu", seeds=1)


@MERGES
@every_path
def test_nothing_at_invalid_positions_is_read(case, as_hardware):
    """Neither of values and features, nor of the maps' gradient."""
    tensors = cases.inputs(case, torch.bfloat16)
    grads = cases.cotangents(cases.call(case, tensors, "reference"), 0)
    maps = cases.OUTPUTS[case.function].index("maps")
    results = []
    for filler in (0.0, math.nan):
        for name in ("values", "features"):
            tensors[name].masked_fill_(invalid_like(tensors[name], tensors["mask"]), filler)
        grads[maps] = grads[maps].masked_fill(invalid_like(grads[maps], tensors["mask"]), filler)
        results.append(cases.run(case, tensors, "triton", grads))
    for name, result in results[1].items():
        assert result.isfinite().all() and torch.equal(result, results[0][name]), name


@MERGES
@every_path
def test_gradients_of_invalid_positions_are_zero_even_if_all_others_are_nan(case, as_hardware):
    tensors = cases.inputs(case, torch.bfloat16)
    tensors["weight"][...] = math.nan
    grads = [torch.full_like(out, math.nan) for out in cases.call(case, tensors, "reference")]
    results = cases.run(case, tensors, "triton", grads)
    for name in ("d_values", "d_features"):
        invalid = invalid_like(results[name], tensors["mask"])
        assert not results[name][invalid].any() and results[name][~invalid].isnan().all(), name


@MERGES
@every_path
def test_a_mask_of_valid_positions_only_changes_no_bit(case, as_hardware):
    case = replace(case, masked=False)
    tensors = cases.inputs(case, torch.bfloat16)
    everywhere = torch.ones(case.batch, case.height, case.width, dtype=torch.bool)
    without, with_mask = cases.run(case, tensors, "triton"), cases.run(case, {**tensors, "mask": everywhere}, "triton")
    for name, result in with_mask.items():
        assert torch.equal(result, without[name]), name


@pytest.mark.parametrize("path", ("one launch", "one launch, several tiles", "blocked, many pooled rows"))
def test_a_map_of_infinite_logits_is_nan_unless_no_position_is_valid(path, monkeypatch):
    case = replace(take(path, monkeypatch, "max", shared=False, batch=3), masked=True)
    tensors = cases.inputs(case, torch.float32)
    tensors["bias"][0, 0] = -math.inf
    expected, actual = cases.run(case, tensors, "reference"), cases.run(case, tensors, "triton")
    assert actual["maps"][:2, 0, 0].isnan().any((-1, -2)).all() and not actual["maps"][2].any()
    for name in ("pooled", "attention", "maps", "diversity", "correlation", "d_values"):
        assert torch.equal(actual[name].isnan(), expected[name].isnan()), name


@pytest.mark.parametrize("path", ("one launch", "blocked"))
def test_a_valid_position_far_from_the_first(path, monkeypatch):
    """The only one is beyond the first block in which a kernel looks for one."""
    take(path, monkeypatch, "none", shared=False)
    case = Case(function="multi_channel_attention", batch=1, regions=1, channels=1, embed=1, height=1, width=1030)
    mask = torch.zeros(1, 1, case.width, dtype=torch.bool)
    mask[..., -1] = True
    maps = cases.call(case, {**cases.inputs(case, torch.float32), "mask": mask}, "triton")[0]
    assert torch.equal(maps.flatten(), mask.flatten().float())
