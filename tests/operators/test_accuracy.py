"""Values and gradients against float64: formulas by gradcheck, rounding by the error rule."""

import pytest
import torch

import sma_kernels
from tests.helpers import cases, error_rule
from tests.helpers.cases import Case

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def needs_float64(backend):
    if backend not in ("cpu", "reference"):
        pytest.skip(f"{backend} has no float64")


@pytest.mark.parametrize("case", cases.matrix(), ids=cases.ids)
def test_gradients_are_those_of_the_formula(case, backend, device):
    """Full Jacobians of every output with respect to every tensor input, by central differences."""
    needs_float64(backend)
    case = cases.smaller(case)
    tensors = cases.inputs(case, torch.float64, device=device)
    present = {name: tensor.requires_grad_() for name, tensor in tensors.items()}

    def function(*present_inputs):
        outputs = cases.call(case, dict(zip(present, present_inputs, strict=True)), backend)
        return tuple(out for out in outputs if not any(out is tensor for tensor in present_inputs))

    assert torch.autograd.gradcheck(function, tuple(present.values()), fast_mode=False)


@pytest.mark.parametrize("output", cases.OUTPUTS["sma_attention"])
@pytest.mark.parametrize("bias", (True, False), ids=("bias", "nobias"))
@pytest.mark.parametrize("relation", (True, False), ids=("relation", "norelation"))
def test_each_output_alone_reaches_every_input(output, bias, relation, backend, device):
    """With a loss on one output, the other four incoming gradients are absent."""
    case = Case(bias=bias, relation=relation)
    index = cases.OUTPUTS["sma_attention"].index(output)
    dtype = torch.float64 if backend == "cpu" else torch.float32
    tensors = cases.inputs(case, dtype, device=device)
    gradients = {}
    for name in ("reference", backend):
        leaves = {k: None if v is None else v.detach().requires_grad_() for k, v in tensors.items()}
        out = cases.call(case, leaves, name)[index]
        (out * cases.cotangents((out,), 3)[0]).sum().backward()
        gradients[name] = {k: v.grad for k, v in leaves.items() if v is not None}
    tolerance = 1e-11 if dtype == torch.float64 else 2e-5
    for name, expected in gradients["reference"].items():
        got = gradients[backend][name]
        expected = torch.zeros_like(tensors[name]) if expected is None else expected
        got = torch.zeros_like(expected) if got is None else got
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max() + 1))


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last), ids=("nchw", "nhwc"))
@pytest.mark.parametrize("case", cases.matrix(), ids=cases.ids)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_error_rule(case, dtype, layout, backend, device):
    if layout == torch.channels_last and "values" not in cases.TENSORS[case.function] + ("features",):
        pytest.skip("takes no feature map")
    case = cases.replace(case, layout=layout)
    assert not error_rule.error_excess(case, dtype, backend, device)


SIZES = (
    dict(regions=1, channels=1),
    dict(channels=1),
    dict(height=1, width=1),
    dict(height=1, width=17),
    dict(values=1, embed=1),
    dict(values=131, height=13, width=11),
    dict(height=5, width=10),  # two positions past the last vector of float32, whatever its width
    dict(regions=12, channels=4, embed=64, values=96, height=7, width=7),
    dict(regions=5, channels=7, embed=33, values=61, height=17, width=19),
)


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("merge", ("max", "none"))
def test_error_rule_at_odd_sizes(sizes, merge, dtype, backend, device):
    assert not error_rule.error_excess(Case(merge=merge, **sizes), dtype, backend, device, seeds=4)


