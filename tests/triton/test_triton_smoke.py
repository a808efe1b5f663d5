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
from sma_kernels.triton_kernels import launch
from sma_kernels.triton_kernels.blocked import launch as blocked
from sma_kernels.triton_kernels.call import Launcher
from sma_kernels.triton_kernels.fused import launch as fused
from tests.helpers import cases
from tools.triton.recorder import Recorder


def test_every_kernel_is_launched(monkeypatch):
    monkeypatch.setattr(backends.triton, "unavailable_reason", lambda: None)
    monkeypatch.setattr(backends.triton, "not_supported_reasons", lambda head: [])
    kernels = {
        value.__name__
        for module in (launch, fused, blocked)
        for value in vars(module).values()
        if isinstance(value, JITFunction)
    }
    launched = set()
    precision = torch.backends.cuda.matmul.fp32_precision
    try:
        for smoke in SMOKES:
            set_precision(smoke.tf32)
            recorder = Recorder()
            monkeypatch.setattr(Launcher, "__call__", recorder)
            cases.run(smoke.case, cases.inputs(smoke.case, smoke.dtype), "triton")
            launched |= {recorded.kernel.__name__ for recorded in recorder.launches}
    finally:
        torch.backends.cuda.matmul.fp32_precision = precision
    assert launched == kernels
