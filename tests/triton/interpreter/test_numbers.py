"""Values and gradients of every operator under the error rule, on each path of a launch."""

from dataclasses import replace

import pytest
import torch

from sma_kernels.triton_kernels import plan
from sma_kernels.triton_kernels.blocked.plan import blocked_plan
from sma_kernels.triton_kernels.call import sizes_of
from tests.helpers import cases, error_rule
from tests.helpers.cases import Case
from tests.helpers.long_sequences import INTERPRETED, padding
from tests.triton.interpreter.paths import PATHS, head_of, take

SMALL = dict(batch=1, regions=3, channels=3, embed=11, values=21, height=5, width=7)


def keeps_rule(case, dtype, seeds=1):
    """One seed, since a call takes seconds here, unless a scalar gradient needs more."""
    assert not error_rule.error_excess(case, dtype, "triton", "cpu", seeds=seeds)


@pytest.mark.parametrize("case", cases.matrix(**SMALL), ids=cases.ids)
def test_float32(case):
    keeps_rule(case, torch.float32)


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16), ids=str)
@pytest.mark.parametrize("merge", ("max", "none"))
@pytest.mark.parametrize("activation", ("softmax", "sigmoid"))
def test_sixteen_bits(activation, merge, dtype, as_hardware):
    keeps_rule(Case(activation=activation, merge=merge, layout=torch.channels_last, **SMALL), dtype, seeds=2)


@pytest.mark.parametrize("merge", ("max", "mean", "none"))
@pytest.mark.parametrize("path", PATHS)
def test_paths(path, merge, monkeypatch):
    seeds = 2 if path.startswith(("one", "two")) else 1  # others take the longest
    keeps_rule(take(path, monkeypatch, merge, shared=False), torch.float32, seeds)


def test_blocked_features_in_several_blocks(monkeypatch):
    """Two blocks of D for computing maps, three for writing gradients."""
    case = replace(take("blocked", monkeypatch, "max", shared=False), embed=35)
    keeps_rule(case, torch.float32)


@pytest.mark.parametrize("path", PATHS)
def test_paths_with_shared_features(path, monkeypatch):
    keeps_rule(take(path, monkeypatch, "max", shared=True), torch.float32)


@pytest.mark.parametrize("path", PATHS)
def test_paths_in_bfloat16(path, monkeypatch, as_hardware):
    keeps_rule(take(path, monkeypatch, "max", shared=False), torch.bfloat16, seeds=2)


@pytest.mark.parametrize("activation", ("softmax", "sigmoid"))
def test_a_long_padded_sequence(activation, monkeypatch):
    """Tiles that are valid, in part or not at all."""
    monkeypatch.setattr(cases, "mask", padding)
    keeps_rule(replace(INTERPRETED, activation=activation), torch.float32)


@pytest.fixture
def tf32():
    precision = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    yield
    torch.backends.cuda.matmul.fp32_precision = precision


def test_blocks_lose_no_more_to_tf32_than_one_program(monkeypatch, as_hardware, tf32):
    """The gradients of a map through the cosines and through its norm nearly cancel, so they must not be products of rounded
    operands."""
    case = Case(function="attention_diversity", batch=1, regions=4, channels=8, height=16, width=16)
    tensors = cases.inputs(case, torch.float32)
    exact = cases.run(case, cases.in_float64(tensors), "reference")["d_maps"]
    errors = []
    for rows in (64, 16):
        monkeypatch.setattr(plan, "MAX_ROWS_BACKWARD", rows)
        errors.append(float((cases.run(case, tensors, "triton")["d_maps"] - exact).norm() / exact.norm()))
    assert 1e-5 < errors[0] < 2e-3 and errors[1] < 1.2 * errors[0]


def test_paths_are_the_ones_they_claim(monkeypatch):
    """The cases of a path really take that path."""
    for path in PATHS:
        with monkeypatch.context() as patch:
            sizes = sizes_of(head_of(take(path, patch, "max", False)), amd=False)
            forward, backward = plan.forward_plan(sizes), plan.backward_plan(sizes, 1)
            blocked = blocked_plan(sizes)
            assert sizes.divided == path.startswith("divided")
            assert sizes.backward_fits == path.startswith(("one", "two"))
            if path == "one launch":
                assert forward.single and forward.pools and forward.maps.grid[1] > 1
            elif path == "one launch, several tiles":
                assert not forward.single and forward.pools and backward.values.grid[2] > 1
            elif path == "two launches":
                assert not forward.pools and forward.pool.grid[1] > 1
                assert backward.slices > 1 and backward.maps.grid[1] > 1
            elif path == "blocked":
                assert not sizes.forward_fits and not sizes.backward_fits
                assert blocked.channel_blocks > 1 and blocked.region_blocks > 1
            elif path == "divided":
                assert blocked.blocks == 1 and blocked.tiles["BLOCK_L"] == 32
                assert (blocked.moments_l, blocked.attention_l, plan.pool_launch(sizes).tiles["CHUNK_L"], sizes.L) == (
                    64,
                    64,
                    64,
                    133,
                )
                assert backward.values.grid[2] == 3
            elif path == "divided, several blocks":
                assert blocked.channel_blocks > 1 and blocked.region_blocks > 1
                assert (blocked.moments_l, blocked.gradients_l, sizes.L) == (16, 16, 20)
                assert backward.slices > 1 and backward.values.grid[2] == 2
            else:
                assert path == "blocked, many pooled rows" and not sizes.backward_fits
                sizes = sizes_of(head_of(take(path, patch, "none", False)), amd=False)
                assert plan.backward_plan(sizes, 1).values_blocked is not None
                assert plan.pool_launch(sizes).grid[2] > 1


@pytest.mark.parametrize(
    "sizes",
    (
        dict(regions=1, channels=1),
        dict(channels=1),
        dict(height=1, width=1),
        dict(values=1, embed=1),
        dict(values=131, height=13, width=11, channels=2),
        dict(regions=12, channels=4, embed=17, values=35, height=3, width=5),
        dict(regions=2, channels=2, embed=130, values=18, height=4, width=4),
    ),
    ids=str,
)
def test_odd_sizes(sizes):
    keeps_rule(Case(**{**SMALL, **sizes}), torch.float32)


@pytest.mark.parametrize("output", cases.OUTPUTS["sma_attention"])
@pytest.mark.parametrize("path", ("one launch", "blocked"))
def test_each_output_alone_reaches_every_input(output, path, monkeypatch):
    """With a loss on one output, the other four incoming gradients are absent."""
    case = take(path, monkeypatch, "max", False)
    index = cases.OUTPUTS["sma_attention"].index(output)
    tensors = cases.inputs(case, torch.float32)
    actual = {}
    for name in ("reference", "triton"):
        leaves = {k: v.detach().requires_grad_() for k, v in tensors.items()}
        out = cases.call(case, leaves, name)[index]
        (out * cases.cotangents((out,), 3)[0]).sum().backward()
        actual[name] = {k: torch.zeros_like(v) if v.grad is None else v.grad for k, v in leaves.items()}
    for name, expected in actual["reference"].items():
        tolerance = 3e-5 * float(expected.abs().max()) + 1e-6
        torch.testing.assert_close(actual["triton"][name], expected, rtol=2e-5, atol=tolerance)
