"""Masks of valid positions: numbers, gradients, and that nothing else is read."""

import math

import pytest
import torch

import sma_kernels
from tests.helpers import cases, error_rule
from tests.helpers.cases import Case

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LAYOUTS = pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last), ids=("nchw", "nhwc"))
MASKED = [case for case in cases.matrix(masked=True, batch=3) if case.function in cases.MASKED]


@pytest.mark.parametrize("case", MASKED, ids=cases.ids)
def test_gradients_are_those_of_the_formula(case, backend, device):
    if backend not in ("cpu", "reference"):
        pytest.skip(f"{backend} has no float64")
    case = cases.smaller(case)
    tensors = cases.inputs(case, torch.float64, device=device)
    mask = tensors.pop("mask")
    present = {name: tensor.requires_grad_() for name, tensor in tensors.items()}

    def function(*leaves):
        return cases.call(case, {**dict(zip(present, leaves, strict=True)), "mask": mask}, backend)

    assert torch.autograd.gradcheck(function, tuple(present.values()), fast_mode=False)


@LAYOUTS
@pytest.mark.parametrize("case", MASKED, ids=cases.ids)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_error_rule(case, dtype, layout, backend, device):
    """One sample with few invalid positions, one with many, and one without a valid position."""
    assert not error_rule.error_excess(cases.replace(case, layout=layout), dtype, backend, device)


SIZES = (
    dict(regions=1, channels=1),
    dict(height=1, width=1),
    dict(height=1, width=17),
    dict(values=131, height=13, width=11),
    dict(regions=5, channels=7, embed=33, values=61, height=17, width=19),
    dict(regions=12, channels=4, embed=64, values=96, height=7, width=7),
    dict(channels=2, embed=139, values=657, height=13, width=11),
    dict(embed=8, values=8, height=1, width=1537, batch=2),
)


@LAYOUTS
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_error_rule_at_odd_sizes(sizes, dtype, layout, backend, device):
    case = Case(**{"batch": 3, "masked": True, "layout": layout, **sizes})
    assert not error_rule.error_excess(case, dtype, backend, device, seeds=4)


@LAYOUTS
@pytest.mark.parametrize("garbage", (math.nan, math.inf, -math.inf, 3e38))
@pytest.mark.parametrize("merge", ("max", "none"))
def test_nothing_at_invalid_positions_is_read(merge, garbage, layout, backend, device):
    """Same bits as with zeros there, and gradients of exactly 0."""
    case = Case(batch=3, masked=True, merge=merge, layout=layout, height=9, width=11)
    tensors = cases.inputs(case, torch.float32, device=device)
    invalid = ~tensors["mask"][:, None]
    results = []
    for filler in (0.0, garbage):
        for name in ("values", "features"):
            tensors[name].masked_fill_(invalid, filler)  # in place, as a copy would be contiguous
        results.append(cases.run(case, tensors, backend))
    for name, result in results[1].items():
        assert torch.equal(result, results[0][name]), name
    for name in ("d_values", "d_features", "attention", "maps"):
        result = results[1][name]
        assert not result[invalid.view(3, *[1] * (result.dim() - 3), 9, 11).expand_as(result)].any(), name


def test_gradients_of_invalid_positions_stay_zero_under_bad_incoming_gradients(backend, device):
    """A loss like -log(maps) is infinite where the maps are 0."""
    case = Case(function="multi_channel_attention", masked=True)
    tensors = cases.inputs(case, torch.float32, device=device)
    valid = tensors["mask"][:, None, None]
    (clean,) = cases.cotangents(cases.call(case, tensors, backend), 0)
    expected = cases.run(case, tensors, backend, [torch.where(valid, clean, 0.0)])
    for name, result in cases.run(case, tensors, backend, [torch.where(valid, clean, math.nan)]).items():
        assert torch.equal(result, expected[name]), name


@LAYOUTS
def test_gradients_of_invalid_positions_stay_zero_under_an_infinite_loss(layout, backend, device):
    """Gradients of the valid positions are then NaN."""
    case = Case(masked=True, layout=layout)
    tensors = cases.inputs(case, torch.float32, device=device)
    grads = [torch.full_like(output, math.nan) for output in cases.call(case, tensors, backend)]
    results = cases.run(case, tensors, backend, grads)
    for name in ("d_values", "d_features"):
        valid = tensors["mask"][:, None].expand_as(results[name])
        assert results[name][valid].isnan().all() and not results[name][~valid].any(), name