@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16), ids=str)
@pytest.mark.parametrize("merge", ("max", "mean", "none"))
@pytest.mark.parametrize("activation", ("softmax", "sigmoid"))
def test_float32_parameters_keep_their_precision_with_16_bit_features(activation, merge, dtype):
    """The CPU kernels round to 16 bits only what they return: an attention read back would cost d_gate 3 digits."""
    errors = error_rule.relative_errors(Case(activation=activation, merge=merge), dtype, "cpu", "cpu", seeds=2)
    broken = {
        name: errors[name]
        for name in ("d_weight", "d_temperature", "d_gate", "d_relation_bias")
        if not errors[name][0] <= 3 * errors[name][1] + 5e-6
    }
    assert not broken


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last), ids=("nchw", "nhwc"))
def test_error_rule_beyond_one_strip_of_positions(layout, backend, device):
    """More positions and maps than fit in a register block, a strip of scratch or a GPU tile."""
    case = Case(batch=1, regions=9, channels=8, values=29, embed=5, height=36, width=31, layout=layout)
    assert not error_rule.error_excess(case, torch.float32, backend, device, seeds=2)


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last), ids=("nchw", "nhwc"))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_error_rule_of_long_sums(layout, dtype, backend, device):
    assert not error_rule.error_excess(cases.replace(cases.LONG_SUMS, layout=layout), dtype, backend, device, seeds=2)


# Images of 224 x 224 pixels at strides 4, 2 and 1, and a length that no vector, strip or tile divides.
GRIDS = ((56, 56), (112, 112), (224, 224), (1, 100_003))
MANY_POSITIONS = [
    Case(function=function, batch=1, regions=2, embed=8, values=8, merge="none", activation=activation)
    for function, activation in (
        ("sma_attention", "softmax"),
        ("sma_attention", "sigmoid"),
        ("multi_channel_attention", "softmax"),
        ("multi_channel_attention", "sigmoid"),
        ("correlate_attention", "softmax"),
        ("attention_pool", "softmax"),
    )
]


@pytest.fixture
def compiled(backend, device):
    if backend != "cpu" and device.type == "cpu":
        pytest.skip("an interpreted backend takes too long over so many positions")


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last), ids=("nchw", "nhwc"))
@pytest.mark.parametrize("grid", GRIDS, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("case", MANY_POSITIONS, ids=lambda case: f"{case.function}-{case.activation}")
def test_error_rule_over_many_positions(case, grid, layout, backend, device, compiled):
    if layout == torch.channels_last and case.function == "correlate_attention":
        pytest.skip("takes no feature map")
    height, width = grid
    case = cases.replace(case, height=height, width=width, layout=layout)
    assert not error_rule.error_excess(case, torch.float32, backend, device, seeds=2)


@pytest.mark.parametrize("sizes", (dict(regions=1, channels=250), dict(regions=200, channels=3)), ids=str)
def test_error_rule_over_many_maps(sizes, backend, device, compiled):
    """Sums over pairs of maps."""
    case = Case(batch=1, embed=8, values=8, height=3, width=5, merge="none", **sizes)
    assert not error_rule.error_excess(case, torch.float32, backend, device, seeds=2)


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last), ids=("nchw", "nhwc"))
@pytest.mark.parametrize("grid", GRIDS, ids="{0[0]}x{0[1]}".format)
def test_sums_of_positive_numbers_err_no_more_than_pytorchs(grid, layout, backend, device, compiled):
    """Without the slack of the error rule, which would hide ten times the error of PyTorch; 16 samples average out chance."""
    maps = torch.rand(16, 1, 3, *grid, device=device)
    values = torch.rand(16, 4, *grid, device=device).contiguous(memory_format=layout)

    def results(dtype, backend):
        leaf = maps.to(dtype).requires_grad_()
        diversity = sma_kernels.attention_diversity(leaf, backend=backend)
        refined, correlation = sma_kernels.correlate_attention(leaf, backend=backend)
        pooled, _ = sma_kernels.attention_pool(values.to(dtype), leaf, merge="none", backend=backend)
        (gradient,) = torch.autograd.grad(diversity.sum(), leaf)
        return diversity, refined, correlation, pooled, gradient

    exact, pytorch = results(torch.float64, "reference"), results(torch.float32, "reference")
    factors = (2, 2, 2, 2, 4)  # of the gradient, in which the reference's sum of squares in pairs counts most
    for truth, theirs, ours, factor in zip(exact, pytorch, results(torch.float32, backend), factors, strict=True):
        assert (ours - truth).norm() <= factor * (theirs - truth).norm()
