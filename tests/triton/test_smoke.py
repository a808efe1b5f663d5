"""The smoke cases of the GPU report launch every Triton kernel."""

import os

import pytest

pytest.importorskip("triton")

if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("launches are recorded, not interpreted", allow_module_level=True)

import torch
from triton.runtime.jit import JITFunction

from benchmarks.gpu_report.smoke import SMOKES, set_precision
from sma_kernels import backends
from sma_kernels.triton_kernels import launch_backward, launch_forward, launch_staged
from tests import cases
from tools.triton.recorder import recording


def test_every_kernel_is_launched(monkeypatch):
    monkeypatch.setattr(backends.triton, "why_unavailable", lambda: None)
    monkeypatch.setattr(backends.triton, "refusals", lambda head: [])
    kernels = {
        value.__name__
        for module in (launch_forward, launch_backward, launch_staged)
        for value in vars(module).values()
        if isinstance(value, JITFunction)
    }
    launched = set()
    precision = torch.backends.cuda.matmul.fp32_precision
    try:
        for smoke in SMOKES:
            set_precision(smoke.tf32)
            with recording() as launches:
                cases.run(smoke.case, cases.inputs(smoke.case, smoke.dtype), "triton")
            launched |= {launch.kernel.__name__ for launch in launches}
    finally:
        torch.backends.cuda.matmul.fp32_precision = precision
    assert launched == kernels
