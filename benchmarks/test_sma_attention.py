"""`make bench`: pytest-benchmark over the standard shapes, grouped so that a shape's peers stand together."""

import pytest
import torch

from benchmarks.compare import LAYOUTS, forward, forward_backward
from benchmarks.peers import peers
from benchmarks.shapes import inputs, on_cpu

DIRECTIONS = {"forward": forward, "forward+backward": forward_backward}


@pytest.mark.parametrize("peer", peers())
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize("shape", ("S1", "S2", "S3", "S4"))
def test_sma_attention(benchmark, shape, dtype, layout, direction, peer):
    benchmark.group = f"{shape} {dtype} {layout} {direction}"
    tensors = inputs(on_cpu(shape), dtype, LAYOUTS[layout])
    benchmark(DIRECTIONS[direction](peers()[peer](), tensors))
