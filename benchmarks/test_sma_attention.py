"""`make bench`: pytest-benchmark over the standard shapes in float32, grouped by shape."""

import pytest

from benchmarks.agreement import check
from benchmarks.baselines import implementations
from benchmarks.jobs import CPU, Job, jobs
from benchmarks.passes import PASSES

ROWS = [(job, name) for job in jobs(dtypes=("float32",)) for name in implementations(job.function, CPU)]


@pytest.mark.parametrize(
    "job, implementation", ROWS, ids=lambda part: " ".join(part) if isinstance(part, Job) else part
)
@pytest.mark.parametrize("pass_name", ("forward", "forward+backward"))
def test_function(benchmark, pass_name, job, implementation):
    benchmark.group = f"{' '.join(job)} {pass_name}"
    tensors = job.tensors()
    makers = implementations(job.function, CPU, **job.settings)
    timed = makers[implementation]()
    check({"eager": makers["eager"](), implementation: timed}, tensors)
    benchmark(PASSES[pass_name](timed, tensors))