@pytest.mark.parametrize("merge", ("max", "mean", "none"))
@pytest.mark.parametrize("activation", ("softmax", "sigmoid"))
def test_equals_a_call_on_the_valid_positions_alone(activation, merge, backend, device):
    case = Case(masked=True, activation=activation, merge=merge, batch=2)
    tensors = cases.inputs(case, torch.float32, device=device)
    mask = tensors.pop("mask")
    outputs = cases.call(case, {**tensors, "mask": mask}, backend)
    for sample in range(case.batch):
        valid = mask[sample]
        alone = {name: tensors[name][sample][:, valid][None, :, None] for name in ("values", "features")}
        for name, ours, theirs in zip(
            cases.OUTPUTS[case.function], outputs, cases.call(case, {**tensors, **alone}, backend), strict=True
        ):
            ours = ours[sample][..., valid] if name in ("attention", "maps") else ours[sample]
            torch.testing.assert_close(ours, theirs[0].view_as(ours), msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("logit", (math.nan, -math.inf))
def test_maps_are_zero_at_invalid_positions_even_of_an_invalid_map(logit, backend, device):
    """Where the logits of the valid positions are NaN, or all -inf, the map is NaN there alone."""
    case = Case(function="multi_channel_attention", masked=True)
    tensors = cases.inputs(case, torch.float32, device=device)
    tensors["bias"][1, 2] = logit
    maps, valid = cases.call(case, tensors, backend)[0], tensors["mask"][:, None, None].expand(-1, 3, 4, -1, -1)
    assert maps[:, 1, 2][valid[:, 1, 2]].isnan().all() and not maps[~valid].any()


@pytest.mark.parametrize("activation", ("softmax", "sigmoid"))
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("by_reference", (False, True), ids=("fused", "reference"))
def test_a_sample_without_a_valid_position(by_reference, dtype, activation, backend, device):
    """Zeros everywhere, except for the correlation, which is that of maps without direction; no other sample notices, nor
    does the anomaly mode, in which torch searches gradients for NaN."""
    case = Case(masked=True, batch=3, activation=activation)
    tensors = cases.inputs(case, dtype, device=device)
    with torch.autograd.set_detect_anomaly(True):
        results = cases.run(case, tensors, "reference" if by_reference else backend)
    for name, result in results.items():
        assert result.isfinite().all(), name
    for name in ("pooled", "attention", "maps", "diversity", "d_values", "d_features"):
        assert not results[name][2].any() and results[name][:2].any(), name
    scores = tensors["relation_bias"].softmax(-1)
    torch.testing.assert_close(results["correlation"][2], scores)


@LAYOUTS
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_mask_of_valid_positions_only_changes_no_bit(dtype, layout, backend, device):
    case = Case(layout=layout, height=9, width=8)
    tensors = cases.inputs(case, dtype, device=device)
    everywhere = torch.ones(case.batch, case.height, case.width, dtype=torch.bool, device=device)
    without, with_mask = cases.run(case, tensors, backend), cases.run(case, {**tensors, "mask": everywhere}, backend)
    for name, result in with_mask.items():
        assert torch.equal(result, without[name]), name


def test_any_strides_of_the_mask(backend, device):
    case = Case(masked=True)
    tensors = cases.inputs(case, torch.float32, device=device)
    mask = tensors["mask"]
    expected = cases.run(case, tensors, backend)
    for arranged in (
        mask.mT.contiguous().mT,
        mask.repeat(1, 1, 2)[..., : case.width],
        mask.flip(0).contiguous().flip(0),
    ):
        for name, result in cases.run(case, {**tensors, "mask": arranged}, backend).items():
            assert torch.equal(result, expected[name]), name
    one_for_all = mask[:1].expand_as(mask)
    for name, result in cases.run(case, {**tensors, "mask": one_for_all}, backend).items():
        assert torch.equal(result, cases.run(case, {**tensors, "mask": one_for_all.clone()}, backend)[name]), name


BAD_MASKS = {
    "float": (lambda mask: mask.float(), TypeError, "bool.*got torch.float32"),
    "list": (lambda mask: mask.tolist(), TypeError, "bool.*got list"),
    "flat": (lambda mask: mask.flatten(1), ValueError, r"\[2, 5, 7\] to fit features; got \[2, 35\]"),
    "transposed": (lambda mask: mask.mT, ValueError, r"\[2, 5, 7\] to fit features; got \[2, 7, 5\]"),
    "of one sample": (lambda mask: mask[:1], ValueError, r"\[2, 5, 7\] to fit features; got \[1, 5, 7\]"),
    "elsewhere": (lambda mask: mask.to("meta"), ValueError, "it is on meta"),
}


@pytest.mark.parametrize("how", BAD_MASKS)
@pytest.mark.parametrize("function", cases.MASKED)
def test_an_invalid_mask_is_refused(function, how, backend, device):
    case = Case(function=function, masked=True)
    tensors = cases.inputs(case, torch.float32, device=device)
    spoil, error, message = BAD_MASKS[how]
    with pytest.raises(error, match=rf"^mask must .*{message}"):
        cases.call(case, {**tensors, "mask": spoil(tensors["mask"])}, backend)


def test_the_reference_takes_a_mask_in_float64_and_twice_differentiable(device):
    case = cases.smaller(Case(masked=True, batch=3, activation="sigmoid", merge="none"))
    tensors = cases.inputs(case, torch.float64, device=device)
    mask = tensors["mask"]

    def pooled(values, features):
        return sma_kernels.sma_attention(
            values, features, tensors["weight"], mask=mask, merge="none", backend="reference"
        )[0]

    leaves = tensors["values"].requires_grad_(), tensors["features"].requires_grad_()
    assert torch.autograd.gradgradcheck(pooled, leaves, fast_mode=True)
