"""Positions of a sample divided over programs: what only the combination of chunks can get wrong."""

import math
from dataclasses import replace

import pytest
import torch

from sma_kernels.triton_kernels import plan
from sma_kernels.triton_kernels.blocked.plan import blocked_plan
from sma_kernels.triton_kernels.call import sizes_of
from tests.helpers import cases, error_rule
from tests.helpers.cases import Case
from tests.triton.interpreter.paths import head_of

CHUNK = 16
# Shared features, so that one block holds all maps: a call in blocks takes several times as long here.
SIZES = dict(batch=2, regions=2, channels=2, embed=5, values=9, height=1, width=3 * CHUNK + 4, margin=0.1, shared=True)
LAST = slice(3 * CHUNK, None)  # the short chunk


@pytest.fixture(autouse=True)
def chunks_of_one_tile(monkeypatch):
    monkeypatch.setattr(plan, "MIN_DIVIDED", CHUNK)
    sizes = sizes_of(head_of(Case(**SIZES)), amd=False)
    lengths = blocked_plan(sizes)
    assert {lengths.moments_l, lengths.attention_l, lengths.gradients_l} == {CHUNK}
    assert plan.pool_launch(sizes).tiles["CHUNK_L"] == CHUNK


def keeps_rule(dtype=torch.float32, seeds=1, **changes):
    assert not error_rule.error_excess(Case(**{**SIZES, **changes}), dtype, "triton", "cpu", seeds=seeds)


@pytest.mark.parametrize("merge", ("max", "mean", "none"))
def test_sigmoid(merge):
    keeps_rule(activation="sigmoid", merge=merge)


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16), ids=str)
@pytest.mark.parametrize("masked", (False, True), ids=("all", "masked"))
def test_sixteen_bits(dtype, masked, as_hardware):
    keeps_rule(dtype, seeds=2, layout=torch.channels_last, masked=masked, merge="none", batch=1)


@pytest.mark.parametrize("function", cases.FUNCTIONS[1:])
def test_small_functions(function):
    """Maps as input, diversity without a correlation, maps without a Gram matrix, pooling alone."""
    keeps_rule(function=function)


def tensors_of(case, **changes):
    return {**cases.inputs(case, torch.float32), **changes}


def check_against_reference(case, tensors):
    expected, actual = cases.run(case, tensors, "reference"), cases.run(case, tensors, "triton")
    for name, tensor in actual.items():
        scale = float(expected[name].nan_to_num().abs().max())
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-5 * scale + 1e-6, equal_nan=True)
    return actual


@pytest.mark.parametrize("step", (40.0, -40.0))
def test_maxima_of_chunks_that_differ_by_more_than_exp_can_hold(step):
    """Sums relative to a chunk's own maximum must be scaled down to nothing, never up."""
    case = Case(**SIZES)
    tensors = tensors_of(case)
    tensors["features"] += step * (torch.arange(case.width) // CHUNK)
    tensors["weight"].fill_(0.5)  # logits of neighboring chunks are 100 apart, so that their float32 rounds to 2e-5
    expected, actual = (cases.call(case, tensors, backend) for backend in ("reference", "triton"))
    for name, tensor, exact in zip(cases.OUTPUTS[case.function], actual, expected, strict=True):
        torch.testing.assert_close(tensor, exact, rtol=1e-3, atol=1e-4, msg=name)
    assert all(tensor.isfinite().all() for tensor in cases.run(case, tensors, "triton").values())


@pytest.mark.parametrize("where", (slice(0, CHUNK), LAST), ids=("first", "last"))
def test_logits_of_minus_infinity_in_one_chunk(where):
    """All logits of a chunk: it has no maximum, and contributes nothing."""
    case = Case(**SIZES, bias=False)
    tensors = tensors_of(case)
    tensors["features"][:, 0].fill_(1.0)
    tensors["features"][0, 0, 0, where] = -math.inf
    tensors["weight"][..., 0] = 1.0
    out = cases.call(case, tensors, "triton")
    expected = cases.call(case, tensors, "reference")
    for name, actual, exact in zip(cases.OUTPUTS[case.function], out, expected, strict=True):
        torch.testing.assert_close(actual, exact, rtol=1e-4, atol=1e-6, msg=name)
    maps = out[cases.OUTPUTS[case.function].index("maps")]
    assert not maps[0, ..., where].any() and maps.isfinite().all()


@pytest.mark.parametrize("position", (1, 3 * CHUNK + 2))
def test_a_nan_in_one_chunk_is_nan_in_all_of_them(position):
    case = Case(**SIZES)
    tensors = tensors_of(case)
    tensors["features"][0, 0, 0, position] = math.nan
    expected, actual = cases.run(case, tensors, "reference"), cases.run(case, tensors, "triton")
    for name in ("pooled", "attention", "maps", "diversity", "correlation", "d_values", "d_features"):
        assert torch.equal(actual[name].isnan(), expected[name].isnan()), name
    assert actual["maps"][0].isnan().all() and actual["maps"][1].isfinite().all()


@pytest.mark.parametrize("empty", (slice(0, CHUNK), slice(CHUNK, 2 * CHUNK), LAST), ids=("first", "inner", "last"))
def test_a_chunk_without_a_valid_position(empty):
    case = Case(**SIZES, masked=True)
    tensors = tensors_of(case)
    tensors["mask"][0, 0, empty] = False
    actual = check_against_reference(case, tensors)
    assert not actual["maps"][0, ..., empty].any() and actual["maps"].isfinite().all()


def test_valid_positions_in_one_chunk_only():
    case = Case(**SIZES, masked=True)
    mask = torch.zeros(case.batch, 1, case.width, dtype=torch.bool)
    mask[1, 0, 3:7] = True  # the other sample has none; its last chunk would hold these if it were as long as others
    actual = check_against_reference(case, tensors_of(case, mask=mask))
    assert not actual["maps"][0].any() and not actual["d_values"][0].any()


def test_a_map_of_infinite_logits_is_nan_unless_no_position_is_valid():
    case = replace(Case(**SIZES, masked=True), batch=3)
    tensors = tensors_of(case)
    tensors["bias"][0, 0] = -math.inf
    maps = cases.run(case, tensors, "triton")["maps"]
    assert maps[:2, 0, 0].isnan().any((-1, -2)).all() and not maps[2].any()


def test_features_in_several_blocks():
    keeps_rule(embed=35, batch=1)
