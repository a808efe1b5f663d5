"""The floors that figures are held against: no implementation may need less."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.baselines import through
from benchmarks.compare import CPU
from benchmarks.passes import forward_backward
from benchmarks.shapes import SHAPES, floor_operations, inputs


@pytest.mark.parametrize("name", ("S1", "S2", "S3", "S4"))
def test_eager_pytorch_does_no_fewer_operations_than_the_floor(name):
    shape = SHAPES[name]._replace(batch=2)
    run = forward_backward(
        through("sma_attention", "reference"), inputs(shape, torch.float32, torch.contiguous_format, CPU)
    )
    with FlopCounterMode(display=False) as counter:
        run()
    floor = floor_operations(shape)
    # The reference computes whole Gram matrices, and its gradient's two products apart.
    assert floor <= counter.get_total_flops() < 1.5 * floor
