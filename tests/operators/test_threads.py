"""Threads that share a sample: the same bits for any number of them, and no thread waits for one that does everything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers import cases
from tests.helpers.cases import Case

SHAPES = {  # of samples large enough to be shared
    "wide": Case(values=10501),
    "merged-by-mean": Case(values=1801, height=14, width=14, merge="mean", activation="sigmoid"),
    "every-channel": Case(values=931, height=9, width=11, merge="none", shared=True, embed=40),
    "one-map": Case(regions=1, channels=1, values=3500, height=1, width=300),
    "wide-features": Case(regions=2, channels=2, embed=1637, values=657, height=13, width=11),
    "masked": Case(values=470, height=14, width=14, masked=True, regions=10, channels=3),
    "diversity": Case(function="attention_diversity", regions=13, height=14, width=14),
    "correlation": Case(function="correlate_attention", regions=13, height=14, width=14),
    "maps": Case(function="multi_channel_attention", embed=450, height=14, width=14),
    "pooling": Case(function="attention_pool", values=2000, height=14, width=14),
}
LAYOUTS = pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last), ids=("nchw", "nhwc"))


@pytest.fixture
def threads(device):
    if device.type != "cpu":
        pytest.skip("threads are the CPU's")
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def multiply_adds(case):
    """Of the forward of a sample: csrc/ops/cpu.cpp."""
    features = case.embed if "features" in cases.TENSORS[case.function] else 0
    relations = 0 if case.function in ("multi_channel_attention", "attention_pool") else 2 * case.total
    rows = case.total if case.merge == "none" else case.regions
    values = case.values if "values" in cases.TENSORS[case.function] else 0
    return case.height * case.width * (case.total * (features + relations) + rows * values)


def check_bits(case, dtype, counts, backend, threads):
    tensors = cases.inputs(case, dtype)
    threads(1)
    expected = cases.run(case, tensors, backend)
    for count in counts:
        threads(count)
        for name, result in cases.run(case, tensors, backend).items():
            assert torch.equal(result, expected[name]), f"{name} on {count} threads"


@LAYOUTS
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16, torch.float64), ids=str)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("poisoned_memory")
def test_threads_of_a_sample_change_no_bit(shape, dtype, layout, backend, threads):
    """From all samples on one thread to 16 threads on one sample; NaN in the scratch memory would spread."""
    for batch in (1, 5):
        case = cases.replace(SHAPES[shape], batch=batch, layout=layout)
        assert multiply_adds(case) >= 2**20, "too small to be shared"
        check_bits(case, dtype, (2, 3, 16), backend, threads)


@pytest.mark.parametrize("batch", (3, 130))
def test_threads_of_a_batch_change_no_bit(batch, backend, threads):
    check_bits(Case(batch=batch, values=401), torch.float32, (2, 3), backend, threads)


WORK_OF_THREADS = """
import pathlib, sys, torch, sma_kernels
torch.set_num_threads(2)
batch, side, calls = map(int, sys.argv[1:])
values, features = torch.randn(batch, 256, side, side), torch.randn(batch, 64, side, side)
weight = torch.randn(12, 4, 16, requires_grad=True)
def worked():
    return {task: int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path("/proc/self/task").iterdir()}
run = lambda: sma_kernels.sma_attention(values, features, weight, backend="cpu").pooled.sum().backward()
run()
before = worked()
for _ in range(calls):
    run()
taken = sorted(now - before.get(task, 0) for task, now in worked().items())
print(taken[-2] / taken[-1])
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not tell what each thread did")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor")
@pytest.mark.parametrize("batch, side, calls, least", ((16, 14, 100, 0.3), (1, 70, 100, 0.003)))
def test_work_is_spread_over_threads(batch, side, calls, least, backend):
    """Over samples or within one. at::parallel_for silently runs on one thread if the extension is compiled without OpenMP. On
    a busy machine, a thread that comes late finds little left of a sample."""
    if backend != "cpu":
        pytest.skip("threads are the cpu backend's")
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # waiting threads must not count as working
    finished = subprocess.run(
        [sys.executable, "-c", WORK_OF_THREADS, *map(str, (batch, side, calls))],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert float(finished.stdout) > least, finished.stderr
