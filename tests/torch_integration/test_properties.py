"""Any shapes, dtypes, strides and subsets of inputs that require gradients: fused equals the reference, or both raise."""

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sma_kernels import SMAAttention
from tests.helpers import cases
from tests.helpers.cases import Case

pytestmark = pytest.mark.mode("any shape, stride and subset of gradients")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
# In units of the largest element of a result, at least 0.03: far above rounding, far below a wrong element.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 2e-1}


@pytest.fixture
def used(fused, device):
    """A backend that has already run, so that calls may take the fast path to its kernels."""
    cases.call(Case(), cases.inputs(Case(), torch.float32, device=device), fused)
    return fused


@st.composite
def calls(draw):
    function = draw(st.sampled_from(cases.FUNCTIONS))
    return Case(
        function=function,
        batch=draw(st.integers(0, 4)),
        regions=draw(st.integers(1, 5)),
        channels=draw(st.integers(1, 5)),
        embed=draw(st.integers(1, 9)),
        values=draw(st.integers(1, 40)),
        height=draw(st.integers(1, 9)),
        width=draw(st.integers(1, 9)),
        shared=draw(st.booleans()),
        bias=draw(st.booleans()),
        relation=draw(st.booleans()),
        activation=draw(st.sampled_from(("softmax", "sigmoid"))),
        merge=draw(st.sampled_from(("max", "mean", "none"))),
        margin=draw(st.floats(-1, 1)),
        masked=function in cases.MASKED and draw(st.booleans()),
    )


def restrided(draw, tensor):
    """The same numbers in another layout: permuted, sliced out of a larger tensor, or expanded if that is equivalent."""
    order = draw(st.permutations(range(tensor.dim())))
    back = [order.index(axis) for axis in range(tensor.dim())]
    steps = draw(st.lists(st.integers(1, 2), min_size=tensor.dim(), max_size=tensor.dim()))
    sizes = [size * step for size, step in zip(tensor.permute(order).shape, steps, strict=True)]
    base = torch.full(sizes, torch.nan, dtype=tensor.dtype, device=tensor.device)
    view = base[tuple(slice(None, None, step) for step in steps)].permute(back)
    return view.copy_(tensor)


def gradients(case, tensors, wanted, counted, backend):
    leaves = {n: None if t is None else t.detach().requires_grad_(n in wanted) for n, t in tensors.items()}
    outputs = cases.call(case, leaves, backend)
    weights = cases.cotangents(outputs, seed=1)
    loss = sum((outputs[index].double() * weights[index].double()).sum() for index in counted)
    names = [name for name in wanted if leaves[name] is not None]
    if names and loss.requires_grad:
        gradients = torch.autograd.grad(loss, [leaves[name] for name in names], allow_unused=True)
    else:
        gradients = [None] * len(names)
    return [output.detach() for output in outputs], dict(zip(names, gradients, strict=True))


def close(actual, expected, dtype, name):
    assert actual.shape == expected.shape and actual.dtype == expected.dtype, name
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    error = float((actual.double() - expected.double()).abs().max()) if expected.numel() else 0.0
    assert error <= TOLERANCE[dtype] * max(scale, 0.03), f"{name}: off by {error:.3g} of {scale:.3g}"


@QUICK
@given(data=st.data(), case=calls(), dtype=st.sampled_from(tuple(TOLERANCE)))
def test_fused_equals_reference(used, fused, device, data, case, dtype):
    assume(fused == "cpu" or dtype != torch.float64)
    tensors = cases.inputs(case, dtype, device=device)
    tensors = {n: t if t is None else restrided(data.draw, t) for n, t in tensors.items()}
    # In 16 bits, the argmax of nearly equal channels is arbitrary, and so is its gradient.
    wanted = data.draw(st.sets(st.sampled_from(cases.TENSORS[case.function]))) if dtype.itemsize > 2 else set()
    counted = data.draw(st.sets(st.sampled_from(range(len(cases.OUTPUTS[case.function]))), min_size=1))
    ours, our_gradients = gradients(case, tensors, sorted(wanted), counted, fused)
    theirs, their_gradients = gradients(case, tensors, sorted(wanted), counted, "reference")
    for name, actual, expected in zip(cases.OUTPUTS[case.function], ours, theirs, strict=True):
        close(actual, expected, dtype, name)
    for name, actual in our_gradients.items():
        expected = their_gradients[name]
        if actual is None or expected is None:  # an output that does not depend on the input
            assert not any(g is not None and g.any() for g in (actual, expected)), name
        else:
            close(actual, expected, dtype, f"gradient of {name}")


SPOILED = (
    "rank",
    "empty axis",
    "integer dtype",
    "other dtype",
    "other device",
    "no tensor",
    "size",
)


def spoil(how, tensor):
    return {
        "rank": lambda: tensor.unsqueeze(0),
        "empty axis": lambda: tensor.narrow(tensor.dim() - 1, 0, 0),
        "integer dtype": lambda: tensor.to(torch.int64),
        "other dtype": lambda: tensor.to(torch.float64),
        "other device": lambda: tensor.to("meta"),
        "no tensor": lambda: tensor.tolist(),
        "size": lambda: torch.cat((tensor, tensor, tensor[..., :1]), tensor.dim() - 1),
    }[how]()


def sensible(case, name, how):
    """Whether a call with this argument altered in this way is invalid."""
    # The others are checked against the first tensor; if no other one has a grid, any size is valid.
    leads, alone = name == cases.TENSORS[case.function][0], "values" not in cases.TENSORS[case.function]
    if leads and (how in ("other dtype", "other device") or (alone and how == "size")):
        return False
    return not (name == "weight" and how == "size")  # D may then be K*D of one group


@pytest.mark.parametrize("how", SPOILED)
@QUICK
@given(case=calls())
def test_spoiled_arguments_are_named(used, fused, device, how, case):
    """Each in turn, under any settings: TypeError or ValueError that names the argument and what was received."""
    assume(case.batch > 0)
    tensors = cases.inputs(case, torch.float32, device=device)
    for name, tensor in tensors.items():
        if tensor is None or tensor.dim() == 0 or not sensible(case, name, how):
            continue
        with pytest.raises((TypeError, ValueError), match=rf"\b{name}\b.*(got|it is on)"):
            cases.call(case, {**tensors, name: spoil(how, tensor)}, fused)


@QUICK
@given(
    temperature=st.one_of(
        st.floats(max_value=0), st.just(float("nan")), st.just(float("inf")), st.text(), st.booleans()
    ),
    gate=st.one_of(st.floats(max_value=-1e-9), st.floats(min_value=1.0000001), st.just(float("nan")), st.text()),
)
def test_bad_numbers_are_named(used, fused, device, temperature, gate):
    for name, value in (("temperature", temperature), ("gate", gate)):
        for function in ("sma_attention", "correlate_attention"):
            case = Case(function=function)
            with pytest.raises((TypeError, ValueError), match=rf"{name} must be .*got"):
                cases.call(case, {**cases.inputs(case, torch.float32, device=device), name: value}, fused)


@QUICK
@given(sizes=st.lists(st.integers(-2, 3), min_size=4, max_size=4))
def test_module_takes_sizes_of_at_least_one(sizes):
    names = ("in_channels", "regions", "channels", "embed_dim")
    if min(sizes) > 0:
        SMAAttention(*sizes)
        return
    wrong = next(name for name, size in zip(names, sizes, strict=True) if size < 1)
    with pytest.raises(ValueError, match=rf"{wrong} must be at least 1; got"):
        SMAAttention(*sizes)
