"""`make bench`: pytest-benchmark over the standard shapes, grouped so that a shape's peers stand together."""

import pytest
import torch

from benchmarks.agreement import check
from benchmarks.baselines import peers
from benchmarks.compare import CPU, LAYOUTS
from benchmarks.passes import DIRECTIONS
from benchmarks.shapes import inputs, on_cpu
from tests.cases import FUNCTIONS

ROWS = [(function, peer) for function in FUNCTIONS for peer in peers(function, CPU)]


@pytest.mark.parametrize("function, peer", ROWS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("shape", ("S1", "S2", "S3", "S4"))
def test_function(benchmark, shape, dtype, layout, direction, function, peer):
    benchmark.group = f"{function} {shape} {dtype} {layout} {direction}"
    tensors = inputs(on_cpu(shape), dtype, LAYOUTS[layout], CPU, function)
    makers = peers(function, CPU)
    timed = makers[peer]()
    check({"eager": makers["eager"](), peer: timed}, tensors)
    benchmark(DIRECTIONS[direction](timed, tensors))
