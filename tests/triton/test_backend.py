"""The backend without a GPU: imports, reasons, and what `auto` chooses."""

import os
import subprocess
import sys

import pytest
import torch

import sma_kernels
from sma_kernels.args import AttentionArgs
from sma_kernels.backends import triton as backend
from tests.helpers import cases, error_rule
from tests.helpers.cases import Case

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def python(code: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TRITON_INTERPRET": "0", **environment},
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


CALL = """
import sys
{before}
import torch, sma_kernels
x = torch.ones(1, 2, 2, 2)
found = sma_kernels.sma_attention(x, x, torch.ones(1, 1, 2))
assert found.pooled.shape == (1, 1, 2)
print([name for name in sys.modules if name.split(".")[0] == "triton" or "triton_kernels" in name])
print(sma_kernels.explain_backends(x, x, torch.ones(1, 1, 2))["triton"])
"""


def test_runs_where_triton_is_blocked():
    """A fresh process in which `import triton` fails still imports the package and runs a call."""
    loaded, reasons = python(CALL.format(before="sys.modules['triton'] = None")).splitlines()
    assert "triton_kernels" not in loaded
    assert "Triton" in reasons


def test_import_and_a_cpu_call_load_no_kernels():
    loaded, reasons = python(CALL.format(before="")).splitlines()
    assert "triton_kernels" not in loaded
    assert "got a tensor on cpu" in reasons


def test_kernels_import_without_a_driver():
    python(
        "from triton.runtime import driver\n"
        "from sma_kernels.triton_kernels import launch\n"
        "assert driver._active is None, 'an import asked for the driver'\n"
    )


def test_float64_has_a_reason():
    args = AttentionArgs(features=torch.ones(1, 2, 2, 2).double(), weight=torch.ones(1, 1, 2).double())
    assert any("float64" in reason for reason in backend.not_supported_reasons(args))


def test_a_sample_too_large_for_32_bit_offsets_has_a_reason():
    features = torch.empty(1, 2, 2**15, 2**15, device="meta")
    args = AttentionArgs(features=features, weight=torch.ones(1, 1, 2))
    assert any("2**31" in reason for reason in backend.not_supported_reasons(args))


@pytest.mark.skipif(INTERPRETED, reason="CPU tensors are accepted under the interpreter")
def test_cpu_tensors_are_refused_with_the_reason():
    with pytest.raises(RuntimeError, match="TRITON_INTERPRET"):
        cases.call(Case(), cases.inputs(Case(), torch.float32), "triton")


def test_auto_keeps_cpu_tensors_off_triton():
    x = torch.ones(1, 2, 2, 2)
    args = AttentionArgs(values=x, features=x, weight=torch.ones(1, 1, 2), merge="max", diversify=True, correlate=True)
    assert sma_kernels.backends.select("auto", args) in ("cpu", "reference")


@pytest.mark.gpu
@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last), ids=("nchw", "nhwc"))
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float16), ids=str)
@pytest.mark.parametrize("case", cases.matrix(), ids=cases.ids)
def test_error_rule_on_a_gpu(case, dtype, layout):
    assert not error_rule.error_excess(cases.replace(case, layout=layout), dtype, "triton", "cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("merge", ("max", "mean", "none"))
@pytest.mark.parametrize("batch", (3, 17), ids=("divided from 12x12 on", "divided beyond 64x64"))
@pytest.mark.parametrize("channels, side", ((4, 7), (4, 14), (8, 14), (4, 28), (16, 20), (4, 66)))
def test_standard_sizes_on_a_gpu(channels, side, batch, merge):
    case = Case(regions=12, channels=channels, embed=64, values=512, height=side, width=side, merge=merge, batch=batch)
    for dtype in (torch.float32, torch.bfloat16):
        assert not error_rule.error_excess(case, dtype, "triton", "cuda", seeds=3)


@pytest.mark.gpu
def test_captured_in_a_graph():
    case = Case(regions=12, channels=4, embed=64, values=256, height=7, width=7)
    tensors = cases.inputs(case, torch.bfloat16, device="cuda")
    expected = cases.run(case, tensors, "triton")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        actual = cases.call(case, tensors, "triton")
    graph.replay()
    for name, out in zip(cases.OUTPUTS["sma_attention"], actual, strict=True):
        assert torch.equal(out, expected[name]), name


@pytest.mark.gpu
def test_a_call_on_another_device_and_no_recompile():
    case = Case(regions=12, channels=4, embed=64, values=256, height=7, width=7)
    tensors = cases.inputs(case, torch.bfloat16, device=f"cuda:{torch.cuda.device_count() - 1}")
    cases.run(case, tensors, "triton")
    from sma_kernels.triton_kernels.fused.forward import forward_kernel

    compiled = {device: len(cache[0]) for device, cache in forward_kernel.device_caches.items()}
    cases.run(case, tensors, "triton")
    assert compiled == {device: len(cache[0]) for device, cache in forward_kernel.device_caches.items()}
