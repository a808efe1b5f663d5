"""Errors name the invalid argument; backends explain their limits; the module and its defaults."""

import copy
import math

import pytest
import torch

import sma_kernels
from sma_kernels import SMAAttention, backends
from sma_kernels.args import AttentionArgs
from tests.helpers import cases
from tests.helpers.cases import Case


def tensors(**changes):
    return {**cases.inputs(Case(), torch.float32), **changes}


BAD = [
    ("values", torch.zeros(2, 37, 5), ValueError, r"values must have 4 dimensions \[B,C,H,W\]; got shape \(2, 37, 5\)"),
    ("values", torch.zeros(2, 0, 5, 7), ValueError, r"values must not be empty along C"),
    ("values", torch.zeros(2, 37, 5, 7, dtype=torch.int32), TypeError, r"values must be float32.*got torch.int32"),
    ("values", [1.0], TypeError, r"values must be a Tensor.*got list"),
    ("values", torch.zeros(2, 37, 5, 7).double(), TypeError, r"values and features must share a dtype"),
    ("values", torch.zeros(2, 37, 7, 5), ValueError, r"values and features must agree in batch, height and width"),
    ("features", torch.zeros(2, 43, 5, 7), ValueError, r"features must have D = 11 or K\*D = 44 channels.*got 43"),
    ("features", torch.zeros(2, 44, 5, 7, device="meta"), ValueError, r"features must be on cpu.*it is on meta"),
    ("weight", torch.zeros(3, 4), ValueError, r"weight must have 3 dimensions \[R,K,D\]"),
    ("weight", torch.zeros(3, 4, 11).half(), TypeError, r"weight must be torch.float32 with inputs of torch.float32"),
    ("bias", torch.zeros(4, 3), ValueError, r"bias must have shape \[3, 4\]; got \[4, 3\]"),
    ("relation_bias", torch.zeros(3, 4), ValueError, r"relation_bias must have shape \[12, 12\]"),
    ("temperature", 0.0, ValueError, r"temperature must be finite and > 0; got 0.0"),
    ("temperature", math.nan, ValueError, r"temperature must be finite and > 0; got nan"),
    ("temperature", "hot", TypeError, r"temperature must be a float or a 0-d tensor; got str"),
    ("temperature", torch.zeros(1), ValueError, r"temperature must be a float or a 0-d floating tensor"),
    ("gate", 1.5, ValueError, r"gate must be a finite number in \[0, 1\]; got 1.5"),
    ("gate", True, TypeError, r"gate must be a float"),
    ("activation", "relu", ValueError, r"activation must be one of 'softmax', 'sigmoid'; got 'relu'"),
    ("merge", "sum", ValueError, r"merge must be one of 'max', 'mean', 'none'; got 'sum'"),
    ("margin", math.inf, ValueError, r"margin must be finite; got inf"),
    ("margin", None, TypeError, r"margin must be a float; got NoneType"),
    ("backend", "gpu", ValueError, r"backend must be one of 'auto', 'reference', 'cpu'.*got 'gpu'"),
]


@pytest.mark.parametrize("backend", ("cpu", "reference"))  # the compiled kernels have checks of their own
@pytest.mark.parametrize(("name", "value", "error", "message"), BAD, ids=lambda part: str(part)[:24])
def test_bad_input_is_refused_by_name(name, value, error, message, backend):
    with pytest.raises(error, match=message):
        sma_kernels.sma_attention(**{"backend": backend, **tensors(**{name: value})})


def test_small_functions_refuse_bad_input():
    maps = torch.rand(2, 3, 4, 5, 7)
    with pytest.raises(ValueError, match=r"maps must have 5 dimensions \[B,R,K,H,W\]"):
        sma_kernels.attention_diversity(maps[0])
    with pytest.raises(ValueError, match="gate"):
        sma_kernels.correlate_attention(maps, gate=-0.1)
    with pytest.raises(ValueError, match="agree in batch"):
        sma_kernels.attention_pool(torch.rand(2, 3, 7, 5), maps)
    with pytest.raises(ValueError, match="features must have"):
        sma_kernels.multi_channel_attention(torch.rand(2, 5, 5, 7), torch.rand(3, 4, 11))


