"""`make bench`: pytest-benchmark over the standard shapes, grouped by shape."""

import pytest
import torch

from benchmarks.agreement import check
from benchmarks.baselines import implementations
from benchmarks.compare import CPU, LAYOUTS
from benchmarks.passes import PASSES
from benchmarks.shapes import CPU_SHAPES, inputs, on_cpu
from tests.helpers.cases import FUNCTIONS

ROWS = [(function, name) for function in FUNCTIONS for name in implementations(function, CPU)]


@pytest.mark.parametrize("function, implementation", ROWS)
@pytest.mark.parametrize("pass_name", PASSES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("shape", CPU_SHAPES)
def test_function(benchmark, shape, dtype, layout, pass_name, function, implementation):
    benchmark.group = f"{function} {shape} {dtype} {layout} {pass_name}"
    tensors = inputs(on_cpu(shape), dtype, LAYOUTS[layout], CPU, function)
    makers = implementations(function, CPU)
    timed = makers[implementation]()
    check({"eager": makers["eager"](), implementation: timed}, tensors)
    benchmark(PASSES[pass_name](timed, tensors))