def test_backends_explain_themselves():
    original = tensors()
    original.pop("temperature")
    explained = sma_kernels.explain_backends(**original)
    assert explained["reference"] == [] and explained["cpu"] == []
    assert all(explained[name] for name in explained if name not in ("reference", "cpu"))


def test_an_explicit_backend_never_falls_back():
    wide = cases.inputs(Case(channels=300, regions=1, embed=2), torch.float32)
    with pytest.raises(RuntimeError, match=r"backend='cpu' cannot run this call: .*at most 256 channels.*got 300"):
        sma_kernels.sma_attention(**wide, backend="cpu")
    auto = sma_kernels.sma_attention(**wide)
    reference = sma_kernels.sma_attention(**wide, backend="reference")
    torch.testing.assert_close(auto.pooled, reference.pooled)


def test_many_channels_run_fused_without_a_winner():
    wide = cases.inputs(Case(channels=300, regions=1, embed=2), torch.float32)
    outputs = sma_kernels.sma_attention(**wide, merge="mean", backend="cpu")
    torch.testing.assert_close(
        outputs.pooled,
        sma_kernels.sma_attention(**wide, merge="mean", backend="reference").pooled,
        rtol=1e-4,
        atol=1e-5,
    )


def test_auto_takes_the_compiled_kernels_on_cpu():
    args = AttentionArgs(**{name: tensors()[name] for name in ("values", "features", "weight", "bias")}, merge="max")
    assert backends.select("auto", args) == "cpu"


def test_module_learns_its_correlation():
    head = SMAAttention(16, regions=3, channels=2, embed_dim=8, temperature=0.2, gate=0.3)
    torch.testing.assert_close(head.temperature, torch.tensor(0.2))
    torch.testing.assert_close(head.gate, torch.tensor(0.3))
    out = head(torch.randn(4, 16, 5, 5))
    assert out.pooled.shape == (4, 3, 16) and out.maps.shape == (4, 3, 2, 5, 5)
    (out.pooled.sum() + out.diversity.sum()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())
    assert head.no_weight_decay() == {"log_temperature", "gate_logit", "relation_bias"}


def test_module_without_correlation_leaves_maps_alone():
    head = SMAAttention(16, regions=3, channels=2, embed_dim=8, correlate=False, merge="none")
    out = head(torch.randn(2, 16, 5, 5))
    torch.testing.assert_close(out.attention, out.maps)
    assert out.correlation.shape == (2, 6, 6) and not head.no_weight_decay()


def test_shared_features_need_one_group():
    shared = SMAAttention(16, regions=3, channels=4, embed_dim=8, shared_features=True)
    own = SMAAttention(16, regions=3, channels=4, embed_dim=8)
    assert shared.embed[0].out_channels == 8 and own.embed[0].out_channels == 32


def test_module_copies_and_round_trips():
    head = SMAAttention(16, regions=3, channels=2, embed_dim=8).eval()
    x = torch.randn(2, 16, 5, 5)
    expected = head(x).pooled
    other = SMAAttention(16, regions=3, channels=2, embed_dim=8).eval()
    other.load_state_dict(head.state_dict())
    assert torch.equal(copy.deepcopy(head)(x).pooled, expected) and torch.equal(other(x).pooled, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(regions=0), "regions must be at least 1; got 0"),
        (dict(gate=1.0), "gate must lie inside"),
        (dict(merge="sum"), "merge must be one of"),
        (dict(temperature=-1.0), "temperature must be finite and > 0"),
    ],
)
def test_module_refuses_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        SMAAttention(**{"in_channels": 16, "regions": 3, **change})
